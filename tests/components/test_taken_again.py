"""What is paid is taken again: the advice of the task that paid, a try that Airflow ends, and other runs that claim."""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_seedream.emulator import faults
from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator
from airflow_provider_seedream.wavespeed import Prediction
from airflow_provider_seedream.wavespeed.errors import LostSubmissionError, WaveSpeedError
from tests.components.airflow_context import Tries, run

pytestmark = pytest.mark.usefixtures("hurried")


def operator(**arguments: Any) -> SeedreamSequentialOperator:
    return SeedreamSequentialOperator(task_id="gen", **{"prompt": "a fox", "retries": 3, **arguments})


@pytest.mark.parametrize("fault", [faults.CdnStatus(503), faults.CdnTruncated(), faults.CdnHtml()], ids=repr)
def test_the_advice_of_an_image_that_could_not_be_published_pays_nothing(
    seedream_emulator, tmp_path, monkeypatch, fault
):
    monkeypatch.setattr("tenacity.nap.sleep_using_event.__call__", lambda self, seconds: None)
    tries = Tries()
    seedream_emulator.faults.add("cdn", fault, times=None)
    with pytest.raises(
        (WaveSpeedError, AirflowFailException), match=r'set on_clear="reuse" and clear'
    ) as caught:
        run(operator(output_path=str(tmp_path)), tries)
    assert "Run the task again" not in str(caught.value)
    seedream_emulator.faults.clear()
    tries.clear(retries=3)
    assert len(run(operator(output_path=str(tmp_path), on_clear="reuse"), tries)["images"]) == 1
    assert seedream_emulator.paid_tasks == 1


class TaskTimeout(BaseException):
    """As Airflow's ``execution_timeout``: no ``Exception``."""


@pytest.mark.parametrize("remembers", [True, False])
def test_a_try_that_airflow_ends_before_a_byte_left_paid_nothing(seedream_emulator, monkeypatch, remembers):
    def ended(*_: Any, **__: Any) -> None:
        raise TaskTimeout

    tries = Tries(store=remembers)
    with monkeypatch.context() as patch:
        patch.setattr("urllib3.util.connection.create_connection", ended)
        with pytest.raises(TaskTimeout):
            run(operator(), tries)
    if remembers:
        assert tries.store.get("seedream_submission")["phase"] == "nothing"
    assert len(run(operator(), tries)["images"]) == 1
    assert seedream_emulator.paid_tasks == 1


def test_a_try_that_airflow_ends_after_the_request_left_may_have_paid(seedream_emulator, monkeypatch):
    def ended(*_: Any, **__: Any) -> None:
        raise TaskTimeout

    tries = Tries()
    with monkeypatch.context() as patch:
        patch.setattr("http.client.HTTPResponse._read_status", ended)
        patch.setattr("airflow_provider_seedream.wavespeed.transport._Answer._read_status", ended)
        with pytest.raises(TaskTimeout):
            run(operator(), tries)
    assert tries.store.get("seedream_submission")["phase"] == "intent"


MINE, OTHER = "scheduled__2026-11-28T00:00:01+00:00", "manual__2026-11-28T00:00:00+00:00"


@pytest.fixture
def two_runs(seedream_emulator):
    """This run lost its submission on the way; another run of the DAG asked for the same and was answered."""
    mine, other = Tries(), Tries()
    mine.ti.run_id, other.ti.run_id = MINE, OTHER

    def know(**more: Any) -> None:
        runs = {OTHER: {"gen": other.ti.xcom}, **{run_id: {"gen": pushed} for run_id, pushed in more.items()}}
        mine.ti.xcom_of_runs = runs
        mine.ti.states_of_runs = {run_id: {"gen": "deferred"} for run_id in runs}

    know()
    seedream_emulator.faults.add("submit", faults.DropBefore())
    with pytest.raises((LostSubmissionError, AirflowFailException)):
        run(operator(), mine)
    theirs = run(operator(), other)["prediction_id"]
    know()
    return SimpleNamespace(mine=mine, other=other, know=know, theirs=theirs)


def adopted(tries: Tries) -> str | None:
    try:
        return str(run(operator(on_lost_submission="adopt"), tries)["prediction_id"])
    except (LostSubmissionError, AirflowFailException):
        return None


def test_nothing_is_adopted_while_the_claims_of_other_runs_cannot_be_read(seedream_emulator, two_runs):
    def away(**_: Any) -> None:
        raise RuntimeError("the API server is away")

    two_runs.mine.ti.get_task_states = away
    with pytest.raises(LostSubmissionError, match="could not be read") as caught:
        run(operator(on_lost_submission="adopt"), two_runs.mine)
    assert caught.value.transient


def test_the_claims_of_all_runs_at_work_count(seedream_emulator, two_runs):
    many = {f"scheduled__2026-11-28T01:{n:02d}:00+00:00": {"prediction_id": f"{n:032x}"} for n in range(40)}
    two_runs.know(**many)
    assert adopted(two_runs.mine) != two_runs.theirs


def test_what_another_run_paid_for_before_it_was_cleared_stays_its_own(seedream_emulator, two_runs):
    two_runs.other.clear(retries=3)
    assert run(operator(), two_runs.other)["prediction_id"] != two_runs.theirs
    two_runs.know()
    assert adopted(two_runs.mine) != two_runs.theirs


MOMENT = dt.datetime(2026, 11, 28, 5, 0, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    "shown",
    [
        MOMENT.isoformat(),
        "2026-11-28T05:00:00Z",
        int(MOMENT.timestamp()),
        f"{MOMENT.timestamp():.3f}",
        int(MOMENT.timestamp() * 1000),
        "Sat, 28 Nov 2026 05:00:00 GMT",
    ],
)
def test_the_moment_of_a_prediction_is_read_in_every_usual_form(shown):
    prediction = Prediction.from_json({"id": "a" * 32, "status": "created", "created_at": shown})
    assert prediction.created == MOMENT.timestamp()


def test_a_link_that_is_not_well_formed_counts_as_missing():
    outputs = ["https://cdn.example/1.png", "http://[::1", "https://cdn.example/3.png"]
    prediction = Prediction.from_json({"id": "a" * 32, "status": "completed", "outputs": outputs})
    assert prediction.outputs == (outputs[0], outputs[2])


def test_a_record_of_a_clear_names_what_was_paid_before(seedream_emulator):
    tries = Tries()
    first = run(operator(), tries)["prediction_id"]
    tries.clear(retries=3)
    run(operator(), tries)
    assert tries.ti.xcom["earlier_predictions"] == [first]
