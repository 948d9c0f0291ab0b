"""The manifest says what was published, and its schema admits nothing else."""

from __future__ import annotations

import copy
import dataclasses
import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from airflow_provider_seedream.publishing.journal import set_key
from airflow_provider_seedream.publishing.manifest import (
    MAX_BYTES,
    MAX_FILES,
    Derivative,
    Manifest,
    PublishedImage,
    Role,
    TaskInstanceKey,
    schema,
    validate,
)
from airflow_provider_seedream.publishing.names import (
    DEFAULT_NAMES,
    SLUG_LENGTH,
    FileNames,
    MediaType,
    is_file_name,
    slug,
)
from airflow_provider_seedream.wavespeed.errors import InvalidInputError
from airflow_provider_seedream.wavespeed.image_set import GeneratedImage, ImageSet

SHA = "0" * 64
SET = ImageSet(
    prediction_id="3f2c",
    model="bytedance/seedream-v5.0-lite/sequential",
    prompt="2 images. First, a fox. Second, a hare.",
    size="2048*2048",
    requested=2,
    images=(
        GeneratedImage("https://cdn.example/1.jpg?Signature=s", False),
        GeneratedImage("https://cdn.example/2.jpg", None),
    ),
    cost_usd=0.07,
    inference_ms=8123,
    created_at="2026-01-02T03:04:05Z",
)


def published(
    index: int,
    scene: str | None = "a fox",
    media_type: MediaType = MediaType.JPEG,
    flagged: bool | None = None,
) -> PublishedImage:
    name = f"{FileNames().stem(index, scene, 'p')}.{media_type.extension}"
    return PublishedImage(name, SHA, 1000, media_type, 2048, 2048, scene, flagged)


MANIFEST = Manifest(
    SET,
    (published(1, flagged=False), published(2, "a hare")),
    (
        Derivative(Role.CONTACT_SHEET, "contact-sheet.jpg", SHA, 10, MediaType.JPEG),
        Derivative(
            Role.RENDITION,
            "01-a-fox-w640.webp",
            SHA,
            10,
            MediaType.WEBP,
            "01-a-fox.jpg",
            width=640,
            height=640,
        ),
    ),
    TaskInstanceKey("story", "manual__1", "publish", 3),
)


def test_the_schema_itself_is_valid() -> None:
    Draft202012Validator.check_schema(schema())


def test_a_manifest_holds_the_whole_result_and_a_file_for_each_image() -> None:
    plain = MANIFEST.to_json()
    result = SET.to_json()
    assert {key: plain[key] for key in result if key != "images"} == {
        k: v for k, v in result.items() if k != "images"
    }
    assert plain["version"] == 1
    links = [link.url.partition("?")[0] for link in SET.images]
    assert [image["url"] for image in plain["images"]] == links
    assert [image["url"] for image in plain["images"]] == [link.url.partition("?")[0] for link in SET.images]
    assert plain["published_by"]["map_index"] == 3


def test_a_manifest_survives_being_written_and_read_but_for_signatures_of_links() -> None:
    assert b"Signature" not in MANIFEST.to_bytes()
    first, second = SET.images
    plain = dataclasses.replace(
        SET, images=(dataclasses.replace(first, url="https://cdn.example/1.jpg"), second)
    )
    assert Manifest.from_bytes(MANIFEST.to_bytes()) == dataclasses.replace(MANIFEST, image_set=plain)


def test_the_same_set_gives_the_same_bytes() -> None:
    assert MANIFEST.to_bytes() == Manifest.from_bytes(MANIFEST.to_bytes()).to_bytes()


@settings(max_examples=100, deadline=None)
@given(
    prompt=st.text(st.characters(codec=None), max_size=300),
    scene=st.none() | st.text(st.characters(codec=None), max_size=60),
    url=st.sampled_from(["", "https://cdn.example/a.png"]),
    flagged=st.none() | st.booleans(),
)
def test_any_prompt_and_scene_survive(prompt: str, scene: str | None, url: str, flagged: bool | None) -> None:
    image_set = ImageSet("p", "m", prompt, "2048*2048", 1, (GeneratedImage(url, flagged),), 0.035)
    manifest = Manifest(image_set, (published(1, scene, MediaType.PNG, flagged),))
    data = manifest.to_bytes()
    data.decode("utf-8")
    assert Manifest.from_bytes(data) == manifest


@pytest.mark.parametrize("images", [(), (published(1), published(2)), (published(1, flagged=False),)])
def test_a_manifest_without_a_file_for_each_image_cannot_be_made(
    images: tuple[PublishedImage, ...],
) -> None:
    with pytest.raises(ValueError, match="exactly one file"):
        Manifest(SET, images)


def test_a_base64_set_has_null_for_its_links() -> None:
    image_set = ImageSet("p", "m", "a fox", "2048*2048", 1, (GeneratedImage("", None),), 0.035)
    assert Manifest(image_set, (published(1),)).to_json()["images"][0]["url"] is None


