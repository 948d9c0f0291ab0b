"""``forecast``: what a DAG will cost, by its own tasks, and what it says of what it cannot know."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_seedream.cli.main import main
from airflow_provider_seedream.emulator import Emulator
from airflow_provider_seedream.operators.prompt import SeedreamPromptOperator
from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator
from tests.components.airflow_context import Tries, run

pytestmark = pytest.mark.usefixtures("hurried")

Forecast = Callable[..., Any]

HEAD = """
import datetime as dt
from airflow.providers.common.compat.sdk import DAG, task, task_group
from airflow_provider_seedream.operators.prompt import SeedreamPromptOperator
from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator

with DAG("story", start_date=dt.datetime(2026, 1, 1), schedule="@daily", catchup=False) as dag:
"""


@pytest.fixture
def forecast(tmp_path: Path, capsys: pytest.CaptureFixture[str], seedream_emulator: Emulator) -> Forecast:
    """Forecasts a DAG with these tasks."""

    def of(tasks: str, *arguments: str) -> Any:
        body = "\n".join(f"    {line}" for line in tasks.strip().splitlines())
        (tmp_path / "story.py").write_text(HEAD + body + "\n")
        capsys.readouterr()
        assert main(["forecast", "story", "--dags", str(tmp_path), "--output", "json", *arguments]) == 0
        return json.loads(capsys.readouterr().out)

    return of


TWO_TASKS = """
words = SeedreamPromptOperator(task_id="words", prompt=["a fox", "an owl", "a bear"], enhance=True)
SeedreamSequentialOperator(task_id="draw", prompt=words.output)
"""


def test_a_backfill_of_30_days_costs_what_the_account_is_charged_for_it(
    forecast: Forecast, seedream_emulator: Emulator
) -> None:
    foretold = forecast(TWO_TASKS, "--from", "2026-01-01", "--to", "2026-01-30")
    assert (foretold["runs"], foretold["unknown"]) == (30, [])
    seedream_emulator.configure(median_seconds=0.0)
    scenes = ["a fox", "an owl", "a bear"]
    for _ in range(foretold["runs"]):
        words = SeedreamPromptOperator(task_id="words", prompt=scenes, enhance=True)
        draw = SeedreamSequentialOperator(task_id="draw", prompt=run(words, Tries()), deferrable=False)
        run(draw, Tries())
    assert seedream_emulator.paid_tasks == 60
    charged = round(100.0 - seedream_emulator.balance, 6)
    assert foretold["cost_usd"] == {"least": charged, "most": charged}
    assert charged == 3.18


def test_one_run_is_foretold_without_dates(forecast: Forecast) -> None:
    foretold = forecast(TWO_TASKS)
    assert (foretold["runs"], foretold["from"], foretold["to"]) == (1, None, None)
    assert foretold["tasks"] == [
        {"task_id": "words", "instances": 1, "images": 0, "least_usd": 0.001, "most_usd": 0.001},
        {"task_id": "draw", "instances": 1, "images": 3, "least_usd": 0.105, "most_usd": 0.105},
    ]


@pytest.mark.parametrize(
    ("tasks", "images", "cost_usd"),
    [
        ('SeedreamSequentialOperator(task_id="draw", prompt="Four images of a fox")', 4, 0.14),
        (
            (
                'SeedreamSequentialOperator(task_id="draw", prompt="{{ ds }}", max_images=5, '
                'model="bytedance/seedream-v4.5/sequential")'
            ),
            5,
            0.2,
        ),
        (
            '@task.seedream_sequential(max_images="2")\ndef draw():\n    return "a fox"\ndraw()',
            2,
            0.07,
        ),
        (
            'SeedreamSequentialOperator(task_id="draw", prompt="as Figure 1", images=["https://example.org/a.png"])',
            1,
            0.035,
        ),
        (
            (
                'words = SeedreamPromptOperator(task_id="words", prompt=["a", "b"])\n'
                'SeedreamSequentialOperator(task_id="draw", prompt="{{ ds }}", max_images=words.output["count"])'
            ),
            2,
            0.07,
        ),
        (
            (
                'SeedreamSequentialOperator.partial(task_id="draw").expand('
                'prompt=["Two images of a fox", "an owl"], model=["bytedance/seedream-v4/sequential", None])'
            ),
            6,
            0.186,
        ),
        (
            (
                'SeedreamSequentialOperator.partial(task_id="draw").expand_kwargs('
                '[{"prompt": "a fox"}, {"prompt": ["a", "b"], "model": "bytedance/seedream-v4.5/sequential"}])'
            ),
            3,
            0.115,
        ),
        (
            (
                '@task_group\ndef product(prompt):\n    SeedreamSequentialOperator(task_id="draw", prompt=prompt)\n'
                'product.expand(prompt=["a fox", "3 images of an owl"])'
            ),
            4,
            0.14,
        ),
    ],
    ids=[
        "text",
        "max_images",
        "decorator",
        "references",
        "count of a prompt",
        "expand",
        "expand_kwargs",
        "group",
    ],
)
def test_what_the_file_says_is_counted(forecast: Forecast, tasks: str, images: int, cost_usd: float) -> None:
    foretold = forecast(tasks)
    assert foretold["unknown"] == []
    assert sum(each["images"] for each in foretold["tasks"]) == images
    assert foretold["cost_usd"] == {"least": cost_usd, "most": cost_usd}


KNOWN = 'SeedreamSequentialOperator(task_id="known", prompt="a fox")\n'


@pytest.mark.parametrize(
    ("tasks", "reason"),
    [
        (
            'SeedreamSequentialOperator(task_id="draw", prompt="{{ params.p }}")',
            "its prompt is a template, and max_images is not given",
        ),
        (
            'SeedreamSequentialOperator(task_id="draw", prompt="a fox", max_images="{{ params.n }}")',
            "its max_images is a template",
        ),
        (
            'SeedreamSequentialOperator(task_id="draw", prompt="a fox", model="{{ params.m }}")',
            "its model is a template",
        ),
        (
            'SeedreamSequentialOperator(task_id="draw", prompt="a fox", seedream_conn_id="{{ params.c }}")',
            "its seedream_conn_id is a template",
        ),
        (
            '@task.seedream_sequential\ndef draw():\n    return "a fox"\ndraw()',
            "its prompt is written by its function, and max_images is not given",
        ),
        (
            '@task\ndef write():\n    return "a fox"\nSeedreamSequentialOperator(task_id="draw", prompt=write())',
            "its prompt comes from task write, and max_images is not given",
        ),
        (
            (
                '@task\ndef write():\n    return ["a fox"]\n'
                'SeedreamSequentialOperator.partial(task_id="draw", max_images=2).expand(prompt=write())'
            ),
            "it is mapped, and what it is mapped over comes from task write; give --mapped draw=N",
        ),
        (
            'SeedreamSequentialOperator.partial(task_id="draw").expand(prompt=["3 images"], max_images=[2])',
            "both must agree",
        ),
    ],
)
def test_what_only_a_run_knows_is_said_by_task_and_reason(
    forecast: Forecast, capsys: pytest.CaptureFixture[str], tmp_path: Path, tasks: str, reason: str
) -> None:
    foretold = forecast(KNOWN + tasks)
    ((task_id, said),) = [(each["task_id"], each["reason"]) for each in foretold["unknown"]]
    assert task_id == "draw"
    assert reason in said
    assert foretold["cost_usd"] == {"least": 0.035, "most": None}
    assert main(["forecast", "story", "--dags", str(tmp_path)]) == 0
    assert "at least $0.035" in capsys.readouterr().out


def test_a_count_that_is_given_stands_for_one_that_only_a_run_knows(forecast: Forecast) -> None:
    tasks = """
