"""The campaign and the approval under a whole Airflow: pool, asset, form, cost and metrics."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_seedream.emulator import Emulator
from airflow_provider_seedream.publishing.manifest import Manifest
from tests.standalone.rest import OVER, Airflow, Run, wait_until
from tests.standalone.watch import Watch
from tests.statsd import StatsdServer

PRODUCTS = ("a blue enamel teapot", "a folding oak stool", "a woollen travel blanket")
SLOTS = 2
WEEKLY = "example_seedream_campaign"
NEXT = "example_seedream_on_published"


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign that is over.

    :param waiting: states of its tasks while all slots of the pool were taken by waiting tasks.
    :param paid_while_waiting: image sets that had been paid for by then.
    """

    run: Run
    folder: Path
    waiting: dict[str, str | None]
    paid_while_waiting: int
    paid_tasks: int
    metrics: list[str]


@pytest.fixture(scope="module")
def campaign(airflow: Airflow, emulator: Emulator, statsd: StatsdServer, scratch: Path) -> Campaign:
    """The run that the schedule starts once the DAG is unpaused."""
    airflow.post("pools", {"name": "seedream", "slots": SLOTS, "include_deferred": True})
    before = len(statsd.lines())
    with Watch(emulator) as watch:
        airflow.unpause(WEEKLY)
        wait_until(lambda: bool(airflow.runs(WEEKLY)), timeout=60, what="the schedule to start a run")
        (run,) = airflow.runs(WEEKLY)
        wait_until(
            lambda: list(run.states().values()).count("deferred") == SLOTS,
            timeout=90,
            what="the pool to be full",
            show=run.states,
        )
        waiting, paid = run.states(), watch.paid_tasks
        emulator.clock.release()
        assert run.wait(timeout=150) == "success", run.states()
    return Campaign(run, scratch / "campaigns", waiting, paid, watch.paid_tasks, statsd.lines()[before:])


@pytest.fixture(scope="module")
def following(airflow: Airflow, campaign: Campaign) -> list[dict[str, Any]]:
    """What the runs that the campaign's asset started have read of its events."""

    def read() -> list[dict[str, Any]]:
        runs = airflow.runs(NEXT)
        return [extra for run in runs if run.state == "success" for extra in run.xcom("read_events")]

    wait_until(
        lambda: len(read()) >= len(PRODUCTS),
        timeout=90,
        what="the DAG scheduled by the asset to have read every event",
        show=lambda: [(run.run_id, run.states()) for run in airflow.runs(NEXT)],
    )
    return read()


def test_waiting_tasks_take_their_slots_in_the_pool(campaign: Campaign) -> None:
    draws = sorted(str(state) for task, state in campaign.waiting.items() if ".draw" in task)
    assert draws[:SLOTS] == ["deferred"] * SLOTS
    assert draws[SLOTS] not in OVER
    assert campaign.paid_while_waiting == SLOTS


def test_a_campaign_publishes_every_product_with_a_contact_sheet(campaign: Campaign) -> None:
    assert campaign.paid_tasks == len(PRODUCTS)
    for place, product in enumerate(PRODUCTS):
        folder = campaign.folder / campaign.run.run_id / str(place)
        manifest = Manifest.from_bytes((folder / "manifest.json").read_bytes())
        assert all(product in str(image.scene) for image in manifest.images)
        assert {each.name for each in folder.iterdir()} == {"manifest.json", *manifest.files}
        assert (folder / "contact-sheet.jpg").is_file()


def test_a_campaign_says_what_it_cost(campaign: Campaign) -> None:
    assert campaign.run.xcom("cost") == {
        "cost_usd": 0.21,
        "image_sets": 3,
        "images": 6,
        "tasks": {"product.draw": {"cost_usd": 0.21, "image_sets": 3, "images": 6}},
    }


def test_publishing_starts_the_dag_that_is_scheduled_by_the_asset(
    campaign: Campaign, following: list[dict[str, Any]], airflow: Airflow
) -> None:
    drawn = {campaign.run.xcom("product.draw", "prediction_id", place) for place in range(len(PRODUCTS))}
    assert {extra["prediction_id"] for extra in following} == drawn
    assert all((extra["images"], extra["cost_usd"]) == (2, 0.07) for extra in following)
    pictures = [each for run in airflow.runs(NEXT) for each in run.xcom("list_images")]
    assert len(pictures) == 6
    assert all(Path(each.removeprefix("file://")).is_file() for each in pictures)


