"""Renditions: smaller copies beside untouched originals, made once."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath
from PIL import Image, PngImagePlugin

from airflow_provider_seedream.operators.publish import SeedreamPublishOperator
from airflow_provider_seedream.publishing.contact_sheet import contact_sheet
from airflow_provider_seedream.publishing.derivatives import Opened
from airflow_provider_seedream.publishing.errors import RenditionError
from airflow_provider_seedream.publishing.manifest import Manifest, Role
from airflow_provider_seedream.publishing.names import MediaType, Rendition
from airflow_provider_seedream.publishing.publish import Published, publish
from airflow_provider_seedream.publishing.storage import Folder
from airflow_provider_seedream.wavespeed.errors import InvalidInputError
from airflow_provider_seedream.wavespeed.image_set import GeneratedImage, ImageSet
from tests.cdn import Cdn, body, picture

ORIGINALS = [picture("PNG", 200, 150, seed=index) for index in range(2)]
WANTED = {"webp": [50, 100], "jpeg": [100, 4096]}


@pytest.fixture
def cdn() -> Iterator[Cdn]:
    with Cdn() as server:
        for index, data in enumerate(ORIGINALS):
            server.paths[f"/{index}"] = body(data)
        yield server


def put(cdn: Cdn, folder: Path, **options: Any) -> Published:
    links = tuple(GeneratedImage(f"{cdn.url}/{index}") for index in range(2))
    image_set = ImageSet("p1", "m", "2 images. First, a fox. Second, a hare.", "200*150", 2, links, 0.07)
    return publish(image_set, ObjectStoragePath(f"file://{folder}"), **options)


def test_renditions_stand_in_the_manifest_and_originals_stay_as_they_came(cdn: Cdn, tmp_path: Path) -> None:
    put(cdn, tmp_path, renditions=WANTED)
    manifest = Manifest.from_bytes((tmp_path / "manifest.json").read_bytes())
    assert [(tmp_path / each.file).read_bytes() for each in manifest.images] == ORIGINALS
    assert [(each.file, each.of, each.width, each.height) for each in manifest.derivatives] == [
        ("01-a-fox-w100.jpg", "01-a-fox.png", 100, 75),
        ("01-a-fox-w50.webp", "01-a-fox.png", 50, 38),
        ("01-a-fox-w100.webp", "01-a-fox.png", 100, 75),
        ("02-a-hare-w100.jpg", "02-a-hare.png", 100, 75),
        ("02-a-hare-w50.webp", "02-a-hare.png", 50, 38),
        ("02-a-hare-w100.webp", "02-a-hare.png", 100, 75),
    ]
    for each in manifest.derivatives:
        assert each.role is Role.RENDITION
        with Image.open(tmp_path / each.file) as opened:
            assert Image.MIME[opened.format or ""] == each.media_type
            assert opened.size == (each.width, each.height)


def test_what_is_there_is_neither_fetched_nor_made_again(cdn: Cdn, tmp_path: Path) -> None:
    put(cdn, tmp_path)
    put(cdn, tmp_path, renditions=WANTED, storyboard_page=True)
    before = {each: (each.stat().st_mtime_ns, each.read_bytes()) for each in tmp_path.iterdir()}
    put(cdn, tmp_path, renditions=WANTED, storyboard_page=True)
    assert {each: (each.stat().st_mtime_ns, each.read_bytes()) for each in tmp_path.iterdir()} == before
    lost = tmp_path / "02-a-hare-w50.webp"
    lost.write_bytes(b"damaged")
    put(cdn, tmp_path, renditions=WANTED, storyboard_page=True)
    assert lost.read_bytes() == before[lost][1]
    kept = tmp_path / "01-a-fox-w50.webp"
    assert kept.stat().st_mtime_ns == before[kept][0]
    assert len(cdn.requests) == 2


def test_renditions_that_are_wanted_no_more_are_removed_with_the_next_change(
    cdn: Cdn, tmp_path: Path
) -> None:
    put(cdn, tmp_path, renditions=WANTED)
    put(cdn, tmp_path, renditions={"webp": [60]})
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        "01-a-fox-w60.webp",
        "01-a-fox.png",
        "02-a-hare-w60.webp",
        "02-a-hare.png",
        "manifest.json",
    ]


def test_transparency_is_kept_in_webp_and_laid_on_white_in_jpeg() -> None:
    out = io.BytesIO()
    Image.new("RGBA", (64, 64), (255, 0, 0, 0)).save(out, "PNG")
    for media_type, pixel in ((MediaType.WEBP, (0,)), (MediaType.JPEG, (255, 255, 255))):
        _, data = Opened.of(out.getvalue(), 32, "0" * 64).render(Rendition(media_type, 32), "01.png")
        with Image.open(io.BytesIO(data)) as opened:
            assert opened.size == (32, 32)
            assert opened.getpixel((9, 9))[-len(pixel) :] == pixel  # type: ignore[index]


def test_nothing_but_colours_is_taken_over() -> None:
    exif = Image.Exif()
    exif[0x9286] = "canary"
    out = io.BytesIO()
    Image.new("RGB", (64, 64)).save(out, "JPEG", exif=exif, comment=b"canary")
    assert b"canary" in out.getvalue()
    wanted = [Rendition(MediaType.WEBP, 32), Rendition(MediaType.JPEG, 32)]
    opened = Opened.of(out.getvalue(), max(each.width for each in wanted), "0" * 64)
    for each in wanted:
        _, data = opened.render(each, "01.jpg")
        assert b"canary" not in data


@pytest.mark.parametrize(
    "renditions",
    [
        {"gif": [640]},
        {"webp": 640},
        {"webp": "640"},
        {"webp": [15]},
        {"webp": [4097]},
        {"webp": [True]},
        {"webp": [640.0]},
        [640],
        "webp",
    ],
)
def test_wrong_renditions_are_refused_when_the_dag_is_read(renditions: Any) -> None:
    with pytest.raises(InvalidInputError, match="renditions"):
        SeedreamPublishOperator(task_id="publish", image_set={}, path="x", renditions=renditions)


def test_without_pillow_they_are_refused_before_anything_is_fetched(
    cdn: Cdn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_seedream.publishing.pillow.Image", None)
    with pytest.raises(
        InvalidInputError, match=r"airflow-provider-seedream\[pictures\].*leave renditions out"
    ):
        put(cdn, tmp_path, renditions=WANTED)
    assert cdn.requests == []
    assert put(cdn, tmp_path, storyboard_page=True).fetched == 2  # the page alone needs none


def wide_text() -> bytes:
    """A good PNG whose text unpacks to more than Pillow reads."""
    text = PngImagePlugin.PngInfo()
    text.add_text("workflow", '{"node": 1, ' * 100_000, zip=True)
    out = io.BytesIO()
    Image.new("RGB", (200, 150)).save(out, "PNG", pnginfo=text)
    return out.getvalue()


ALL = {"renditions": {"webp": [32]}, "contact_sheet": True, "storyboard_page": True}


def test_what_cannot_be_made_never_keeps_the_images_from_being_published(
    cdn: Cdn, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cdn.paths["/1"] = body(wide_text())
    published = put(cdn, tmp_path, **ALL)
    names = [each.file for each in published.manifest.images]
    assert len(names) == 2
    left_out = [each.file for each in published.manifest.left_out]
    assert left_out == [f"{Path(names[1]).stem}-w32.webp", "contact-sheet.jpg"]
    assert caplog.text.count("is left out: ValueError") == 2
    page = (tmp_path / "index.html").read_text()
    assert all(name in page for name in names)
    assert Manifest.from_bytes((tmp_path / "manifest.json").read_bytes()) == published.manifest
    asked = len(cdn.requests)
    assert put(cdn, tmp_path, **ALL).manifest == published.manifest
    assert len(cdn.requests) == asked


def test_a_user_can_ask_for_a_failure_and_still_gets_images_and_manifest(cdn: Cdn, tmp_path: Path) -> None:
    cdn.paths["/1"] = body(wide_text())
    for _ in range(2):
        with pytest.raises(RenditionError, match=r'are published.*on_rendition_error="skip"') as caught:
            put(cdn, tmp_path, on_rendition_error="fail", **ALL)
        assert not caught.value.transient
        assert len(Manifest.from_bytes((tmp_path / "manifest.json").read_bytes()).images) == 2


def test_a_store_in_trouble_is_no_reason_to_leave_anything_out(
    cdn: Cdn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(cdn, tmp_path)
    monkeypatch.setattr(Folder, "readable", lambda *_: (_ for _ in ()).throw(OSError("the store is away")))
    with pytest.raises(OSError, match="the store is away"):
        put(cdn, tmp_path, **ALL)


def rendered(data: bytes, width: int = 32, media_type: MediaType = MediaType.JPEG) -> Any:
    _, made = Opened.of(data, width, "0" * 64).render(Rendition(media_type, width), "01.jpg")
    return Image.open(io.BytesIO(made))


def saved(image: Any, form: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


@pytest.mark.parametrize("media_type", [MediaType.JPEG, MediaType.WEBP])
@pytest.mark.parametrize(
    ("orientation", "size", "red"), [(1, (32, 16), (3, 8)), (6, (32, 64), (16, 5)), (3, (32, 16), (28, 8))]
)
def test_an_image_that_says_how_it_is_turned_is_turned(orientation, size, red, media_type) -> None:
    half = Image.new("RGB", (64, 32), "blue")
    half.paste("red", (0, 0, 32, 32))
    exif = Image.Exif()
    exif[0x0112] = orientation
    small = rendered(saved(half, "JPEG", exif=exif, quality=95), 32, media_type)
    assert small.size == size
    pixel = small.convert("RGB").getpixel(red)
    assert pixel[0] > 200 > 60 > pixel[2]


def test_sixteen_bits_of_grey_stay_grey() -> None:
    grey = Image.new("I;16", (64, 64), 0x8080)
    assert all(abs(value - 0x80) <= 2 for value in rendered(saved(grey, "PNG")).getpixel((5, 5)))


def test_a_profile_of_another_colour_space_is_not_kept() -> None:
    from PIL import ImageCms

    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[16:20] = b"GRAY"
    small = rendered(saved(Image.new("L", (64, 64), 90), "JPEG", icc_profile=bytes(profile)))
    assert small.mode == "RGB"
    assert "icc_profile" not in small.info


def test_the_profile_of_an_rgb_image_is_kept() -> None:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert (
        rendered(saved(Image.new("RGB", (64, 64)), "JPEG", icc_profile=profile)).info["icc_profile"]
        == profile
    )


@pytest.mark.parametrize("size", [(1, 300), (300, 1), (2, 4_000)])
def test_a_contact_sheet_of_a_steep_image_has_the_size_of_any_other(size: tuple[int, int]) -> None:
    """The sheet took gigabytes where a tile was as steep as its image."""
    sheet = contact_sheet([saved(Image.new("RGB", size), "PNG")], ["a line"])
    with Image.open(io.BytesIO(sheet)) as opened:
        assert opened.width == 1800
        assert opened.height < 6_000


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_exif_that_cannot_be_read_turns_nothing(form: str) -> None:
    made = rendered(saved(Image.new("RGB", (64, 48), "red"), form, exif=b"zzzzzzzzzzzz"))
    assert made.size[0] > made.size[1]


def test_a_transparent_image_is_white_on_the_sheet() -> None:
    sheet = contact_sheet([saved(Image.new("RGBA", (64, 64), (0, 0, 0, 0)), "PNG")], ["a line"])
    with Image.open(io.BytesIO(sheet)) as opened:
        assert (255, 255, 255) in {colour for _, colour in opened.convert("RGB").getcolors(10_000_000) or ()}


def test_a_caption_that_lacks_some_letters_is_named_apart_from_one_that_has_none(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        f"{contact_sheet.__module__}._CANDIDATES", (None,)
    )  # the font of Pillow, which has Latin letters
    captions = ["a hare", "a hare named \u0f40\u0f41", "\u0f40\u0f41", "caf\u00e9 \U0001f98a, 5"]
    contact_sheet([picture()] * 4, captions)
    lines = [each.getMessage() for each in caplog.records]
    assert [each.partition(":")[0] for each in lines] == [
        "The contact sheet has no caption for image 3",
        "The contact sheet has a caption without some letters for image 2",
    ]


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "LA"])
def test_what_is_transparent_is_so_in_what_is_shrunk(mode: str) -> None:
    grey = Image.linear_gradient("L").resize((400, 300)).point(lambda value: max(value, 1))
    grey.paste(0, (0, 0, 200, 300))  # the left half
    out = io.BytesIO()
    if mode == "LA":
        grey.putalpha(grey.point(lambda value: 255 if value else 0))
        grey.save(out, "PNG")
    else:
        clear = (0, 0, 0) if mode == "RGB" else 0
        grey.convert(mode).save(out, "PNG", transparency=clear)
    opened = Opened.of(out.getvalue(), 50, "0" * 64)
    assert (opened.pixels.mode, opened.pixels.size) == ("RGBA", (100, 75))
    assert opened.pixels.crop((0, 0, 45, 75)).getextrema()[3] == (0, 0)
    assert opened.pixels.crop((55, 0, 100, 75)).getextrema()[3] == (255, 255)
