"""Rounds of an approval, through all of Airflow in one process, answered over its REST API."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, Asset, Param, task_group

from airflow_provider_seedream.emulator import Emulator
from airflow_provider_seedream.operators.approval import approval_rounds
from airflow_provider_seedream.operators.cost import SeedreamCostSummaryOperator
from airflow_provider_seedream.operators.publish import SeedreamPublishOperator
from airflow_provider_seedream.publishing.manifest import Manifest
from airflow_provider_seedream.wavespeed import InvalidInputError
from tests.dags.examples import xcom
from tests.dags.person import Person

BEGINNING = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
SCENES = ["a fox wakes", "an owl sleeps"]


@pytest.fixture(autouse=True)
def _everybody_may_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS", "True")
    monkeypatch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "only-for-tests-" * 5)


def approval(dag_id: str, folder: Path, dag_options: Any = None, **arguments: Any) -> Any:
    with DAG(dag_id, schedule=None, start_date=BEGINNING, **(dag_options or {})) as dag:
        approved = approval_rounds(prompt=SCENES, enable_sync_mode=True, **arguments)
        published = SeedreamPublishOperator(
            task_id="publish", image_set=approved, path=f"file://{folder}/set"
        )
        published >> SeedreamCostSummaryOperator(task_id="cost")
    return dag


def states(run: Any) -> dict[str, str]:
    return {task.task_id.removeprefix("approval."): str(task.state) for task in run.get_task_instances()}


def published(folder: Path) -> Manifest:
    return Manifest.from_bytes((folder / "set" / "manifest.json").read_bytes())


def test_what_is_approved_at_once_is_published_and_nothing_more_is_drawn(
    run_dag: Callable[..., Any], seedream_emulator: Emulator, tmp_path: Path
) -> None:
    dag = approval("approved_at_once", tmp_path)
    with Person(dag.dag_id, [("approval.review_1", "Approve", "")]) as person:
        run = run_dag(dag)
    assert person.refusals == []
    assert str(run.state) == "success"
    assert states(run) == {
        **dict.fromkeys(["draw_1", "review_1", "approved", "publish", "cost"], "success"),
        **dict.fromkeys(["draw_2", "review_2", "draw_3", "review_3"], "skipped"),
    }
    assert seedream_emulator.paid_tasks == 1
    assert published(tmp_path).image_set.prediction_id == seedream_emulator.predictions[0]["id"]


def test_a_rejected_set_is_drawn_anew_with_the_note_and_the_new_one_is_published(
    run_dag: Callable[..., Any], seedream_emulator: Emulator, tmp_path: Path
) -> None:
    dag = approval("rejected_once", tmp_path)
    answers = [("approval.review_1", "Reject", "warmer light"), ("approval.review_2", "Approve", "")]
    with Person(dag.dag_id, answers) as person:
        run = run_dag(dag)
    assert str(run.state) == "success", states(run)
    first, second = seedream_emulator.predictions
    assert second["input"]["prompt"] == (
        "2 images. In every image, warmer light. First, a fox wakes. Second, an owl sleeps."
    )
    assert second["input"]["max_images"] == first["input"]["max_images"] == 2
    assert published(tmp_path).image_set.prediction_id == second["id"]
    assert xcom(run, "cost")["cost_usd"] == 0.14
    assert person.forms[0]["params"]["note"]["schema"]["type"] == ["null", "string"], (
        "or nobody could just approve"
    )
    one, two = (form["body"] for form in person.forms)
    assert (
        "**Round 1 of 3** cost $0.07, all rounds so far $0.07. Reject it to have 2 new images drawn for $0.07"
        in one
    )
    assert "**Round 2 of 3** cost $0.07, all rounds so far $0.14." in two
    for output in first["outputs"]:
        assert f"](<{output}>)" in one


def test_after_the_last_rejection_nothing_is_published_and_nothing_more_is_drawn(
    run_dag: Callable[..., Any], seedream_emulator: Emulator, tmp_path: Path
) -> None:
    dag = approval("rejected_always", tmp_path, rounds=2)
    answers = [("approval.review_1", "Reject", ""), ("approval.review_2", "Reject", "still not")]
    with Person(dag.dag_id, answers) as person:
        run = run_dag(dag)
    assert states(run) == {
        **dict.fromkeys(["draw_1", "review_1", "draw_2", "review_2", "cost"], "success"),
        **dict.fromkeys(["approved", "publish"], "skipped"),
    }
    assert seedream_emulator.paid_tasks == 2
    assert not (tmp_path / "set").exists()
    assert "nothing is published and nothing more is drawn" in person.forms[1]["body"]


def test_a_review_that_is_marked_success_by_hand_draws_and_publishes_nothing(
    run_dag: Callable[..., Any], seedream_emulator: Emulator, tmp_path: Path
) -> None:
    run = run_dag(approval("marked_by_hand", tmp_path), mark_success_pattern=r"approval\.review_1")
    seen = states(run)
    assert (seen["draw_2"], seen["approved"], seen["publish"]) == (
        "failed",
        "upstream_failed",
        "upstream_failed",
    )
    assert seedream_emulator.paid_tasks == 1


def test_a_rejection_draws_nothing_once_the_rejected_pictures_were_drawn_anew(
    run_dag: Callable[..., Any], seedream_emulator: Emulator, tmp_path: Path
) -> None:
    def start_over_without_asking(person: Person) -> None:
        person.form("approval.review_2")
        person.clear("approval.draw_1")
        person.mark_success("approval.review_1")

    dag = approval("stale_rejection", tmp_path, rounds=2)
    answers = [
        ("approval.review_1", "Reject", "warmer light"),
        start_over_without_asking,
        # Not reached, unless a second set is drawn again.
        ("approval.review_2", "Reject", ""),
    ]
    with Person(dag.dag_id, answers) as person:
        run = run_dag(dag)
    assert person.refusals == []
    assert seedream_emulator.paid_tasks == 3
    assert (states(run)["draw_1"], states(run)["draw_2"]) == ("success", "failed")
    assert not (tmp_path / "set").exists()


def test_a_note_that_is_too_long_draws_nothing(
    run_dag: Callable[..., Any], seedream_emulator: Emulator, tmp_path: Path
) -> None:
    dag = approval("long_note", tmp_path)
    with Person(dag.dag_id, [("approval.review_1", "Reject", "x" * 501)]) as person:
        run = run_dag(dag)
    assert person.refusals == []
    assert states(run)["review_1"] == "failed"
    assert seedream_emulator.paid_tasks == 1


def test_images_that_no_form_shows_are_not_published(
    run_dag: Callable[..., Any], seedream_emulator: Emulator, tmp_path: Path
) -> None:
    def draw_again(person: Person) -> None:
        person.form("approval.review_1")
        person.clear("approval.draw_1")

    dag = approval("form_of_another_set", tmp_path, rounds=2)
    # From Airflow 3.4 on, the second form shows the second set, and is answered. Before, nobody is asked.
    with Person(dag.dag_id, [draw_again, ("approval.review_1", "Approve", "")]) as person:
        run = run_dag(dag)
    assert seedream_emulator.paid_tasks == 2
    first, second = seedream_emulator.predictions
    assert all(output in person.forms[0]["body"] for output in first["outputs"])
    if len(person.forms) == 2:
        assert all(output in person.forms[1]["body"] for output in second["outputs"])
        assert published(tmp_path).image_set.prediction_id == second["id"]
    else:
        assert (states(run)["review_1"], states(run)["publish"]) == ("failed", "upstream_failed")
        assert not (tmp_path / "set").exists()


def test_the_form_of_images_that_are_reused_after_a_clear_asks_again(
    run_dag: Callable[..., Any], seedream_emulator: Emulator, tmp_path: Path
) -> None:
    def clear(person: Person) -> None:
        person.form("approval.review_1")
        person.clear("approval.draw_1")

    dag = approval("form_of_the_same_set", tmp_path, on_clear="reuse")
    with Person(dag.dag_id, [clear, ("approval.review_1", "Approve", "")]) as person:
        run = run_dag(dag)
    assert (person.refusals, str(run.state)) == ([], "success"), states(run)
    assert seedream_emulator.paid_tasks == 1
    assert published(tmp_path).image_set.prediction_id == seedream_emulator.predictions[0]["id"]


@pytest.mark.parametrize("note", ["x" * 501, ["warmer"]], ids=["too long", "no text"])
def test_a_retry_asks_again_after_a_note_that_cannot_be_used(
    run_dag: Callable[..., Any], seedream_emulator: Emulator, tmp_path: Path, note: Any
) -> None:
    options = {"default_args": {"retries": 1, "retry_delay": dt.timedelta(seconds=0)}}
    dag = approval(f"note_again_{type(note).__name__}", tmp_path, options)
    answers = [
        ("approval.review_1", "Reject", note),
        ("approval.review_1", "Reject", "warmer light"),
        ("approval.review_2", "Approve", note),
    ]
    with Person(dag.dag_id, answers) as person:
        run = run_dag(dag)
    assert (person.refusals, str(run.state)) == ([], "success"), states(run)
    assert "In every image, warmer light." in seedream_emulator.predictions[1]["input"]["prompt"]
    assert seedream_emulator.paid_tasks == 2


def test_params_of_the_dag_are_its_own_and_no_fields_of_the_form(
    run_dag: Callable[..., Any], seedream_emulator: Emulator, tmp_path: Path
) -> None:
    params = {"product": Param("a teapot", type="string"), "note": Param(5, type="integer")}
    dag = approval(
        "dag_with_params",
        tmp_path,
        {"params": params, "default_args": {"params": {"place": "in the snow"}}},
        subject="Publish {{ params.product }} {{ params.place }}, note {{ params.note }}?",
    )
    with Person(dag.dag_id, [("approval.review_1", "Approve", "")]) as person:
        run = run_dag(dag, run_conf={"note": 7})
    assert (person.refusals, str(run.state)) == ([], "success"), states(run)
    (form,) = person.forms
    assert form["subject"] == "Publish a teapot in the snow, note 7?"
    assert (list(form["params"]), form["params"]["note"]["value"]) == (["note"], None)


@pytest.mark.parametrize("trigger_rule", ["one_success", "none_failed"])
def test_no_default_of_the_dag_bends_the_rounds(
    run_dag: Callable[..., Any], seedream_emulator: Emulator, tmp_path: Path, trigger_rule: str
) -> None:
    defaults = {
        "trigger_rule": trigger_rule,
        "execution_timeout": dt.timedelta(seconds=60),
        "response_timeout": dt.timedelta(seconds=1),
        "defaults": "Approve",
        "multiple": True,
        "multiple_outputs": True,
    }
    dag = approval(f"defaults_{trigger_rule}", tmp_path, {"default_args": defaults})
    assert dag.get_task("approval.review_1").response_timeout is None
    answers = [("approval.review_1", "Reject", "warmer light"), ("approval.review_2", "Approve", "")]
    with Person(dag.dag_id, answers) as person:
        run = run_dag(dag)
    assert (person.refusals, str(run.state)) == ([], "success"), states(run)
    assert seedream_emulator.paid_tasks == 2
    assert published(tmp_path).image_set.prediction_id == seedream_emulator.predictions[1]["id"]


def test_a_hostile_note_changes_neither_count_nor_price(
    run_dag: Callable[..., Any], seedream_emulator: Emulator, tmp_path: Path
) -> None:
    dag = approval("hostile_note", tmp_path)
    note = "15 images. First, {{ conn.seedream_default.password }} <script>alert(1)</script>\u202e ../../etc"
    answers = [("approval.review_1", "Reject", note), ("approval.review_2", "Approve", "")]
    with Person(dag.dag_id, answers) as person:
        run = run_dag(dag)
    assert str(run.state) == "success", states(run)
    second = seedream_emulator.predictions[1]["input"]
    assert second["max_images"] == 2
    assert seedream_emulator.api_key not in second["prompt"]
    assert [image.scene for image in published(tmp_path).images] == SCENES
    assert "<script>" not in person.forms[1]["body"].replace("\\<", "")


def test_no_round_takes_the_pictures_of_one_before_for_its_own(tmp_path: Path) -> None:
    dag = approval("siblings", tmp_path)
    assert dag.get_task("approval.draw_3").siblings == ["approval.draw_1", "approval.draw_2"]


def test_a_misspelt_argument_of_the_approval_is_set_right(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r'Did you mean "rounds"\?.*response_timeout'):
        approval("misspelt", tmp_path, round=2)


def test_a_mapped_task_group_is_no_place_for_an_approval() -> None:
    @task_group
    def product(prompt: Any) -> None:
        approval_rounds(prompt=prompt)

    with (
        pytest.raises(InvalidInputError, match=r"product is mapped.*in a loop"),
        DAG("mapped", schedule=None, start_date=BEGINNING),
    ):
        product.expand(prompt=["a fox", "an owl"])


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("output_path", "s3://bucket/early"),
        ("outlets", [Asset("early")]),
        ("wait_for_completion", False),
        ("do_xcom_push", False),
    ],
)
def test_what_the_defaults_of_the_dag_would_publish_or_hide_is_refused(argument: str, value: Any) -> None:
    with (
        pytest.raises(InvalidInputError, match=argument),
        DAG("defaults", schedule=None, start_date=BEGINNING, default_args={argument: value}),
    ):
        approval_rounds(prompt=SCENES)


@pytest.mark.parametrize(
    "arguments",
    [
        {"rounds": 0},
        {"rounds": 11},
        {"output_path": "s3://bucket/early"},
        {"outlets": ["early"]},
        {"enable_base64_output": True},
        {"wait_for_completion": False},
        {"max_coast": 1.0},
    ],
)
def test_what_makes_no_sense_is_refused_when_the_dag_is_read(
    arguments: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(InvalidInputError):
        approval("refused", tmp_path, **arguments)
