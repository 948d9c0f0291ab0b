"""As much of Airflow's context as an operator touches, kept in memory."""

from __future__ import annotations

import asyncio
import datetime as dt
import importlib
import json
from types import SimpleNamespace
from typing import Any

import airflow
import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_seedream.submission import TaskStore
from tests.components.clock import skip


class TaskInstance:
    """XCom and the counters of one task instance. Everything pushed must be JSON, as in Airflow."""

    def __init__(self, *, max_tries: int = 0, map_index: int = -1) -> None:
        self.max_tries = max_tries
        self.map_index = map_index
        self.dag_id, self.run_id, self.task_id, self.try_number = "dag", "run", "gen", 0
        self.start_date: dt.datetime | None = None
        self.xcom: dict[str, Any] = {}
        self.xcom_of_others: dict[str, dict[str, Any]] = {}
        self.xcom_of_runs: dict[str, dict[str, dict[str, Any]]] = {}
        self.states_of_runs: dict[str, dict[str, str]] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcom[key] = json.loads(json.dumps(value))

    def get_task_states(self, *, dag_id: str, task_ids: list[str]) -> dict[str, Any]:
        return {run: self.states_of_runs.get(run, {}) for run in (self.run_id, *self.xcom_of_runs)}

    def xcom_pull(
        self,
        task_ids: Any = None,
        key: str = "return_value",
        map_indexes: Any = None,
        run_id: str | None = None,
    ) -> Any:
        if run_id is not None:
            return [self.xcom_of_runs[run_id].get(each, {}).get(key) for each in task_ids]
        if isinstance(task_ids, list) and map_indexes not in (None, self.map_index):
            return [self.xcom_of_others.get(f"{each}[{map_indexes}]", {}).get(key) for each in task_ids]
        if isinstance(task_ids, list):
            return [self.xcom_of_others.get(each, self.xcom).get(key) for each in task_ids]
        return self.xcom.get(key)


class TaskStateStore:
    """Airflow 3.3's store for one task instance: outlives its tries."""

    def __init__(self) -> None:
        self.rows: dict[str, str] = {}

    def get(self, key: str, default: Any = None) -> Any:
        return json.loads(self.rows[key]) if key in self.rows else default

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        self.rows[key] = json.dumps(value)
        assert json.loads(self.rows[key]) == value, "Airflow refuses what is not plain JSON, tuples included"

    def delete(self, key: str) -> None:
        self.rows.pop(key, None)


class Variables:
    """Airflow's Variables: text by name."""

    def __init__(self) -> None:
        self.rows: dict[str, str] = {}
        self.descriptions: dict[str, str | None] = {}

    def get(self, key: str, default: Any = None) -> Any:
        return self.rows.get(key, default)

    def set(self, key: str, value: str, description: str | None = None) -> None:
        assert isinstance(value, str), "Airflow would make a text of it"
        self.rows[key], self.descriptions[key] = value, description

    def delete(self, key: str) -> None:
        self.rows.pop(key, None)


VARIABLES = Variables()
"""Those of a test."""

AIRFLOW = tuple(map(int, airflow.__version__.split(".")[:2]))


class KeptInVariables:
    """What a task keeps where Airflow has no store for it that lasts: the Variables of one task instance, by key."""

    def __init__(self, ti: TaskInstance) -> None:
        self.rows: dict[str, str] = {}
        self._ti = ti

    def get(self, key: str, default: Any = None) -> Any:
        text = self.rows.get(self._name(key))
        return default if text is None else json.loads(text)

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        self.rows[self._name(key)] = json.dumps(value)

    def delete(self, key: str) -> None:
        self.rows.pop(self._name(key), None)

    def _name(self, key: str) -> str:
        return TaskStore({"ti": self._ti}, self._ti.task_id, str)._name(key)  # type: ignore[typeddict-item]


