"""The command line beside real runs: what it foretold is what they cost, and it knows which predictions are theirs."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.models.variable import Variable
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_seedream.cli.main import main
from airflow_provider_seedream.emulator import Emulator

FILE = """
import datetime as dt
from airflow.providers.common.compat.sdk import DAG
from airflow_provider_seedream.operators.prompt import SeedreamPromptOperator
from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator

with DAG("foretold", start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC), schedule="@daily", catchup=False) as dag:
    words = SeedreamPromptOperator(task_id="words", prompt=["a fox", "an owl"], enhance=True)
    SeedreamSequentialOperator.partial(task_id="draw", prompt=words.output).expand(size=["1:1", "16:9"])
"""


def test_a_forecast_is_what_the_runs_cost_and_their_predictions_are_known(
    run_dag: Callable[..., Any],
    seedream_emulator: Emulator,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    (tmp_path / "foretold.py").write_text(FILE)

    def printed(*arguments: str) -> Any:
        capsys.readouterr()
        assert main([*arguments, "--output", "json"]) == 0
        return json.loads(capsys.readouterr().out)

    dates = ["--from", "2026-01-01", "--to", "2026-01-02"]
    foretold = printed("forecast", "foretold", "--dags", str(tmp_path), *dates)
    content: dict[str, Any] = {}
    exec(compile(FILE, "foretold.py", "exec"), content)
    dag: DAG = content["dag"]
    for day in (1, 2):
        run = run_dag(dag, logical_date=dt.datetime(2026, 1, day, tzinfo=dt.UTC))
        assert str(run.state) == "success"
    charged = round(100.0 - seedream_emulator.balance, 6)
    assert foretold["cost_usd"] == {"least": charged, "most": charged}

    of_the_runs = {each["id"] for each in seedream_emulator.predictions}
    printed("generate", "a bear", "--yes", "--folder", str(tmp_path / "bear"))
    listed = printed("predictions", "list")
    assert {each["id"] for each in listed if each["known"]} == of_the_runs
    assert [each["known"] for each in listed].count(False) == 1
    capsys.readouterr()
    assert main(["predictions", "list"]) == 0
    newest = capsys.readouterr().out.splitlines()[1]
    assert newest.rstrip().endswith("no record")

    (unknown,) = (each["id"] for each in listed if not each["known"])
    Variable.set("seedream_submission_of_a_run_on_another_airflow", json.dumps({"prediction_id": unknown}))
    assert all(each["known"] for each in printed("predictions", "list"))
    Variable.delete("seedream_submission_of_a_run_on_another_airflow")
