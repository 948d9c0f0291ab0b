"""Whatever an answer says, what is made of it can be stored, is short, and does not show the key."""

from __future__ import annotations

import contextlib
import html
import json
import logging
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_seedream.waiting.poll import Outcome, PollResult
from airflow_provider_seedream.wavespeed import ApiError, ImageSetRequest, Prediction, Status, operations
from airflow_provider_seedream.wavespeed.errors import (
    InvalidResponseError,
    PollInterruptedError,
    PollRejectedError,
)
from airflow_provider_seedream.wavespeed.operations import Answer
from airflow_provider_seedream.wavespeed.redaction import Redaction
from airflow_provider_seedream.wavespeed.validation import NestedTooDeepError, plain, read_json, storable

ODD = "\x00\ud800\x1b[31m\x07\x85\udfff\x9b"
LOOK = operations.result("abc")
SUBMIT = operations.submit(ImageSetRequest.build(prompt="a fox"))


def envelope(data, **more):
    return json.dumps({"code": 200, "message": "success", "data": data, **more})


def assert_storable(value, most=6000):
    """What PostgreSQL takes as JSON, and Airflow sends between its processes."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    text.encode("utf-8")
    assert "\\u0000" not in text
    assert len(text) <= most
    for each in json.loads(text).values() if isinstance(value, dict) else ():
        if isinstance(each, str):
            assert each.isprintable()


def event(**data):
    seen = Prediction.from_json({"id": "abc", "status": "failed", **data})
    return PollResult.of(seen).event()


@pytest.mark.parametrize("name", ["error", "status", "model", "created_at"])
@pytest.mark.parametrize(
    "value", [ODD, f"a{ODD}b", "x" * 10**6, {"a": ODD}, [ODD] * 1000, 10**400, 1e308, True]
)
def test_every_text_of_an_answer_is_storable_and_short(name, value):
    seen = Prediction.from_json({"id": "abc", "status": "failed", name: value})
    for text in (seen.error, seen.status_word, seen.model, seen.created_at or ""):
        text.encode("utf-8")
        assert text.isprintable()
    assert len(seen.error) <= 2000
    assert len(seen.status_word) <= 60
    assert len(seen.model) <= 200
    assert len(seen.created_at or "") <= 60
    assert_storable(event(**{name: value}))


@pytest.mark.parametrize(
    "odd", ["abc\x00", "a b", "a/b", "ab\ud800", "x" * 129, "é", "abc\n", 5, True, ["a"], {"a": 1}]
)
def test_an_id_that_does_not_look_like_one_is_unreadable_and_shown_in_plain(odd):
    for call in (LOOK, SUBMIT):
        with pytest.raises(InvalidResponseError, match="id") as told:
            Answer(200, envelope({"id": odd, "status": "created"})).parse(call)
        assert str(told.value).isprintable()
        assert len(str(told.value)) < 1500


@pytest.mark.parametrize("named", ["a", "0f8fad5bd9cb469fa16570867728950e", "x" * 128, "A-b_9"])
def test_an_id_of_letters_digits_and_dashes_is_one(named):
    assert Prediction.from_json({"id": named, "status": "created"}).id == named


@pytest.mark.parametrize(
    ("code", "read"),
    [
        (1200, 1200),
        ("5000", 5000),
        (5003.0, 5003),
        (True, None),
        (-1, None),
        (0, None),
        (10**400, None),
        ("x", None),
        (float("inf"), None),
        (float("nan"), None),
        ([], None),
        ({}, None),
        ("9" * 5000, None),
        (10**6, None),
    ],
)
def test_a_task_code_is_a_small_number_or_none(code, read):
    assert Prediction.from_json({"id": "a", "status": "failed", "code": code}).code == read


@pytest.mark.parametrize("time", [True, -5, 10**400, float("inf"), "soon", [1], 10**13])
def test_an_inference_time_is_a_number_of_milliseconds_or_none(time):
    seen = Prediction.from_json({"id": "a", "status": "completed", "timings": {"inference": time}})
    assert seen.inference_ms is None


@pytest.mark.parametrize(
    "bad",
    ["https://c/\x00.png", "https://c/\ud800", "http://c/a\nb", "https://c/" + "x" * 5000, "https://c/\x9b"],
)
def test_a_link_that_cannot_be_stored_counts_as_missing_and_takes_its_flag_along(bad, caplog):
    with caplog.at_level(logging.WARNING):
        seen = Prediction.from_json(
            {
                "id": "a",
                "status": "completed",
                "outputs": [bad, {"url": "https://c/2.png"}, {"url": bad}, " HTTPS://c/ 3.png\n"],
                "has_nsfw_contents": [True, False, True, True],
            }
        )
    assert seen.outputs == ("https://c/2.png", "HTTPS://c/%203.png")
    assert seen.flags == (False, True)
    assert seen.has_links
    assert "counts as missing" in caplog.text


def test_text_as_an_output_keeps_its_lines_and_is_storable_and_bounded():
    written = f"2 images.\nFirst,\ta fox{ODD}. " + "x" * 50_000
    (text,) = Prediction.from_json({"id": "a", "status": "completed", "outputs": [written]}).outputs
    text.encode("utf-8")
    assert text.startswith("2 images.\nFirst,\ta fox")
    assert not any(odd in text for odd in "\x00\x1b\x07")
    assert len(text) == 20_000


def test_base64_as_an_output_is_as_long_as_it_is():
    image = "QUJD" * 100_000
    assert Prediction.from_json({"id": "a", "status": "completed", "outputs": [image]}).outputs == (image,)


def test_an_input_that_cannot_be_compared_says_nothing_and_a_text_is_made_plain():
    told = {
        "prompt": "a fox\nat dawn",
        "max_images": 2,
        "images": ["https://c/1.png", None],
        "text": f"a{ODD}",
        "long": "x" * 20_001,
        "huge": 10**400,
        "nested": [["a"]],
        "mapping": {"a": 1},
        "number": 1.5,
        f"key{ODD}": 1,
    }
    seen = Prediction.from_json({"id": "a", "status": "created", "input": told})
    assert storable(json.dumps(seen.input))
    assert seen.input == {
        "prompt": "a fox\nat dawn",
        "max_images": 2,
        "images": ["https://c/1.png", None],
        "text": plain(f"a{ODD}", 100, lines=True),
        "long": "x" * 19_999 + "…",
    }


@pytest.mark.parametrize("status", [200, 400, 403, 429, 502])
@pytest.mark.parametrize("name", ["message", "error", "detail", "errors", "error_code"])
@pytest.mark.parametrize("value", [ODD, "x" * 10**6, [ODD], {"a": [ODD]}, 10**400, True])
def test_the_error_of_an_odd_answer_is_storable_and_short(status, name, value):
    for call in (LOOK, SUBMIT):
        with pytest.raises(ApiError) as told:
            Answer(status, json.dumps({name: value})).parse(call)
        assert str(told.value).isprintable()
        assert len(str(told.value)) < 1000


@pytest.mark.parametrize("depth", [500, 900, 990, 2000, 100_000])
@pytest.mark.parametrize("name", ["error", "status", "outputs", "input", "code"])
def test_an_answer_nested_however_deep_raises_nothing_but_ours(depth, name):
    nested = (
        f'{{"code": 200, "data": {{"id": "abc", "status": "created", "{name}": {"[" * depth}{"]" * depth}}}}}'
    )
    for redaction in (None, Redaction("key-of-a-test")):
        for call in (LOOK, SUBMIT):
            with contextlib.suppress(ApiError):
                Answer(200, nested.replace("created", "created%20"), {}, redaction).parse(call)


def test_no_start_of_a_foreign_answer_is_shown():
    page = "<html>internal: the password is swordfish"
    for status in (200, 404, 502):
        for call in (LOOK, SUBMIT):
            for body in (page, json.dumps([page]), json.dumps({"secret": page}), envelope({"secret": page})):
                with pytest.raises(ApiError) as told:
                    Answer(status, body, {"Content-Type": f"text/html; {page}"}).parse(call)
                assert "swordfish" not in str(told.value)


texts = st.text(st.characters(codec=None, categories=["Cc", "Cs", "Lu", "Po"]), max_size=300)


@given(texts, texts, texts, st.sampled_from(Outcome))
def test_an_event_is_storable_whoever_wrote_its_texts(named, word, message, outcome):
    seen = Prediction(named, word, Status.UNKNOWN, word, error=message, created_at=word)
    assert_storable(PollResult(outcome, named, seen, PollRejectedError(message)).event())


@pytest.mark.parametrize(
    "odd",
    [
        None,
        "text" * 10**5,
        {"outcome": ODD},
        {"outcome": "failed", "prediction_id": "a", "prediction": "no mapping", "error": None},
        {"outcome": "error", "prediction_id": "a", "prediction": None, "error": [ODD]},
    ],
)
def test_what_is_no_event_of_ours_is_shown_as_plain_text(odd):
    with pytest.raises(PollInterruptedError) as told:
        PollResult.from_event(odd)
    assert str(told.value).isprintable()
    assert len(str(told.value)) < 3000


@pytest.mark.parametrize("outcome", list(Outcome))
def test_an_event_with_odd_texts_is_read_as_plain_ones(outcome):
    said = {"status": ODD, "code": [ODD], "error": ODD * 9999}
    odd = {
        "outcome": outcome.value,
        "prediction_id": ODD,
        "prediction": said,
        "error": {"message": ODD, "class": ODD},
    }
    verdict = PollResult.from_event(odd)
    assert verdict.prediction_id.isprintable()
    assert str(verdict.error).isprintable()


KEY = "Kd8/+=&<\">'%7\\a-Z_9{}x"


def by_hex(template):
    return lambda key: "".join(template.format(ord(each)) for each in key)


FORMS = {
    "plain": str,
    "percent": by_hex("%{:02X}"),
    "percent lower": by_hex("%{:02x}"),
    "percent of what must be": lambda key: quote(key, safe=""),
    "percent twice": lambda key: quote(quote(key, safe=""), safe=""),
    "percent thrice": lambda key: quote(quote(by_hex("%{:02x}")(key))),
    "html": html.escape,
    "html decimal": by_hex("&#{};"),
    "html zeros": by_hex("&#00{};"),
    "html hex": by_hex("&#x{:x};"),
    "html hex upper": by_hex("&#X{:X}"),
    "html twice": lambda key: html.escape(html.escape(key)),
    "json": lambda key: json.dumps(key)[1:-1],
    "json slashes": lambda key: json.dumps(key)[1:-1].replace("/", "\\/"),
    "json numbers": by_hex("\\u{:04x}"),
    "json upper": by_hex("\\u{:04X}"),
    "json in json": lambda key: json.dumps(json.dumps(key))[3:-3],
    "html in percent": lambda key: quote(html.escape(key), safe=""),
    "percent in html": lambda key: by_hex("&#{};")(quote(key, safe="")),
    "json in percent": lambda key: quote(by_hex("\\u{:04x}")(key)),
    "mixed": lambda key: "".join(
        by_hex(("%{:02x}", "&#{};", "\\u{:04X}")[at % 3])(each) for at, each in enumerate(key)
    ),
}


def unfolded(text):
    """A text and all that it may be decoded to by somebody who wants to."""
    seen = {text}
    for _ in range(4):
        more = {html.unescape(each) for each in seen} | {unquote(each) for each in seen}
        for each in seen:
            with contextlib.suppress(ValueError):
                more.add(json.loads(f'"{each}"'))
        seen |= more
    return seen


@pytest.mark.parametrize("key", [KEY, "canary-key-7f3a9d51", "sk-live-" + "Z" * 300, "short", "a"], ids=len)
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_text_for_people_never_shows_the_key_in_any_form(key, form):
    redaction = Redaction(key)
    repeated = form(key)
    for body in (
        {"code": 401, "message": f"unknown key [{repeated}]!"},
        {"code": 200, "data": {"id": "0f8f0d5b", "status": "failed", "error": f"key [{repeated}]!"}},
    ):
        try:
            told = Answer(200, json.dumps(body), {}, redaction).parse(operations.result("0f8f0d5b")).error
        except ApiError as error:
            told = str(error).partition("code 401: ")[2].partition(" Check the API key")[0]
        assert told
        assert not any(key in each for each in unfolded(told))


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("key", [KEY, "canary-7"], ids=["odd characters", "eight characters"])
def test_the_key_in_a_successful_answer_reaches_no_field(key, form):
    repeated = form(key)
    body = envelope(
        {
            "id": "0f8f0d5b",
            "status": f"at {repeated}",
            "model": f"m/{repeated}",
            "created_at": repeated,
            "error": repeated,
            "outputs": [f"https://c/1.png?key={repeated}", "https://c/2.png", f"text of {repeated}"],
            "has_nsfw_contents": [True, False, None],
            "input": {"prompt": repeated, repeated[:50]: 1},
        }
    )
    seen = Answer(200, body, {}, Redaction(key)).parse(operations.result("0f8f0d5b"))
    assert "https://c/2.png" in seen.outputs
    assert not any(each.startswith("https://c/1") for each in seen.outputs)
    assert not any(key in each for each in unfolded(repr(seen.outputs)) | unfolded(repr(seen)))


def test_a_prediction_whose_id_holds_the_key_is_unreadable():
    for named in ("canary-7", "xxcanary-7xx"):
        with pytest.raises(InvalidResponseError) as told:
            Answer(200, envelope({"id": named, "status": "created"}), {}, Redaction("canary-7")).parse(SUBMIT)
        assert "canary-7" not in f"{told.value} {told.value.prediction_id}"


def test_a_key_that_is_part_of_everything_by_chance_breaks_nothing():
    body = envelope(
        {"id": "abc-abc", "status": "completed", "model": "abc", "outputs": ["https://abc/1.png"]}
    )
    seen = Answer(200, body, {}, Redaction("abc")).parse(operations.result("abc-abc"))
    assert (seen.id, seen.model, seen.outputs) == ("abc-abc", "abc", ("https://abc/1.png",))
    assert seen.status is Status.COMPLETED


def test_no_half_of_a_key_is_left_where_a_long_text_is_cut():
    key = "canary-key-7f3a9d51"
    for padding in range(60):
        text = key * 1000 + "x" * padding + key * 1000
        assert "canary" not in Redaction(key).text(text)
        assert "7f3a" not in Redaction(key).text(text)


@pytest.mark.parametrize(("text", "held"), [("[" * 100 + "]" * 100, True), ("[" * 101 + "]" * 101, False)])
def test_json_from_outside_is_decoded_down_to_a_depth_that_leaves_room_on_the_stack(text, held):
    if held:
        assert read_json(text) == read_json(text.encode())
    else:
        with pytest.raises(NestedTooDeepError):
            read_json(text)


@pytest.mark.parametrize(
    "text", ['["' + "[" * 500 + '"]', '{"a": "\\"' + "{" * 500 + '"}', "[" + "[]," * 500 + "[]]"]
)
def test_brackets_in_texts_and_beside_each_other_are_no_depth(text):
    assert read_json(text) == json.loads(text)
