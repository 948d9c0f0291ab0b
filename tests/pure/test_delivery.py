"""What came, against what was asked for."""

from __future__ import annotations

import datetime as dt
import logging
from dataclasses import replace

import pytest

from airflow_provider_seedream.publishing.source import _made_at
from airflow_provider_seedream.wavespeed import DeliveryError, InvalidInputError, Prediction
from airflow_provider_seedream.wavespeed.image_set import (
    GeneratedImage,
    ImageSet,
    MissingImage,
    accept,
    read_image_set,
    requested_image_set,
)
from airflow_provider_seedream.wavespeed.image_set import delivered as image_set_of


def delivered(flags, requested=3, *, on_short_delivery="accept", on_flagged="keep"):
    prediction = Prediction.from_json(
        {
            "id": "abc",
            "status": "completed",
            "outputs": [f"https://cdn/{place}.png" for place in range(len(flags))],
            "has_nsfw_contents": flags,
        }
    )
    return accept(prediction, requested=requested, on_short_delivery=on_short_delivery, on_flagged=on_flagged)


def test_a_whole_delivery_is_taken_as_it_is():
    assert len(delivered([False, False, False]).outputs) == 3


def test_fewer_pictures_are_taken_with_a_warning(caplog):
    with caplog.at_level(logging.WARNING):
        assert len(delivered([False, False]).outputs) == 2
    assert "abc delivered 2 of 3" in caplog.text


def test_fewer_pictures_fail_where_the_policy_says_so():
    with pytest.raises(DeliveryError, match="abc is complete and paid, but holds 2 of 3"):
        delivered([False, False], on_short_delivery="fail")


def test_no_picture_at_all_fails_under_every_policy():
    with pytest.raises(DeliveryError, match="abc"):
        delivered([])


def test_flagged_pictures_are_kept_and_say_so():
    assert delivered([True, False, False]).flags == (True, False, False)


def test_flagged_pictures_are_dropped_on_request_and_only_those():
    taken = delivered([True, False, None], on_flagged="drop")
    assert taken.outputs == ("https://cdn/1.png", "https://cdn/2.png")
    assert taken.flags == (False, None)


def test_flagged_pictures_fail_on_request():
    with pytest.raises(DeliveryError, match="1 of 3 images are flagged"):
        delivered([True, False, False], on_flagged="fail")


def test_dropping_every_picture_is_a_failure():
    with pytest.raises(DeliveryError, match="3 of 3"):
        delivered([True, True, True], on_flagged="drop")


def told_as_asked(**inputs):
    answer = {"id": "abc", "model": "bytedance/seedream-v4.5/sequential", "status": "created"}
    return requested_image_set(Prediction.from_json({**answer, "input": inputs}))


def test_what_was_asked_for_is_taken_from_what_the_api_tells():
    ordered = told_as_asked(prompt="two hens", size="2560*1440", max_images=2)
    assert (ordered.prompt, ordered.size, ordered.requested) == ("two hens", "2560*1440", 2)
    assert ordered.cost_usd == 0.08


@pytest.mark.parametrize(
    "inputs", [{}, {"prompt": None, "size": "auto", "max_images": True}, {"size": 5, "max_images": 0}]
)
def test_what_the_api_does_not_tell_is_not_made_up(inputs):
    ordered = told_as_asked(**inputs)
    assert (ordered.prompt, ordered.size, ordered.requested, ordered.cost_usd) == (None, None, None, None)


REASON = "OutputImageSensitiveContentDetected: the output may contain sensitive information"
ERROR = {"error": {"code": REASON.partition(": ")[0], "message": REASON.partition(": ")[2]}}
ORDERED = ImageSet(
    "abc", "m", "3 images. First, a fox. Second, an owl. Third, a bear.", "2048*2048", 3, (), 0.105
)


def made(outputs, flags=(), *, ordered=ORDERED, **policies):
    answer = {"id": "abc", "status": "completed", "outputs": outputs, "has_nsfw_contents": list(flags)}
    how = {"on_short_delivery": "accept", "on_flagged": "keep"} | policies
    accepted = accept(Prediction.from_json(answer), requested=ordered.requested, **how)
    return image_set_of(ordered, accepted)


