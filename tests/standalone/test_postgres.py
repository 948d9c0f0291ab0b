"""The wrong moments and the odd characters, on an Airflow whose database is PostgreSQL, as it is in production.

PostgreSQL refuses texts that SQLite stores, and Airflow's own JSON columns differ.
"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import psutil
import pytest

from airflow_provider_seedream.emulator import Emulator
from airflow_provider_seedream.emulator.faults import FailPrediction, Slow, Timeout
from tests.standalone.rest import OVER, Airflow, Run, wait_until
from tests.standalone.standalone import Standalone
from tests.standalone.watch import Watch

PATIENCE = 120.0
"""Seconds for a step that takes five to twenty on an idle machine."""


@pytest.fixture(scope="module", autouse=True)
def _needs_postgresql(on_postgres: Standalone) -> None:
    """Skips where it is missing, or fails where ``CI`` is set."""


def test_a_prompt_that_could_not_be_delivered_is_refused_before_it_is_paid(
    airflow: Airflow, account: Emulator
) -> None:
    with Watch(account, hold=False) as watch:
        run = airflow.trigger("prompts_in_odd_characters")
        run.wait(timeout=PATIENCE)
        assert (watch.paid_tasks, watch.submissions) == (0, 0)
        assert run.states() == dict.fromkeys(("rendered", "returned", "listed"), "failed")
        for task_id in run.states():
            assert "is refused" in run.log(task_id)


def test_nothing_is_published_that_no_form_has_shown(
    airflow: Airflow, account: Emulator, scratch: Path
) -> None:
    review, manifest = "approval.review_1", "manifest.json"
    with Watch(account, hold=False) as watch:
        run = airflow.trigger("approval_of_two_sets")
        run.wait_for_state(review, "awaiting_input", timeout=PATIENCE)
        first = run.xcom("approval.draw_1")
        assert _shown(first, run)
        run.clear("approval.draw_1", include_downstream=True)
        wait_until(lambda: watch.paid_tasks == 2, timeout=PATIENCE, what="a second set", show=run.states)
        wait_until(
            lambda: (
                run.states()["approval.draw_1"] == "success"
                and run.states()[review] in {"awaiting_input", *OVER}
            ),
            timeout=PATIENCE,
            what="the second review",
            show=run.states,
        )
        second = run.xcom("approval.draw_1")
        assert second["prediction_id"] != first["prediction_id"]
        shown = _shown(second, run)
        if run.states()[review] == "awaiting_input":
            run.answer(review, "Approve", note=None)
        state = run.wait(timeout=PATIENCE)
        manifests = (json.loads(each.read_text()) for each in (scratch / "approved").rglob(manifest))
        published = [each for each in manifests if each["published_by"]["run_id"] == run.run_id]
        if shown:
            assert (state, [each["prediction_id"] for each in published]) == (
                "success",
                [second["prediction_id"]],
            )
        else:
            assert (state, run.states()[review], published) == ("failed", "failed", [])
            told = run.log(review, attempt=run.task(review)["try_number"])
            assert second["prediction_id"] in told
        assert (watch.paid_tasks, watch.submissions) == (2, 2)


def _shown(image_set: dict[str, object], run: Run) -> bool:
    """Whether the form that Airflow keeps shows every picture of a set."""
    form = run.form("approval.review_1")["body"]
    return all(image["url"] in form for image in image_set["images"])  # type: ignore[attr-defined]


@pytest.mark.event("Task cleared while the paying request is under way")
def test_a_clear_while_the_paying_request_is_under_way_pays_no_second_time(
    airflow: Airflow, account: Emulator, slow: Emulator, scratch: Path
) -> None:
    lost, killed = ("fail", "adopt", "resubmit"), ("adopt", "resubmit")
    with Watch(account, hold=False) as watch, Watch(slow, hold=False) as on_its_way:
        account.faults.add("submit", Timeout(seconds=300, processed=True), times=len(lost))
        slow.faults.add("submit", Slow(seconds=300))
        seen = slow.connections
        run = airflow.trigger("cleared_while_it_pays")
        wait_until(
            lambda: watch.paid_tasks == len(lost) and slow.connections > seen,
            timeout=PATIENCE,
            what="the paying requests",
            show=run.states,
        )
        for task_id in killed:
            os.kill(_pid(scratch, run, task_id), signal.SIGKILL)
        for task_id in killed:
            run.wait_for_state(task_id, "up_for_retry", timeout=PATIENCE)
        run.clear(*lost, "on_its_way")
        # One request reaches the API only when its worker is long dead and the next try looks for it.
        wait_until(
            lambda: on_its_way.asked("list") > 0 or on_its_way.submissions > 0,
            timeout=PATIENCE,
            what="the next try to look or to pay",
            show=run.states,
        )
        slow.faults.clear()
        state = run.wait(timeout=PATIENCE)
        assert (watch.paid_tasks, watch.submissions) == (len(lost), len(lost))
        assert (on_its_way.paid_tasks, on_its_way.submissions) == (1, 1)
        paid = {each["input"]["prompt"].split()[-1]: each["id"] for each in account.predictions}
        paid["on_its_way"] = slow.predictions[-1]["id"]
        for task_id, ended in run.states().items():
            if ended == "success":
                assert run.xcom(task_id)["prediction_id"] == paid[task_id]
            else:
                # Airflow does not always let a clear of a running task be told from a retry, which takes nothing by itself.
                assert (ended, task_id in killed) == ("failed", False), run.states()
                assert paid[task_id] in run.log(task_id, attempt=2)
        assert state == ("success" if set(run.states().values()) == {"success"} else "failed")


@pytest.mark.event("Killed before the paying request left")
def test_a_task_that_is_killed_while_it_asks_for_the_price_pays_nothing(
    airflow: Airflow, account: Emulator, scratch: Path
) -> None:
    with Watch(account, hold=False) as watch:
        account.faults.add("price", Slow(seconds=300))
        seen = account.connections
        run = airflow.trigger("killed_before_it_pays")
        wait_until(lambda: account.connections > seen, timeout=PATIENCE, what="the price to be asked for")
        run.mark_failed("draw")
        wait_until(lambda: "Killed." in run.log("draw"), timeout=PATIENCE, what="the kill", every=0.1)
        account.faults.clear()
        wait_until(lambda: watch.asked("price") > 0, timeout=PATIENCE, what="the price")
        assert watch.answered("price") == 1, "the process was gone before the price came, which shows nothing"
        process = _pid(scratch, run, "draw")
        wait_until(lambda: not psutil.pid_exists(process), timeout=PATIENCE, what="the end of the process")
        assert (watch.paid_tasks, watch.submissions) == (0, 0)
        assert run.wait(timeout=PATIENCE) == "failed"


def _pid(scratch: Path, run: Run, task_id: str) -> int:
    return int((scratch / f"{run.run_id}.{task_id}.pid").read_text())


@pytest.mark.parametrize("dag_id", ["changed_list", "changed_list_reused"])
def test_no_item_of_a_changed_list_gets_the_images_of_another(
    airflow: Airflow, account: Emulator, scratch: Path, dag_id: str
) -> None:
    before, after = ["fox", "owl"], ["zebra", "fox", "owl"]
    while_it_runs = dag_id == "changed_list"
    with Watch(account, hold=while_it_runs) as watch:
        (scratch / "stories.json").write_text(json.dumps(before))
        run = airflow.trigger(dag_id)
        if while_it_runs:
            wait_until(
                lambda: [run.states().get(f"draw[{place}]") for place in range(2)] == ["deferred"] * 2,
                timeout=PATIENCE,
                what="both items to wait",
                show=run.states,
            )
        else:
            assert run.wait(timeout=PATIENCE) == "success"
        (scratch / "stories.json").write_text(json.dumps(after))
        run.clear("stories", include_downstream=True)
        wait_until(
            # Only then: what is complete by the time it is looked at would be drawn again for the clear.
            lambda: _tried(run) == [2, 2, 1],
            timeout=PATIENCE,
            what="three items to wait again",
            show=run.states,
        )
        account.clock.release()
        run.wait(timeout=PATIENCE)
        drawn = [place for place in range(3) if run.states()[f"draw[{place}]"] == "success"]
        assert drawn, run.states()
        assert [run.xcom("draw", map_index=place)["prompt"] for place in drawn] == [
            f"{after[place]} at dawn" for place in drawn
        ]
        assert watch.paid_tasks == watch.submissions == len(before) + len(drawn)


def _tried(run: Run) -> list[int]:
    """How often each mapped item has got as far as to wait, or to end."""
    items = sorted((each["map_index"], each) for each in run.tasks() if each["task_id"] == "draw")
    return [each["try_number"] for _, each in items if each["state"] in {"deferred", *OVER}]


def test_an_error_in_characters_that_cannot_be_stored_ends_one_task_and_no_other(
    airflow: Airflow, account: Emulator
) -> None:
    """The last of this file: where it fails, it leaves no triggerer behind."""
    with Watch(account) as watch:
        for place, odd in enumerate(("\x00", "\ud83d")):
            account.faults.add("submit", FailPrediction(code=1200, error=f"too {odd} dark"), after=place)
        failing = airflow.trigger("failing_in_odd_characters")
        wait_until(lambda: watch.paid_tasks == 2, timeout=PATIENCE, what="two sets", show=failing.states)
        beside = airflow.trigger("waiting_beside_it")
        for run, tasks in ((failing, ("draw[0]", "draw[1]")), (beside, ("draw",))):
            for task_id in tasks:
                run.wait_for_state(task_id, "deferred", timeout=PATIENCE)
        account.clock.release()
        assert failing.wait(timeout=PATIENCE) == "failed", failing.states()
        assert beside.wait(timeout=PATIENCE) == "success", beside.states()
        for place in range(2):
            told = failing.log("draw", map_index=place)
            assert failing.xcom("draw", "prediction_id", place) in told
            assert "dark" in told
        again = airflow.trigger("waiting_beside_it")
        assert again.wait(timeout=PATIENCE) == "success", again.states()
        assert (watch.paid_tasks, watch.submissions) == (4, 4)