class Tries:
    """The tries of one task instance.

    :param store: whether Airflow has a state store that lasts, as 3.3 has; ``None``: as the installed Airflow.
    """

    store: Any

    def __init__(self, *, store: bool | None = None) -> None:
        self.ti = TaskInstance()
        if store is None and AIRFLOW != (3, 3):
            self.store = KeptInVariables(self.ti)
        else:
            self.store = None if store is False else TaskStateStore()
        self.run = SimpleNamespace(clear_number=0, start_date=dt.datetime.now(dt.UTC))

    def next_try(self) -> dict[str, Any]:
        """The context of the next try: Airflow empties a task's XCom before each."""
        self.ti.xcom.clear()
        self.ti.try_number += 1
        self.ti.start_date = dt.datetime.now(dt.UTC)
        return self.context()

    def clear(self, *, retries: int = 0, counted: bool = True, forgets: bool = False) -> None:
        """A person clears the task: Airflow sets ``max_tries``, and the run counts it.

        :param retries: of the task, as its DAG says at the clear.
        :param counted: whether the state of the run is reset; only then does Airflow count.
        :param forgets: whether somebody deletes what the task keeps.
        """
        self.ti.max_tries = self.ti.try_number + retries
        self.run.clear_number += counted
        if forgets:
            self.forget()

    def forget(self) -> None:
        """What the task keeps is deleted."""
        VARIABLES.rows.clear()
        if self.store is not None:
            self.store.rows.clear()

    def context(self) -> dict[str, Any]:
        context: dict[str, Any] = {"ti": self.ti, "dag_run": self.run}
        if isinstance(self.store, KeptInVariables):
            VARIABLES.rows = self.store.rows
        elif self.store is not None:
            context["task_state_store"] = self.store
        return context


def rendered(task: Any, **values: Any) -> Any:
    """A task as its templates leave it: a literal with a mistake does not get so far."""
    if {"width", "height"} & values.keys():
        values.setdefault("size", None)
    for name, value in values.items():
        setattr(task, name, value)
    task.names_given = [name for name in task.template_fields if getattr(task, name) is not None]
    return task


def run(
    operator: Any,
    tries: Tries,
    *,
    between: Any = None,
    pauses: list[float] | None = None,
    stale: Any = None,
) -> Any:
    """One try from its start to its end, through its deferrals.

    :param between: called while the task waits for its prediction.
    :param pauses: takes the seconds of each deferral on a timer; they are skipped.
    :param stale: the event of the try before, by which Airflow 3.0 resumes this one.
    """
    step, arguments = operator.execute, {"context": tries.next_try()}
    if stale is not None:
        step, arguments["event"] = operator.execute_complete, stale
    while True:
        try:
            return step(**arguments)
        except TaskDeferred as deferral:
            step, arguments = getattr(operator, deferral.method_name), {"context": tries.context()}
            if deferral.method_name == "execute_postponed":
                moment = deferral.trigger.moment
                pause = (moment - dt.datetime.now(dt.UTC)).total_seconds()
                skip(pause)
                if pauses is not None:
                    pauses.append(pause)
                arguments["event"] = moment.isoformat()
            else:
                if between is not None:
                    between()
                arguments["event"] = event_of(deferral.trigger)


def event_of(trigger: Any) -> Any:
    """The one event of a trigger, as it arrives after serialization."""
    path, kwargs = trigger.serialize()
    revived = import_string(path)(**json.loads(json.dumps(kwargs)))

    async def first() -> Any:
        return [event.payload async for event in revived.run()]

    (payload,) = asyncio.run(first())
    return json.loads(json.dumps(payload))


def import_string(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


class WorkerKilledError(BaseException):
    """Stands for SIGKILL: nothing of ours runs after it."""


def killed(*_: Any, **__: Any) -> Any:
    """What a worker does when it is killed."""
    raise WorkerKilledError


def die_in_flight(monkeypatch: pytest.MonkeyPatch, operator: Any, tries: Tries) -> None:
    """A worker that is killed with its paying request under way: the API accepts it, and no one reads the answer."""
    with monkeypatch.context() as patch:
        patch.setattr("airflow_provider_seedream.submission.submission.Submission._keep", killed)
        with pytest.raises(WorkerKilledError):
            run(operator, tries)
    assert tries.store is not None
    assert tries.store.get("seedream_submission")["phase"] == "intent"