def test_an_empty_place_in_a_list_that_is_too_long_moves_no_scene():
    four = ImageSet(
        "abc",
        "m",
        "4 images. First, a fox. Second, an owl. Third, a bear. Fourth, a hen.",
        "2048*2048",
        4,
        (),
        0.14,
    )
    taken = made(["https://c/1", None, "https://c/3", "https://c/4", "https://c/5"], ordered=four)
    assert taken.numbers == (1, 3, 4, 5)
    assert taken.scenes == ("a fox", "a bear", "a hen", None)
    assert [(each.index, each.scene) for each in taken.missing] == [(2, "an owl")]
    whole = made(["https://c/1", "https://c/2", "https://c/3", "https://c/4", None], ordered=four)
    assert whole.numbers == (1, 2, 3, 4)
    assert whole.missing == ()


@pytest.mark.parametrize(
    ("outputs", "reason"),
    [
        (["https://c/1", None, "https://c/3"], "the API gave no image here, and no reason"),
        (["https://c/1", "", "https://c/3"], "the API gave no image here, and no reason"),
        (["https://c/1", ERROR, "https://c/3"], REASON),
        ([{"url": "https://c/1"}, {"url": None, **ERROR}, {"url": "https://c/3"}], REASON),
        (["https://c/1", {"error": "refused"}, "https://c/3"], "refused"),
        (["https://c/1", {"code": 1401, "message": "refused"}, "https://c/3"], "1401: refused"),
        (["https://c/1", "https://c/\u202e", "https://c/3"], "its link cannot be used"),
        (["https://c/1", {"url": "", "reason": "nsfw"}, "https://c/3"], "nsfw"),
    ],
)
def test_a_set_that_lost_its_second_image_knows_the_places_of_the_others_and_the_reason(outputs, reason):
    seen = made(outputs)
    assert [(each.url[-1], each.index) for each in seen.images] == [("1", 1), ("3", 3)]
    assert seen.scenes == ("a fox", "a bear")
    assert [(each.index, each.reason) for each in seen.missing] == [(2, reason)]
    assert "owl" in str(seen.missing[0].scene)
    assert read_image_set(seen.to_json()) == seen


def test_a_dropped_image_is_missing_and_the_others_keep_their_numbers():
    seen = made([f"https://c/{n}" for n in (1, 2, 3)], [False, True, False], on_flagged="drop")
    assert seen.numbers == (1, 3)
    assert [each.index for each in seen.missing] == [2]
    assert "flagged" in seen.missing[0].reason


def test_a_list_that_is_shorter_than_the_request_says_no_numbers_and_no_scenes():
    seen = made(["https://c/1", "https://c/2"])
    assert [each.index for each in seen.images] == [None, None]
    assert seen.scenes == (None, None)
    assert seen.numbers == (1, 2)
    assert seen.missing == (MissingImage(None, None, "the API delivered fewer images than requested"),)


def test_dropping_from_a_list_that_is_shorter_than_the_request_invents_no_number():
    seen = made(["https://c/1", "https://c/2"], [True, False], on_flagged="drop")
    assert [(each.url, each.index) for each in seen.images] == [("https://c/2", None)]
    assert [each.index for each in seen.missing] == [None, None]


def test_a_whole_set_numbers_its_images_and_misses_none():
    seen = made([f"https://c/{n}" for n in (1, 2, 3)])
    assert [each.index for each in seen.images] == [1, 2, 3]
    assert seen.missing == ()
    assert "missing" not in seen.to_json()


def test_where_every_image_failed_the_error_has_the_reason_of_the_api():
    with pytest.raises(DeliveryError, match=f"holds no image.*image 2: {REASON}"):
        made([None, ERROR])


def test_the_reason_for_a_whole_set_stands_beside_those_of_its_places():
    with pytest.raises(DeliveryError, match=r"holds no image.*image 1: .*; all refused by moderation\)"):
        accept(
            Prediction.from_json(
                {
                    "id": "a",
                    "status": "completed",
                    "outputs": [None, None],
                    "error": "all refused by moderation.",
                }
            ),
            requested=2,
            on_short_delivery="accept",
            on_flagged="keep",
        )


def test_a_set_that_is_collected_late_is_as_old_as_the_api_says():
    seen = replace(
        made(["https://c/1"]),
        created_at="2026-01-01T10:00:00Z",
        completed_at="2026-01-09T10:00:00Z",
        submitted_at=None,
    )
    assert dt.datetime.fromtimestamp(_made_at(seen), dt.UTC) == dt.datetime(2026, 1, 2, 10, tzinfo=dt.UTC)


def test_a_policy_that_wants_all_images_says_which_is_missing_and_why():
    with pytest.raises(DeliveryError, match=f"holds 2 of 3 images.*image 2: {REASON}"):
        made(["https://c/1", ERROR, "https://c/3"], on_short_delivery="fail")