def broken(*path: str | int, value: Any = ..., key: str | None = None) -> dict[str, Any]:
    document: Any = copy.deepcopy(MANIFEST.to_json())
    place = document
    for step in path[:-1]:
        place = place[step]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return document  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("document", "place"),
    [
        (broken("surprise", value=1), "manifest"),
        (broken("images", 0, "surprise", value=1), "manifest.images[0]"),
        (broken("version", value=2), "manifest.version"),
        (broken("prediction_id"), "manifest"),
        (broken("images", value=[]), "manifest.images"),
        (broken("images", 1, "sha256", value="abc"), "manifest.images[1].sha256"),
        (broken("images", 1, "bytes", value=0), "manifest.images[1].bytes"),
        (broken("images", 1, "media_type", value="image/gif"), "manifest.images[1].media_type"),
        (broken("images", 0, "file", value="../../etc/passwd"), "manifest.images[0].file"),
        (broken("images", 0, "file", value="a/b.jpg"), "manifest.images[0].file"),
        (broken("images", 0, "file", value=".hidden.jpg"), "manifest.images[0].file"),
        (broken("images", 0, "file", value="a.jpg\n"), "manifest.images[0].file"),
        (broken("images", 0, "file", value="02-a-hare.jpg"), "manifest.images"),
        (broken("companions", 0, "role", value="mystery"), "manifest.companions[0].role"),
        (broken("companions", 0, "of", value="01-a-fox.jpg"), "manifest.companions[0]"),
        (broken("companions", 0, "role", value="rendition"), "manifest.companions[0]"),
        (broken("companions", 1, "of", value="09-none.jpg"), "manifest.companions"),
        (broken("size", value="big"), "manifest.size"),
        (broken("cost_usd", value=-1), "manifest.cost_usd"),
    ],
)
def test_what_the_schema_does_not_admit_is_refused_with_its_place(
    document: dict[str, Any], place: str
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        validate(document)
    assert caught.value.field == place


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", json.dumps({}).encode()])
def test_a_file_that_is_no_manifest_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidInputError):
        Manifest.from_bytes(data)


def test_a_set_is_the_same_whatever_the_signature_of_its_links() -> None:
    again = copy.copy(SET).to_json()
    again["images"][0]["url"] = "https://cdn.example/1.jpg?Signature=other"
    assert set_key(ImageSet.from_json(again)) == set_key(SET)
    again["images"][0]["url"] = "https://cdn.example/3.jpg"
    assert set_key(ImageSet.from_json(again)) != set_key(SET)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A fox in deep snow", "a-fox-in-deep-snow"),
        ("../../etc/passwd", "etc-passwd"),
        ("..\\..\\windows\\system32", "windows-system32"),
        ("Café déjà vu — it's", "cafe-deja-vu-its"),
        ("狐狸在雪地里", "hu-li-zai-xue-di-li"),
        ("Лиса в снегу", "lisa-v-snegu"),
        ("🦊🦊", ""),
        ("\ud800", ""),
        ("\u202egpj.exe\x00\n", "gpj-exe"),
        ("<script>alert(1)</script>", "script-alert-1-script"),
        ("con", "con"),
        ("a" * 200, "a" * SLUG_LENGTH),
    ],
)
def test_slugs_are_readable_and_harmless(text: str, expected: str) -> None:
    assert slug(text) == expected


@settings(max_examples=300, deadline=None)
@given(index=st.integers(1, 15), scene=st.none() | st.text(st.characters(codec=None), max_size=20_000))
def test_every_name_is_one_the_schema_admits(index: int, scene: str | None) -> None:
    name = f"{FileNames().stem(index, scene, 'p')}.webp"
    assert name.isascii()
    assert len(name) <= 60
    assert name.startswith(f"{index:02d}-")
    document = broken("images", 0, "file", value=name)
    document["companions"][1]["of"] = name
    validate(document)


@pytest.mark.parametrize(
    ("template", "name"),
    [
        (DEFAULT_NAMES, "02-a-fox-in-snow"),
        ("{index}.{ext}", "2"),
        ("{index:03d}.{ext}", "002"),
        ("{scene_slug}-{index:02d}.{ext}", "a-fox-in-snow-02"),
        ("story-{prediction_id}-{index:02}-{scene_slug}.{ext}", "story-3f2c-ab-02-a-fox-in-snow"),
    ],
)
def test_pictures_are_named_by_a_template(template: str, name: str) -> None:
    assert FileNames(template).stem(2, "A fox in snow", "3F2C/ab") == name


