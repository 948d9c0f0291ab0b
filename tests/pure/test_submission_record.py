"""What a try does about what earlier tries left behind: never pay twice."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_seedream.operators.base import Ceiling, check
from airflow_provider_seedream.submission.decisions import (
    Changed,
    Collect,
    Fetch,
    GiveUp,
    Lost,
    Missing,
    Resume,
    Submit,
    Unseen,
    decide,
)
from airflow_provider_seedream.submission.matching import (
    Window,
    adoptable,
    candidates,
    identified,
    possible,
    unclaimed,
)
from airflow_provider_seedream.submission.record import (
    Attempt,
    Phase,
    SubmissionRecord,
    UnreadableRecordError,
)
from airflow_provider_seedream.wavespeed import BudgetExceededError, ImageSetRequest, Prediction, Status
from airflow_provider_seedream.wavespeed.optimizer import EnhancementRequest

INTENT = SubmissionRecord(
    phase=Phase.INTENT, fingerprint="f", max_tries=1, cost_usd=0.14, intent_at=1000.0, arrives_by=1300.0
)
SUBMITTED = INTENT.submitted("abc", at=1001.0, deadline=4600.0)


def seen(status, **more):
    return Prediction.from_json({"id": "abc", "status": status, **more})


def decided(record, *, prediction=None, fingerprint="f", max_tries=1, on_clear="resubmit", **counters):
    attempt = Attempt(max_tries, **counters)
    return decide(record, fingerprint=fingerprint, attempt=attempt, on_clear=on_clear, prediction=prediction)


def test_nothing_remembered_is_submitted_by_the_first_try_only():
    assert isinstance(decided(None), Submit)
    assert decided(None, try_number=2) == Missing()
    assert decided(None, max_tries=2, try_number=2, retries=1) == Missing()


def test_a_first_try_that_paid_nothing_leaves_the_next_one_free():
    assert isinstance(decided(SubmissionRecord.nothing(Attempt(1)), try_number=2), Submit)


def test_a_missing_record_stays_to_be_searched_for_whatever_is_asked_for():
    missing = SubmissionRecord.missing(Attempt(1, 2), since=1.0, arrives_by=2.0)
    assert decided(missing, fingerprint="g", try_number=3) == Lost(missing)
    assert missing.may_be_spent_usd == 0.0


def test_an_intent_is_searched_for_after_a_clear_as_well():
    assert decided(INTENT, max_tries=2) == Lost(INTENT)
    assert isinstance(decided(INTENT, max_tries=2, fingerprint="g"), Submit)


@pytest.mark.parametrize(
    ("attempt", "delivered", "cleared"),
    [
        (Attempt(2, 2, retries=2), True, False),
        (Attempt(3, 2, retries=2), False, True),
        (Attempt(2, 2, retries=1), True, True),
        (Attempt(2, 2, retries=1), False, False),
        (
            Attempt(2, 2, retries=1, clear_number=1),
            False,
            False,
        ),  # another task of the run may be what was cleared
        (Attempt(2, 2, retries=2, clear_number=1), True, False),
        (Attempt(2, 2, retries=5, clear_number=1), True, False),
        (Attempt(2, 3, retries=1), True, True),
    ],
)
def test_a_clear_is_told_from_a_retry_though_retries_was_edited(attempt, delivered, cleared):
    record = replace(SUBMITTED, max_tries=2, try_number=1, delivered=delivered)
    assert record.cleared_since(attempt) is cleared


def test_a_record_of_an_earlier_version_tells_a_clear_by_max_tries_alone():
    assert SUBMITTED.cleared_since(Attempt(2, 2))
    assert not replace(SUBMITTED, delivered=True).cleared_since(Attempt(1, 2, retries=0, clear_number=3))


def test_an_intent_without_an_id_is_lost_not_absent():
    assert decided(INTENT) == Lost(INTENT)


def test_a_submitted_prediction_is_fetched_first():
    assert decided(SUBMITTED) == Fetch("abc")


@pytest.mark.parametrize("status", ["created", "pending", "processing", "an-unknown-word"])
def test_a_running_prediction_is_resumed_even_after_a_clear(status):
    assert isinstance(decided(SUBMITTED, prediction=seen(status)), Resume)
    assert isinstance(decided(SUBMITTED, prediction=seen(status), max_tries=2), Resume)


def test_a_prediction_that_is_not_visible_now_is_resumed_and_one_that_is_forgotten_is_not():
    assert decided(SUBMITTED, prediction=Unseen.FOR_NOW) == Resume("abc", None)
    assert decided(SUBMITTED, prediction=Unseen.FOR_NOW, fingerprint="g") == Changed(SUBMITTED)
    assert isinstance(decided(SUBMITTED, prediction=Unseen.FORGOTTEN, max_tries=2), Submit)


def test_a_completed_prediction_is_collected_by_a_retry():
    assert isinstance(decided(SUBMITTED, prediction=seen("completed")), Collect)


def test_a_clear_of_a_completed_task_makes_new_pictures_unless_told_to_reuse():
    delivered = replace(SUBMITTED, delivered=True)
    assert isinstance(decided(delivered, prediction=seen("completed"), max_tries=2), Submit)
    assert isinstance(
        decided(delivered, prediction=seen("completed"), max_tries=2, on_clear="reuse"), Collect
    )


def test_a_clear_collects_a_completed_set_that_was_never_delivered():
    assert isinstance(decided(SUBMITTED, prediction=seen("completed"), max_tries=2), Collect)


def test_a_failure_that_may_pass_is_submitted_anew_and_a_final_one_is_not():
    assert isinstance(decided(SUBMITTED, prediction=seen("failed", code=5000)), Submit)
    assert isinstance(decided(SUBMITTED, prediction=seen("failed", code=1200)), GiveUp)
    assert isinstance(decided(SUBMITTED, prediction=seen("failed", code=1200), max_tries=2), Submit)


@pytest.mark.parametrize("status", ["cancelled", "timeout", "deleted"])
def test_a_prediction_ended_by_the_server_is_submitted_anew(status):
    assert isinstance(decided(SUBMITTED, prediction=seen(status)), Submit)


def test_a_changed_request_is_not_paid_beside_the_old_one_without_a_clear():
    assert decided(INTENT, fingerprint="g") == Changed(INTENT)
    assert decided(SUBMITTED, fingerprint="g", prediction=seen("processing")) == Changed(SUBMITTED)
    assert decided(SUBMITTED, fingerprint="g", prediction=seen("completed")) == Changed(SUBMITTED)
    assert isinstance(decided(SUBMITTED, fingerprint="g", max_tries=2), Submit)


@given(
    record=st.sampled_from([INTENT, SUBMITTED]),
    status=st.sampled_from([each.value for each in Status]),
    code=st.sampled_from([None, 1200, 5000]),
    fingerprint=st.sampled_from("fg"),
    on_clear=st.sampled_from(["resubmit", "reuse"]),
)
def test_without_a_clear_nothing_is_paid_while_an_unfailed_prediction_may_exist(
    record, status, code, fingerprint, on_clear
):
    prediction = seen(status, code=code)
    decision = decided(
        record,
        prediction=prediction if record.phase is Phase.SUBMITTED else None,
        fingerprint=fingerprint,
        on_clear=on_clear,
    )
    if isinstance(decision, Submit):
        assert record.phase is Phase.SUBMITTED
        assert prediction.status in (Status.FAILED, Status.CANCELLED, Status.TIMEOUT, Status.DELETED)


@given(
    st.builds(
        SubmissionRecord,
        phase=st.just(Phase.SUBMITTED),
        fingerprint=st.text(),
        max_tries=st.integers(1, 99),
        cost_usd=st.floats(0, 10),
        intent_at=st.floats(0, 2e9),
        arrives_by=st.floats(0, 2e9),
        prediction_id=st.text(min_size=1),
        submitted_at=st.none() | st.floats(0, 2e9),
        deadline=st.none() | st.floats(0, 2e9),
    )
)
def test_a_record_survives_json(record):
    assert SubmissionRecord.from_json(json.loads(json.dumps(record.to_json()))) == record


@pytest.mark.parametrize(
    "stored",
    [
        "x",
        [],
        {},
        {"version": 2},
        {"version": 1, "phase": "intent"},
        {**INTENT.to_json(), "phase": "paid"},
        {**INTENT.to_json(), "extra": 1},
        {**INTENT.to_json(), "phase": "submitted"},
        {**SUBMITTED.to_json(), "phase": "delayed"},
        {**SUBMITTED.to_json(), "max_tries": "1"},
        {**SUBMITTED.to_json(), "max_tries": None},
        {**SUBMITTED.to_json(), "max_tries": 1.5},
        {**SUBMITTED.to_json(), "earlier": [1]},
    ],
)
def test_a_record_that_cannot_be_read_is_never_taken_for_none(stored):
    with pytest.raises(UnreadableRecordError):
        SubmissionRecord.from_json(stored)


def test_a_lost_submission_is_looked_for_around_its_time():
    first, last = Window.of(INTENT, clock_ahead=0.0).listed
    assert first.timestamp() < INTENT.intent_at
    assert last.timestamp() > INTENT.arrives_by


@pytest.mark.parametrize(
    ("created", "ahead", "held", "surely"),
    [
        (994.0, 0.0, False, False),
        (996.0, 0.0, True, True),
        (1304.0, 0.0, True, True),
        (1306.0, 0.0, False, False),
        (1000.0, 600.0, True, False),
        (1600.0, 600.0, True, True),
        (1500.0, 600.0, False, False),
        (400.0, -600.0, True, True),
    ],
)
def test_a_prediction_is_never_older_than_its_request_by_the_apis_clock(created, ahead, held, surely):
    moment = dt.datetime.fromtimestamp(created, dt.UTC).isoformat()
    found = Prediction.from_json({"id": "prediction", "status": "completed", "created_at": moment})
    window = Window.of(replace(INTENT, clock_ahead=ahead), clock_ahead=77.0)
    assert (window.holds(found), window.surely_holds(found)) == (held, surely)


@pytest.mark.parametrize(("created", "held", "surely"), [(500.0, True, False), (94.0, False, False)])
def test_where_nothing_is_known_of_the_clock_that_gave_the_intent_a_prediction_may_be_older(
    created, held, surely
):
    moment = dt.datetime.fromtimestamp(created, dt.UTC).isoformat()
    found = Prediction.from_json({"id": "prediction", "status": "completed", "created_at": moment})
    window = Window.of(INTENT, clock_ahead=0.0)
    assert (window.holds(found), window.surely_holds(found)) == (held, surely)
    assert window.listed[0].timestamp() <= 1000.0 - 900.0


@pytest.mark.parametrize(
    "created", [None, "", "yesterday", "2026-13-01", 5, "0001-01-01T00:00:00Z", "2099-06-01T00:00:00Z"]
)
def test_a_prediction_without_a_readable_time_may_be_the_one_and_is_not_taken_for_it(created):
    found = Prediction.from_json({"id": "prediction", "status": "completed", "created_at": created})
    window = Window.of(INTENT, clock_ahead=0.0)
    assert (window.holds(found), window.surely_holds(found)) == (True, False)


@pytest.mark.parametrize(
    ("inputs", "may_be"),
    [
        ({"prompt": "another"}, True),
        ({"max_images": 3}, False),
        ({"max_images": "2"}, True),
        ({"max_images": "many"}, True),
        ({"size": "4096*4096"}, True),
    ],
)
def test_what_may_be_paid_is_told_by_the_count_and_not_by_texts(inputs, may_be):
    request = ImageSetRequest.build(prompt="2 images of a fox")
    found = Prediction.from_json({"id": "prediction", "status": "processing", "input": inputs})
    assert bool(possible([found], request)) is may_be


def test_candidates_leave_out_claimed_ids_and_other_inputs():
    inputs = {"prompt": "a fox", "size": "2048*2048", "max_images": 1}
    listed = [
        Prediction.from_json({"id": "mine", "status": "processing", "input": {**inputs, "seed": 1}}),
        Prediction.from_json({"id": "silent", "status": "processing"}),
        Prediction.from_json(
            {"id": "other", "status": "processing", "input": {**inputs, "prompt": "an owl"}}
        ),
        Prediction.from_json({"id": "claimed", "status": "processing"}),
    ]
    left = candidates(unclaimed(listed, {"claimed"}), ImageSetRequest.build(prompt="a  fox"))
    assert [each.id for each in left] == ["mine", "silent"]


@pytest.mark.parametrize(
    ("inputs", "may_be"),
    [
        ({}, True),
        ({"size": "2048*2048"}, True),
        ({"size": "2048 x 2048"}, True),
        ({"size": "2K"}, True),
        ({"size": "2560*1440"}, False),
        ({"size": "2560×1440"}, False),
        ({"output_format": "image/JPG"}, True),
        ({"output_format": "png"}, False),
        ({"max_images": 3}, False),
        ({"images": []}, True),
        ({"seed": 7, "enable_base64_output": True}, True),  # not sent: the API may show defaults
        ({"prompt": "2 images of an owl"}, False),
    ],
)
def test_an_input_that_contradicts_one_that_was_sent_rules_a_prediction_out(inputs, may_be):
    request = ImageSetRequest.build(prompt="2 images of a fox", output_format="jpeg")
    found = Prediction.from_json({"id": "one", "status": "processing", "input": inputs})
    assert bool(candidates([found], request)) is may_be


@pytest.mark.parametrize(("inputs", "may_be"), [({"mode": "image"}, True), ({"mode": "video"}, False)])
def test_an_enhancement_in_another_mode_is_another(inputs, may_be):
    found = Prediction.from_json({"id": "one", "status": "processing", "input": inputs})
    assert bool(candidates([found], EnhancementRequest.build(text="a fox"))) is may_be


@pytest.mark.parametrize(("shown", "taken"), [(True, True), ("yes", True), (None, True), (False, False)])
def test_a_set_whose_switch_differs_stays_a_candidate_and_is_not_adopted(shown, taken):
    request = ImageSetRequest.build(prompt="2 images of a fox", enable_sync_mode=True)
    found = Prediction.from_json({"id": "one", "status": "processing", "input": {"enable_sync_mode": shown}})
    assert candidates([found], request) == [found]
    assert adoptable(found, request) is taken


@pytest.mark.parametrize(
    ("told", "may_be", "is_it"),
    [
        ("2 images of ship number 50", True, True),
        ("2 images of  ship number 50 ", True, True),
        ("2 images of ship number 5", False, False),
        ("2 images of ship number 501", False, False),
        ("2 images of ship num...", True, False),
        ("2 images of ship number 6…", False, False),
        (None, True, False),
    ],
)
def test_a_prompt_that_is_the_beginning_of_another_is_another(told, may_be, is_it):
    request = ImageSetRequest.build(prompt="2 images of ship number 50")
    found = Prediction.from_json({"id": "one", "status": "processing", "input": {"prompt": told}})
    assert bool(candidates([found], request)) is may_be
    assert identified(found, request) is is_it
    assert adoptable(found, request) is (is_it or told is None)


def test_a_price_over_any_ceiling_is_refused_with_price_ceiling_and_where_it_was_set():
    with pytest.raises(BudgetExceededError, match=r"\$0.14.*\$0.1 set by the connection.*Nothing was sent"):
        check(0.14, [Ceiling(None, "nobody"), Ceiling(0.2, "the task"), Ceiling(0.1, "the connection")])


def test_a_price_at_the_ceiling_is_allowed():
    check(0.105, [Ceiling(0.035 * 3, "the task")])