def test_a_reason_is_short_plain_and_without_signatures():
    odd = {"error": {"message": "see\x00 https://c/x?Signature=canary " + "y" * 5_000}}
    (missing,) = made(["https://c/1", odd, "https://c/3"]).missing
    assert len(missing.reason) <= 500
    assert "canary" not in missing.reason
    assert "\x00" not in missing.reason


def test_a_flood_of_empty_places_stays_small():
    seen = made([*[None] * 100_000, "https://c/1"])
    assert len(seen.missing) <= 15
    assert len(seen.images) == 1


@pytest.mark.parametrize(
    "images", [[{"url": "a", "flagged": None, "index": n} for n in (2, 2)], [{"url": "a", "index": 16}]]
)
def test_an_image_set_with_impossible_numbers_is_refused(images):
    with pytest.raises(InvalidInputError, match="index"):
        read_image_set({**ORDERED.to_json(), "images": images})


def test_an_image_set_of_an_earlier_version_has_numbers_by_its_places():
    old = {**ORDERED.to_json(), "images": [{"url": "a", "flagged": None}, {"url": "b", "flagged": True}]}
    assert read_image_set(old).images == (GeneratedImage("a"), GeneratedImage("b", True))
    assert read_image_set(old).numbers == (1, 2)


BASE64 = "iVBORw0KGgoAAAANSUhEUgAA" * 20


@pytest.mark.parametrize("image", ["https://c/1", BASE64, f"data:image/png;base64, {BASE64}"])
def test_a_text_beside_images_is_the_reason_why_one_is_missing(image):
    seen = made([image, "Blocked by the output filter.", image])
    assert [each.index for each in seen.images] == [1, 3]
    assert [(each.index, each.reason) for each in seen.missing] == [(2, "Blocked by the output filter.")]


def test_where_the_answer_names_a_reason_and_no_image_the_error_has_it():
    answer = {"id": "abc", "status": "completed", "outputs": [], "error": "all outputs were blocked"}
    with pytest.raises(DeliveryError, match=r"holds no image \(all outputs were blocked\)"):
        accept(Prediction.from_json(answer), requested=3, on_short_delivery="accept", on_flagged="keep")


@pytest.mark.parametrize(
    "text",
    [
        f"data:image/png;base64, {BASE64 * 100}",
        f"data:image/png;base64,{chr(10).join([BASE64] * 100)}",
        " ".join([BASE64] * 100),
        "\r\n".join([BASE64[:76]] * 400),
    ],
    ids=["blank", "lines", "blanks", "mail"],
)
def test_an_image_within_the_answer_is_never_cut(text):
    answer = {"id": "abc", "status": "completed", "outputs": [text]}
    assert Prediction.from_json(answer).outputs == (text,)


@pytest.mark.parametrize("odd", ["p\x001", "", "p 1", "\ud800", "p" * 129, None])
def test_an_image_set_whose_id_is_none_is_refused(odd):
    with pytest.raises(InvalidInputError, match=r"image_set.prediction_id"):
        read_image_set({**ORDERED.to_json(), "prediction_id": odd})


def test_the_texts_of_a_given_image_set_are_storable():
    odd = {
        "prompt": "a fox\x00\n\ud800 at dawn",
        "model": "m\x1b",
        "images": [{"url": "https://c/\x071", "flagged": None}],
    }
    taken = read_image_set({**ORDERED.to_json(), **odd})
    assert taken.prompt == "a fox\N{REPLACEMENT CHARACTER}\n\N{REPLACEMENT CHARACTER} at dawn"
    assert taken.model == "m\N{REPLACEMENT CHARACTER}"
    assert taken.images[0].url.isprintable()


def test_more_images_than_a_set_has_are_refused():
    images = [{"url": f"https://c/{number}", "flagged": None} for number in range(16)]
    with pytest.raises(InvalidInputError, match=r"image_set.images=16 is refused: a set has at most 15"):
        read_image_set({**ORDERED.to_json(), "images": images})


@pytest.mark.parametrize(
    "item",
    [{"reason": "moderated"}, {"detail": "moderated"}, {"error": ["moderated"]}, {"errors": "moderated"}],
)
def test_a_reason_under_another_name_is_kept(item):
    assert made(["https://c/1", item, "https://c/3"]).missing[0].reason == "moderated"


def test_where_all_outputs_are_texts_the_error_says_them():
    with pytest.raises(DeliveryError, match=r"holds no image.*image 1: Sorry, moderated"):
        made(["Sorry, moderated.", "Sorry, moderated.", "Sorry, moderated."])


def test_a_link_without_a_host_is_missing():
    assert [each.index for each in made(["https://c/1", "https://", "https://c/3"]).missing] == [2]
