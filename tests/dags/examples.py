"""The example DAGs as tests meet them, and what a run of one left behind."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).parent.parent.parent / "example_dags"


def example(name: str) -> Any:
    """Read anew, as Airflow does for each task: ``dag.test()`` leaves its params in the DAG."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"example_seedream_{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def states(run: Any) -> dict[str, str]:
    """The state of each task instance, mapped ones with their index."""
    return {
        task.task_id if task.map_index < 0 else f"{task.task_id}[{task.map_index}]": str(task.state)
        for task in run.get_task_instances()
    }


def xcom(run: Any, task_id: str) -> Any:
    """What a task gave."""
    return run.get_task_instance(task_id).xcom_pull(task_ids=task_id)