def test_metrics_come_from_the_processes_that_run_the_tasks(campaign: Campaign) -> None:
    counted = {"submitted": 3, "completed": 3, "images": 6, "cost_micro_usd": 210000}
    for name, expected in counted.items():
        lines = [line for line in campaign.metrics if line.startswith(f"airflow.seedream.{name},")]
        assert sum(int(line.split(":")[1].partition("|")[0]) for line in lines) == expected, campaign.metrics
        assert all(
            "conn=seedream_default,model=bytedance/seedream-v5.0-lite/sequential:" in line for line in lines
        )
    assert len([line for line in campaign.metrics if line.startswith("airflow.seedream.wait,")]) == 3


def test_a_set_is_rejected_with_a_note_and_the_next_one_approved(
    airflow: Airflow, emulator: Emulator, scratch: Path
) -> None:
    with Watch(emulator, hold=False) as watch:
        run = airflow.trigger("example_seedream_approval")
        run.wait_for_state("approval.review_1", "awaiting_input", timeout=90)
        assert watch.paid_tasks == 1
        first = run.xcom("approval.draw_1")
        form = run.form("approval.review_1")
        assert "**Round 1 of 3** cost $0.07, all rounds so far $0.07." in form["body"]
        assert all(f"](<{image['url']}>)" in form["body"] for image in first["images"])

        run.answer("approval.review_1", "Reject", note="warmer light")
        run.wait_for_state("approval.review_2", "awaiting_input", timeout=90)
        assert (
            "**Round 2 of 3** cost $0.07, all rounds so far $0.14." in run.form("approval.review_2")["body"]
        )

        run.answer("approval.review_2", "Approve", note=None)
        assert run.wait(timeout=90) == "success", run.states()
        assert (watch.paid_tasks, watch.submissions) == (2, 2)
    states = run.states()
    assert {task for task, state in states.items() if state == "skipped"} == {
        "approval.draw_3",
        "approval.review_3",
    }
    second = run.xcom("approval.draw_2")
    assert second["prompt"].startswith("2 images. In every image, warmer light. ")
    manifest = Manifest.from_bytes((scratch / "approved" / run.run_id / "manifest.json").read_bytes())
    assert manifest.image_set.prediction_id == second["prediction_id"] != first["prediction_id"]
    assert run.xcom("cost")["cost_usd"] == 0.14


def test_images_that_the_form_does_not_show_are_approved_only_by_a_new_form(
    airflow: Airflow, emulator: Emulator, scratch: Path
) -> None:
    if airflow.get("version")["version"] >= "3.4":
        pytest.skip("a clear gives the review a new form")
    with Watch(emulator, hold=False) as watch:
        run = airflow.trigger("example_seedream_approval")
        run.wait_for_state("approval.review_1", "awaiting_input", timeout=90)
        run.answer("approval.review_1", "Reject", note="x" * 501)
        assert run.wait(timeout=90) == "failed"
        run.clear("approval.review_1", include_downstream=True, reset_dag_runs=True)
        run.wait_for_state("approval.review_1", "awaiting_input", timeout=90)
        assert watch.paid_tasks == 1, "a note that is too long draws nothing"

        first = run.xcom("approval.draw_1")
        run.clear("approval.draw_1", include_downstream=True)
        assert run.wait(timeout=90) == "failed"
        second = run.xcom("approval.draw_1")
        assert first["prediction_id"] != second["prediction_id"]
        assert run.form("approval.review_1")["response_received"] is False
        attempt = run.task("approval.review_1")["try_number"]
        assert f"Nobody is asked about prediction {second['prediction_id']}" in run.log(
            "approval.review_1", attempt=attempt
        )

        run.replace_form("approval.review_1")
        run.wait_for_state("approval.review_1", "awaiting_input", timeout=90)
        form = run.form("approval.review_1")["body"]
        assert all(image["url"] in form for image in second["images"])
        run.answer("approval.review_1", "Approve", note=["of no use"])
        assert run.wait(timeout=90) == "success", run.states()
        assert (watch.paid_tasks, watch.submissions) == (2, 2)
    manifest = Manifest.from_bytes((scratch / "approved" / run.run_id / "manifest.json").read_bytes())
    assert manifest.image_set.prediction_id == second["prediction_id"]
