"""Reference pictures: which are taken, which models take them, and what they change of a request."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_seedream.submission.matching import candidates
from airflow_provider_seedream.wavespeed import InvalidInputError, Prediction, operations
from airflow_provider_seedream.wavespeed.references import Reference, media_type, sources_of
from airflow_provider_seedream.wavespeed.request import MODELS, ImageSetRequest, version_for

EDIT, TEXT = "bytedance/seedream-v5.0-lite/edit-sequential", "bytedance/seedream-v5.0-lite/sequential"
FOX, OWL = "https://example.org/fox.png", "http://example.org/owl.jpg?size=2&v=1"
PNG = b"\x89PNG\r\n\x1a\n...."


def build(**inputs):
    return ImageSetRequest.build(**{"prompt": "the fox of figure 1 at dawn", **inputs})


def links(count):
    return [f"https://example.org/{number}.png" for number in range(count)]


def told_of(prediction_images, request):
    inputs = {"prompt": request.prompt, "max_images": request.max_images, "images": prediction_images}
    prediction = Prediction.from_json({"id": "abc", "status": "processing", "input": inputs})
    return candidates([prediction], request) == [prediction]


def test_links_are_sent_as_they_are_and_choose_the_model_that_takes_them():
    request = build(images=[FOX, OWL])
    assert request.model == EDIT
    assert request.inputs() == {
        "prompt": "the fox of figure 1 at dawn",
        "size": "2048*2048",
        "max_images": 1,
        "images": [FOX, OWL],
    }
    assert request.cost_usd == 0.035


def test_every_version_has_two_models_of_one_price_and_knows_its_sibling():
    for model in MODELS.values():
        sibling = MODELS[model.sibling]
        assert sibling.sibling == model.id
        assert (sibling.price_usd, sibling.output_formats) == (model.price_usd, model.output_formats)
        assert bool(sibling.max_references) is not bool(model.max_references)
        for default in (model.id, sibling.id):
            edits = version_for(default, references=True)
            assert edits.endswith("/edit-sequential")
            assert version_for(default, references=False) == MODELS[edits].sibling


@pytest.mark.parametrize("model", [each.id for each in MODELS.values() if each.max_references])
def test_an_edit_model_without_references_is_refused_naming_the_one_for_text(model):
    with pytest.raises(InvalidInputError, match=rf"images=None.*use {MODELS[model].sibling}\."):
        build(model=model)


@pytest.mark.parametrize("model", [each.id for each in MODELS.values() if not each.max_references])
def test_a_text_model_with_references_is_refused_naming_the_one_that_edits(model):
    with pytest.raises(InvalidInputError, match=rf"takes no reference.*use {MODELS[model].sibling}\."):
        build(model=model, images=[FOX])


@given(references=st.integers(1, 12), count=st.integers(1, 15))
def test_references_are_ten_at_most_and_with_the_images_fifteen(references, count):
    inputs = {"images": links(references), "max_images": count, "prompt": "a fox"}
    if references <= 10 and references + count <= 15:
        assert len(build(**inputs).inputs()["images"]) == references
    else:
        with pytest.raises(InvalidInputError, match=r"^images="):
            build(**inputs)


def test_too_many_together_says_how_many_may_be_asked_for():
    with pytest.raises(InvalidInputError, match="Ask for 8 images or fewer"):
        build(images=links(7), prompt="9 images of a fox")


@pytest.mark.parametrize(
    ("image", "told"),
    [
        ("fox.png", "must be a link"),
        ("https://", "must be a link"),
        ("https://example.org/a fox.png", "must be a link"),
        ("ftp://example.org/fox.png", "must be a link"),
        ("http://[", "must be a link"),
        ("https://me:secret@example.org/fox.png", "carries a user or password"),
        ("https://token@example.org/fox.png", "carries a user or password"),
    ],
)
def test_what_is_no_good_link_is_refused_and_no_password_repeated(image, told):
    with pytest.raises(InvalidInputError, match=told) as refused:
        build(images=[FOX, image])
    assert "secret" not in str(refused.value)
    assert "token" not in str(refused.value)


def test_a_refusal_repeats_no_signature():
    with pytest.raises(InvalidInputError, match=r"https://example\.org/fox\.png'") as refused:
        build(images=["https://example.org/fox.png?X-Amz-Signature=c0ffee"] * 11)
    assert "c0ffee" not in str(refused.value)


@pytest.mark.parametrize("images", [[], "https://example.org/fox.png", [5], {"fox": FOX}])
def test_what_is_no_list_of_links_is_refused(images):
    with pytest.raises(InvalidInputError, match=r"^images="):
        build(images=images)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (FOX, [FOX]),
        (f" {FOX}\n", [FOX]),
        ([FOX, "s3://farm/owl.png"], [FOX, "s3://farm/owl.png"]),
        ((FOX,), [FOX]),
        (json.dumps([FOX, OWL]), [FOX, OWL]),
    ],
)
def test_images_may_be_written_in_every_form_a_template_leaves(written, meant):
    assert sources_of(written) == meant


@pytest.mark.parametrize(
    ("written", "told"),
    [
        (f"['{FOX}']", "render_template_as_native_obj"),
        ("", "must be a link"),
        ("None", "must be a link"),
        ([FOX, None], "must be a link"),
        ([FOX, ["x"]], "must be a link"),
        ([], "it is empty"),
        ("[]", "it is empty"),
        (5, "must be a list"),
        ({"images": []}, "must be a list"),
        (["ftp://example.org/fox.png"], "must be a link"),
        (["blob:https://example.org/1"], "must be a link"),
        (["data:image/png;base64,iVBORw0KGgo="], "not documented.*Write it to a file"),
    ],
)
def test_what_names_no_pictures_is_refused(written, told):
    with pytest.raises(InvalidInputError, match=told):
        sources_of(written)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0...", "image/jpeg"),
        (b"RIFF\x10\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"GIF89a...", "image/gif"),
        (b"BM....", "image/bmp"),
        (b"II*\x00....", "image/tiff"),
        (b"MM\x00*....", "image/tiff"),
    ],
)
def test_a_picture_is_known_by_how_it_begins(content, kind):
    assert media_type("fox", content) == kind


@pytest.mark.parametrize("content", [b"", b"<html>", b"root:x:0:0", b"RIFF\x10\x00\x00\x00WAVEfmt ", b"%PDF"])
def test_a_file_that_is_no_picture_is_refused(content):
    with pytest.raises(InvalidInputError, match="it is no image"):
        Reference.file("s3://farm/fox.png", content)


def test_a_file_is_not_sent_before_it_has_a_link_but_priced():
    request = build(images=[Reference.file("fox.png", PNG)])
    with pytest.raises(ValueError, match="not uploaded"):
        operations.submit(request)
    assert "images" not in operations.price(request).json["inputs"]


def test_the_fingerprint_covers_links_by_themselves_and_files_by_their_content():
    one, other = Reference.file("s3://farm/fox.png", PNG), Reference.file("/farm/fox.png", PNG + b"x")
    requests = [build(images=[each]) for each in (FOX, OWL, one, other)]
    requests += [build(images=[FOX, OWL]), build(images=[OWL, FOX]), build()]
    assert len({each.fingerprint("c") for each in requests}) == len(requests)


@given(content=st.binary(), place=st.text(), link=st.text())
def test_the_same_content_is_the_same_request_wherever_it_lies_and_is_uploaded_to(content, place, link):
    first = Reference.file("fox.png", PNG + content)
    second = Reference(place, sha256=first.sha256, url=link)
    assert build(images=[first]).fingerprint("c") == build(images=[second]).fingerprint("c")


def test_a_lost_submission_is_told_by_its_references_as_far_as_they_are_known():
    request = build(images=[FOX, Reference.file("owl.png", PNG)])
    assert told_of([FOX, "https://cdn/upload.png"], request)
    assert told_of(None, request)
    assert not told_of([OWL, "https://cdn/upload.png"], request)
    assert not told_of([FOX], request)
    assert not told_of([FOX], build(prompt=request.prompt))


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "LOCALHOST.", "minio:9000", "minio", "127.0.0.1:9000", "127.1", "10.0.0.5", "172.20.1.1", "192.168.1.5",
        "169.254.1.1", "100.64.0.9", "0.0.0.0", "2130706433", "0x7f.0.0.1", "[::1]", "[fe80::1]", "[fd00::5]", "[::ffff:10.0.0.5]",
        "store.local", "minio.default.svc", "minio.default.svc.cluster.local", "ip-10-0-0-5.ec2.internal", "nas.home.arpa",
        "files.corp.lan", "assets.localhost", "224.0.0.1", "a.test", "nas.home", "files.corp", "img.private", "shop.example", "no.invalid", "host.docker.internal", "nas.docker", "[64:ff9b::a00:1]", "[::127.0.0.1]",
    ],
)  # fmt: skip
def test_a_link_that_the_vendor_cannot_fetch_is_refused_unless_its_api_is_near(host):
    link = f"http://{host}/fox.png?Signature=canary"
    with pytest.raises(
        InvalidInputError, match=r"the vendor cannot fetch it.*which is then uploaded"
    ) as caught:
        Reference.link(link)
    assert "canary" not in str(caught.value)
    assert Reference.link(link, api_is_near=lambda: True).url == link


@pytest.mark.parametrize(
    "host",
    ["example.org", "8.8.8.8", "cdn.example.com:8443", "[2606:4700::1111]", "bücher.example.org", "local.example.org",
     "10.0.0.5.nip.example.org", "v2.example.com", "d1234.cloudfront.net", "my-bucket.s3.eu-central-1.amazonaws.com"],
)  # fmt: skip
def test_a_public_link_is_taken_without_asking_where_the_api_is(host):
    def never() -> bool:
        raise AssertionError("asked")

    link = f"https://{host}/fox.png"
    assert Reference.link(link, api_is_near=never).url == link
