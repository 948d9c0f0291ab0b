"""``deferrable`` where the DAG says nothing: Airflow's own option, if a person set it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from airflow_provider_seedream.decorators.seedream import SeedreamSequentialDecoratedOperator
from airflow_provider_seedream.operators.prompt import SeedreamPromptOperator
from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator
from airflow_provider_seedream.sensors.seedream import SeedreamPredictionSensor
from airflow_provider_seedream.wavespeed import InvalidInputError

ENVIRONMENT = "AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE"
OPERATORS = [
    (SeedreamSequentialOperator, {"prompt": "a fox"}),
    (SeedreamSequentialDecoratedOperator, {"python_callable": lambda: "a fox"}),
    (SeedreamPromptOperator, {"prompt": ["a fox", "an owl"]}),
    (SeedreamPredictionSensor, {"prediction_id": "0f8fad5b"}),
]

OF_A_FILE = """
from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator
print("deferrable:", SeedreamSequentialOperator(task_id="draw", prompt="a fox").deferrable)
"""


@pytest.mark.parametrize(("operator", "arguments"), OPERATORS, ids=lambda each: getattr(each, "__name__", ""))
@pytest.mark.parametrize(
    ("option", "given", "defers"),
    [
        (None, {}, True),
        ("", {}, True),
        ("False", {}, False),
        ("True", {}, True),
        ("False", {"deferrable": None}, False),
        ("False", {"deferrable": True}, True),
        ("True", {"deferrable": False}, False),
    ],
)
def test_a_task_defers_as_its_dag_says_else_as_the_environment_does_else_always(
    monkeypatch, operator, arguments, option, given, defers
):
    if option is not None:
        monkeypatch.setenv(ENVIRONMENT, option)
    assert operator(task_id="task", **arguments, **given).deferrable is defers


def test_the_file_that_airflow_writes_by_itself_says_nothing(tmp_path):
    (tmp_path / "airflow.cfg").write_text("[operators]\ndefault_deferrable = false\n")
    seen = subprocess.run(
        [sys.executable, "-c", OF_A_FILE],
        env={**os.environ, "AIRFLOW_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "deferrable: True" in seen.stdout


def test_what_is_no_bool_is_refused():
    with pytest.raises(InvalidInputError, match="deferrable"):
        SeedreamSequentialOperator(task_id="draw", prompt="a fox", deferrable="no")