@task
def write():
    return ["a fox"]
@task_group
def product(prompt):
    SeedreamSequentialOperator(task_id="draw", prompt=prompt, max_images=2)
written = write()
product.expand(prompt=written)
SeedreamSequentialOperator.partial(task_id="alone", max_images=1).expand(prompt=written)
"""
    foretold = forecast(tasks, "--mapped", "product=10", "--mapped", "alone=4")
    assert {each["task_id"]: each["instances"] for each in foretold["tasks"]} == {
        "product.draw": 10,
        "alone": 4,
    }
    assert foretold["cost_usd"] == {"least": 0.84, "most": 0.84}


def test_rounds_of_approval_are_a_range(forecast: Forecast) -> None:
    pytest.importorskip("airflow.providers.standard.operators.hitl")
    tasks = """
from airflow_provider_seedream.operators.approval import approval_rounds
approval_rounds(prompt=["a fox", "an owl"], rounds=3)
"""
    foretold = forecast(tasks, "--from", "2026-01-01", "--to", "2026-01-10")
    assert foretold["run_usd"] == {"least": 0.07, "most": 0.21}
    assert foretold["cost_usd"] == {"least": 0.7, "most": 2.1}


def test_the_connection_names_the_model_and_the_ceiling(
    forecast: Forecast, seedream_emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = seedream_emulator.airflow_connection(model="bytedance/seedream-v4/sequential", max_cost=0.1)
    monkeypatch.setenv("AIRFLOW_CONN_SEEDREAM_DEFAULT", connection)
    dear = 'SeedreamSequentialOperator(task_id="dear", prompt="a fox", max_images=4)'
    foretold = forecast(f"{KNOWN}{dear}")
    assert foretold["cost_usd"] == {"least": 0.027, "most": 0.027}
    assert [each["task_id"] for each in foretold["refused"]] == ["dear"]
    assert foretold["assumed"] == []


def test_without_a_connection_the_models_default_is_assumed(
    forecast: Forecast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_SEEDREAM_DEFAULT")
    foretold = forecast(KNOWN)
    assert foretold["cost_usd"]["least"] == 0.035
    assert len(foretold["assumed"]) == 1


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["another"], "There is no DAG 'another'"),
        (["story", "--from", "2026-01-01"], "A backfill has two ends"),
        (["story", "--from", "2026-02-01", "--to", "2026-01-01"], "has no scheduled run between"),
        (["story", "--mapped", "known=3"], "has no such mapped task"),
        (["story", "--dags", "/no/such/folder"], "does not exist"),
    ],
)
def test_a_mistake_is_told_in_one_line(
    forecast: Forecast, capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str], reason: str
) -> None:
    forecast(KNOWN)
    assert main(["forecast", "--dags", str(tmp_path), *arguments]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert reason in printed.err.splitlines()[-1]


def test_a_file_that_cannot_be_imported_is_named(
    forecast: Forecast, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "broken.py").write_text("from airflow import DAG\nnonsense")
    assert forecast(KNOWN)["runs"] == 1
    assert main(["forecast", "another", "--dags", str(tmp_path)]) == 1
    assert f"1 file(s) could not be imported: {tmp_path / 'broken.py'}" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--from", "soon"], ["--mapped", "draw"], ["--mapped", "draw=many"]])
def test_what_is_no_date_and_no_number_is_wrong_usage(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["forecast", "story", *arguments])
    assert ended.value.code == 2
