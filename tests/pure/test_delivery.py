"""What came, against what was asked for."""

from __future__ import annotations

import logging

import pytest

from airflow_provider_seedream.wavespeed import DeliveryError, Prediction
from airflow_provider_seedream.wavespeed.image_set import accept, requested_image_set


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
