"""Reading answers in every shape that the API reference allows for."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_seedream.wavespeed import (
    ApiError,
    BadRequestError,
    ImageSetRequest,
    InternalServerError,
    InvalidResponseError,
    PermissionDeniedError,
    Prediction,
    Status,
    operations,
)
from airflow_provider_seedream.wavespeed.operations import Answer, retry_after

LOOK = operations.result("abc")


def envelope(data, code=200):
    return json.dumps({"code": code, "message": "success", "data": data})


def test_a_prediction_is_read_with_links_flags_and_times():
    seen = Answer(
        200,
        envelope(
            {
                "id": "abc",
                "model": "m",
                "status": "completed",
                "outputs": ["https://cdn/1.png", {"url": "https://cdn/2.png"}],
                "has_nsfw_contents": [False],
                "created_at": "2026-01-01T00:00:00.123456789Z",
                "timings": {"inference": 4211},
            }
        ),
    ).parse(LOOK)
    assert seen.outputs == ("https://cdn/1.png", "https://cdn/2.png")
    assert seen.flags == (False, None)
    assert seen.inference_ms == 4211
    assert seen.status is Status.COMPLETED


SECRET = "secret" * 4
SIGNED = (
    f"Cannot fetch https://me:{SECRET}@bucket/fox.png?X-Amz-Signature={SECRET}, nor HTTP://b/2.png#{SECRET}"
)
SHOWN = "Cannot fetch https://***@bucket/fox.png nor HTTP://b/2.png"


def test_links_in_the_text_of_a_failure_keep_no_signature():
    failed = Answer(200, envelope({"id": "abc", "status": "failed", "error": SIGNED})).parse(LOOK)
    assert failed.error == SHOWN


@pytest.mark.parametrize(
    "call", [LOOK, operations.submit(ImageSetRequest.build(prompt="a fox"))], ids=["look", "submit"]
)
@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("shape", ["message", "page", "data"])
def test_links_in_what_an_error_repeats_keep_no_signature_wherever_it_is_cut(shape, status, call):
    for padding in range(0, 520, 10):
        words = f"{'x' * padding} {SIGNED}"
        body = {
            "message": json.dumps({"code": 400, "message": words}),
            "page": f"<p>{words}</p>",
            "data": envelope({"error": words}),
        }[shape]
        with pytest.raises(ApiError) as told:
            Answer(status, body).parse(call)
        assert "secret" not in str(told.value)


def test_outputs_given_as_one_text_are_one_picture():
    assert Prediction.from_json(
        {"id": "a", "status": "completed", "outputs": "https://cdn/1.png"}
    ).outputs == ("https://cdn/1.png",)


def test_an_unknown_status_keeps_its_word_and_is_not_an_end():
    seen = Prediction.from_json({"id": "a", "status": "warming-up"})
    assert seen.status is Status.UNKNOWN
    assert seen.status_word == "warming-up"
    assert not seen.status.ended


def test_an_error_code_inside_a_200_counts_as_that_code():
    with pytest.raises(PermissionDeniedError, match=r"200 with code 403.*insufficient role"):
        Answer(200, json.dumps({"code": 403, "message": "insufficient role"})).parse(LOOK)


def test_a_flat_error_is_told_in_the_servers_words():
    with pytest.raises(BadRequestError, match="no webhook with base64"):
        Answer(400, json.dumps({"error": "no webhook with base64"})).parse(LOOK)


def test_of_a_gateways_page_only_kind_and_length_are_shown():
    page = Answer(502, "<html>" + "x" * 10_000, {"content-type": "text/html; charset=utf-8"})
    with pytest.raises(
        InternalServerError, match=r"502: 10,006 characters that are no JSON \(content type: html\)"
    ):
        page.parse(LOOK)


def test_an_empty_gateway_answer_says_so():
    with pytest.raises(InternalServerError, match="empty body"):
        Answer(504, "").parse(LOOK)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "not json",
        "[]",
        "null",
        "{}",
        '{"code":200}',
        envelope(None),
        envelope([]),
        envelope({"id": ""}),
        envelope({"id": 5}),
    ],
)
def test_a_success_that_holds_no_prediction_is_unreadable(body):
    with pytest.raises(InvalidResponseError):
        Answer(200, body).parse(LOOK)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
fields = ["id", "status", "outputs", "has_nsfw_contents", "timings", "code", "error", "created_at", "input"]


@given(st.integers(100, 599), st.text(max_size=40) | st.builds(json.dumps, json_values))
def test_no_body_whatever_raises_anything_but_our_errors(status, body):
    with contextlib.suppress(ApiError):
        Answer(status, body).parse(LOOK)


@given(st.dictionaries(st.sampled_from(fields), json_values))
def test_no_prediction_data_whatever_raises_anything_but_unreadable(data):
    try:
        seen = Prediction.from_json(data)
    except InvalidResponseError:
        return
    assert len(seen.flags) == len(seen.outputs)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"Retry-After-Ms": "250", "Retry-After": "9"}, 0.25),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-3"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"}, None),
    ],
)
def test_retry_after_is_read_in_every_form(headers, seconds):
    assert retry_after(headers) == seconds


def test_retry_after_as_a_date_counts_from_now_and_never_below_zero():
    now = datetime.now(UTC)
    assert (
        55
        < (retry_after({"Retry-After": format_datetime(now + timedelta(seconds=60), usegmt=True)}) or 0)
        <= 60
    )
    assert retry_after({"Retry-After": format_datetime(now - timedelta(seconds=60), usegmt=True)}) == 0


def test_an_id_cannot_leave_its_place_in_the_path():
    assert (
        operations.result("../../balance?x=1").path == "/api/v3/predictions/..%2F..%2Fbalance%3Fx%3D1/result"
    )


def test_only_the_submission_pays():
    request = ImageSetRequest.build(prompt="a fox")
    now = datetime.now(UTC)
    others = [
        LOOK,
        operations.balance(),
        operations.price(request),
        operations.list_predictions(model="m", created_after=now, created_before=now),
    ]
    assert operations.submit(request).pays
    assert not any(call.pays for call in others)


def test_the_price_that_counts_is_the_discounted_one():
    call = operations.price(ImageSetRequest.build(prompt="a fox"))
    assert call.read({"price": 0.2, "discounted_price": 0.1}) == 0.1
    assert call.read({"unit_price": 0.3}) == 0.3
    assert call.read({"price": 0.2, "discounted_price": 0, "unit_price": 0.04}) == 0.2
    assert call.read({"price": "0.07", "discounted_price": None}) == 0.07


def test_a_price_of_one_image_counts_for_each_image_asked_for():
    call = operations.price(ImageSetRequest.build(prompt="4 foxes", max_images=4), path="pricing")
    assert call.read({"unit_price": 0.035}) == pytest.approx(0.14)


@pytest.mark.parametrize("path", ["price", "pricing"])
@pytest.mark.parametrize("name", ["price", "discounted_price", "unit_price"])
@pytest.mark.parametrize(
    "told",
    [
        True,
        False,
        1e-12,
        0,
        "0",
        -0.07,
        float("nan"),
        float("inf"),
        "NaN",
        "free",
        10**400,
        [],
        {},
        1e9,
        0.0013,
        2.9,
    ],
)
def test_a_price_that_makes_no_sense_is_unreadable_and_says_the_way_out(name, told, path):
    call = operations.price(ImageSetRequest.build(prompt="2 foxes", max_images=2), path=path)
    with pytest.raises(InvalidResponseError, match=r"Nothing is paid. Set price_source=\"table\""):
        Answer(200, envelope({name: told})).parse(call)


@pytest.mark.parametrize("told", [True, "NaN", float("inf"), [], None, "much", 10**400])
def test_a_balance_that_is_no_amount_is_unreadable(told):
    with pytest.raises(InvalidResponseError):
        Answer(200, envelope({"balance": told})).parse(operations.balance())


@pytest.mark.parametrize("told", ["abc", {"a": 1}, 5, True, [5], [{"id": "a\x00"}], [[]]])
def test_a_list_that_is_none_of_predictions_is_unreadable(told):
    now = datetime.now(UTC)
    call = operations.list_predictions(model="m", created_after=now, created_before=now)
    with pytest.raises(InvalidResponseError):
        Answer(200, envelope({"items": told})).parse(call)


@pytest.mark.parametrize(
    "told", ["https://c/\x00", "https://c/a b", "https://c/\ud800", "https://c/" + "x" * 5000]
)
def test_an_upload_whose_link_cannot_be_stored_is_unreadable(told):
    with pytest.raises(InvalidResponseError):
        Answer(200, envelope({"download_url": told})).parse(operations.upload("a.png", "image/png", b"x"))


@pytest.mark.parametrize("code", [True, "403", 1200, -1, 10**400, 1.5, [], {}])
def test_an_odd_code_of_an_envelope_is_success_or_unreadable(code):
    with contextlib.suppress(InvalidResponseError):
        Answer(200, json.dumps({"code": code, "data": {"id": "abc", "status": "created"}})).parse(LOOK)