@pytest.mark.parametrize(
    "template",
    [
        "",
        None,
        "{index}",
        "{index}.jpg",
        "{index}.{ext}\n",
        "{index}.{ext}.{ext}",
        "{scene_slug}.{ext}",
        "{index}{scene_slug}.{ext}",
        "{scene_slug}{index}.{ext}",
        "com{index}.{ext}",
        "../{index}.{ext}",
        "a/{index}.{ext}",
        "a\\{index}.{ext}",
        "C:{index}.{ext}",
        ".{index}.{ext}",
        "-{index}.{ext}",
        "A-{index}.{ext}",
        "a {index}.{ext}",
        "a\x00-{index}.{ext}",
        "\u202e-{index}.{ext}",
        "\U0001f98a-{index}.{ext}",
        "{index!r}.{ext}",
        "{index:2d}.{ext}",
        "{index:2}.{ext}",
        "{index:>30}.{ext}",
        "{index:02x}.{ext}",
        "{index.real}.{ext}",
        "{index[0]}.{ext}",
        "{scene_slug:10}-{index}.{ext}",
        "{}-{index}.{ext}",
        "{surprise}-{index}.{ext}",
        "{index}-{{x}}.{ext}",
        "{index}-{.{ext}",
        "{index:{index}}.{ext}",
        "a" * 90 + "-{index}.{ext}",
        "{scene_slug}-" * 10 + "{index}.{ext}",
    ],
)
def test_templates_that_could_name_anything_else_are_refused(template: str) -> None:
    with pytest.raises(InvalidInputError, match="file_names="):
        FileNames(template)


@settings(max_examples=200, deadline=None)
@given(
    template=st.sampled_from(
        [
            DEFAULT_NAMES,
            "{scene_slug}-{index}.{ext}",
            "{prediction_id}-{index}-{scene_slug}.{ext}",
            "{index}.{ext}",
        ]
    ),
    scenes=st.lists(
        st.none() | st.text(st.characters(codec=None), max_size=300) | st.just("a 1"), max_size=15
    ),
    prediction_id=st.text(st.characters(codec=None), max_size=60),
)
def test_names_of_a_set_differ_on_every_store_and_mean_files_in_their_folder(
    template: str, scenes: list[str | None], prediction_id: str
) -> None:
    names = [
        f"{FileNames(template).stem(index, scene, prediction_id)}.jpg"
        for index, scene in enumerate(scenes, 1)
    ]
    assert len({name.casefold() for name in names}) == len(scenes)
    assert all(is_file_name(name) and len(name) <= 84 for name in names)
    reserved = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}
    assert reserved.isdisjoint(name.partition(".")[0] for name in names)


def many(count: int) -> bytes:
    document = copy.deepcopy(MANIFEST.to_json())
    rendition = document["companions"][1]
    document["companions"] = [{**rendition, "file": f"01-a-fox-w{index}.webp"} for index in range(count)]
    return json.dumps(document, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    "data",
    [
        many(24_000),
        many(8_000),
        many(2_500),
        json.dumps({**MANIFEST.to_json(), "companions": list(range(300_000))}).encode(),
        json.dumps({**MANIFEST.to_json(), "images": [{}] * 300_000}).encode(),
        b" " * (MAX_BYTES + 1),
        json.dumps({"version": 1, "prompt": "x" * MAX_BYTES}).encode(),
        b"[" * 100_000,
        json.dumps({**MANIFEST.to_json(), "cost_usd": float("nan")}).encode(),
        b'{"version": ' + b"1" * 5000 + b"}",
    ],
)
def test_a_manifest_that_no_set_can_have_is_refused_soon(data: bytes) -> None:
    began = time.process_time()
    with pytest.raises(InvalidInputError):
        Manifest.from_bytes(data)
    assert time.process_time() - began < 2


def test_the_largest_set_is_read() -> None:
    assert len(Manifest.from_bytes(many(MAX_FILES - 2)).derivatives) == MAX_FILES - 2


def test_a_link_that_cannot_be_read_is_told_from_others() -> None:
    foreign = dataclasses.replace(
        SET, images=(GeneratedImage("https://[::1", None), GeneratedImage("b", None))
    )
    assert set_key(foreign) != set_key(SET)


def test_a_publisher_says_its_deployment_only_where_it_is_known() -> None:
    owner = TaskInstanceKey("story", "r", "t", -1, "0" * 32)
    known = dataclasses.replace(MANIFEST, published_by=owner)
    assert known.to_json()["published_by"]["deployment"] == "0" * 32
    assert "deployment" not in MANIFEST.to_json()["published_by"]
    assert Manifest.from_bytes(known.to_bytes()).published_by == owner


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("01-a-fox.jpg", True),
        ("a-fox-2-w640.webp", True),
        ("7.png", True),
        ("index.html", True),
        ("contact-sheet.jpg", True),
        ("logo.png", False),
        ("2024.csv", False),
        ("01-a-fox.jpeg", False),
        ("index.htm", False),
        ("manifest.json", False),
        ("01-a/b.png", False),
        ("../01.png", False),
        ("01-A.png", False),
        ("01-a.png\n", False),
        (None, False),
        (7, False),
    ],
)
def test_only_names_that_this_package_could_have_given_are_its_own(name: object, ours: bool) -> None:
    assert is_file_name(name) is ours
