"""Airflow's public REST API, as far as the tests look at it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import requests

from tests.standalone.standalone import ADMIN, Standalone

OVER = {"success", "failed", "upstream_failed", "skipped", "removed"}


class Airflow:
    """What a person at the UI would see and do.

    What is asked again and again is read from its database: an answer of its API costs much more computing.

    :param user: who signs in.
    """

    def __init__(self, standalone: Standalone, user: str = ADMIN) -> None:
        self.standalone = standalone
        self._url = url = standalone.url
        self._session = requests.Session()
        credentials = {"username": user, "password": user}
        signed_in = requests.post(f"{url}/auth/token", json=credentials, timeout=30).json()
        self.token: str = signed_in["access_token"]
        self._session.headers["Authorization"] = f"Bearer {self.token}"

    def close(self) -> None:
        self._session.close()

    def get(self, path: str, **query: Any) -> Any:
        return self._call("GET", path, params=query)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        return self._call("POST", path, json=body)

    def patch(self, path: str, body: dict[str, Any]) -> Any:
        return self._call("PATCH", path, json=body)

    def delete(self, path: str) -> Any:
        return self._call("DELETE", path)

    def unpause(self, dag_id: str) -> None:
        """Let a DAG run that is paused when it is first seen."""
        self._wait_for(dag_id)
        self.patch(f"dags/{dag_id}", {"is_paused": False})

    def runs(self, dag_id: str) -> list[Run]:
        """Every run of a DAG, whoever started it."""
        listed = self.get(f"dags/{dag_id}/dagRuns", limit=100)["dag_runs"]
        return [Run(self, dag_id, each["dag_run_id"]) for each in listed]

    def trigger(self, dag_id: str, **conf: Any) -> Run:
        """Start a run of a DAG, waiting until the DAG processor has found the DAG."""
        self._wait_for(dag_id)
        started = self.post(f"dags/{dag_id}/dagRuns", {"logical_date": None, "conf": conf})
        return Run(self, dag_id, started["dag_run_id"])

    def _wait_for(self, dag_id: str) -> None:
        wait_until(
            lambda: self._knows(dag_id),
            timeout=60,
            what=f"the DAG {dag_id} to be found",
            show=lambda: self.get("importErrors"),
        )

    def _knows(self, dag_id: str) -> bool:
        listed = self.get("dags", dag_id_pattern=dag_id)["dags"]
        return any(dag["dag_id"] == dag_id for dag in listed)

    def _call(self, method: str, path: str, **arguments: Any) -> Any:
        for patience in (2, 5, 10, 0):
            response = self._session.request(method, f"{self._url}/api/v2/{path}", timeout=180, **arguments)
            # Airflow's own, where SQLite is locked: nothing was changed.
            if response.status_code != 500 or "Database error" not in response.text or not patience:
                break
            time.sleep(patience)
        assert response.ok, f"{method} {path}: {response.status_code} {response.text[:2000]}"
        return response.json() if response.content else None


class Run:
    """One run of a DAG."""

    def __init__(self, airflow: Airflow, dag_id: str, run_id: str) -> None:
        self._airflow = airflow
        self.dag_id = dag_id
        self.run_id = run_id
        self._path = f"dags/{dag_id}/dagRuns/{run_id}"

    @property
    def state(self) -> str:
        statement = "select state from dag_run where dag_id = :dag_id and run_id = :run_id"
        ((state,),) = self._query(statement)
        return str(state)

    def tasks(self) -> list[dict[str, Any]]:
        """Every task instance, mapped ones one by one."""
        path, found, total = f"{self._path}/taskInstances", [], 1
        while len(found) < total:
            page = self._airflow.get(path, limit=100, offset=len(found))
            found += page["task_instances"]
            total = page["total_entries"]
        return found

    def states(self) -> dict[str, str | None]:
        """State by task, mapped instances as ``task_id[index]``."""
        return {
            task["task_id"] if task["map_index"] < 0 else f"{task['task_id']}[{task['map_index']}]": task[
                "state"
            ]
            for task in self.tasks()
        }

    def _query(self, statement: str) -> list[tuple[Any, ...]]:
        return self._airflow.standalone.query(statement, dag_id=self.dag_id, run_id=self.run_id)

    def wait(self, *, timeout: float) -> str:
        """Wait until the run is over and give its state.

        :param timeout: seconds.
        """
        wait_until(
            lambda: self.state in OVER, timeout=timeout, what=f"{self.run_id} to end", show=self.states
        )
        return self.state

    def wait_for_state(self, task_id: str, state: str, *, timeout: float) -> None:
        """Wait until a task has been seen in a state."""
        wait_until(
            lambda: self.states().get(task_id) == state,
            timeout=timeout,
            what=f"{task_id} to be {state}",
            show=self.states,
        )

    def clear(self, *task_ids: str, **options: bool) -> None:
        """Clear tasks, as the button does.

        :param options: further fields of the call, for example ``include_downstream``.
        """
        body = {
            "dag_run_id": self.run_id,
            "task_ids": list(task_ids),
            "dry_run": False,
            "only_failed": False,
        }
        self._airflow.post(f"dags/{self.dag_id}/clearTaskInstances", {**body, **options})

    def mark_failed(self, task_id: str) -> None:
        """Mark a task failed, as the button does."""
        self._airflow.patch(f"{self._path}/taskInstances/{task_id}", {"new_state": "failed"})

    def replace_form(self, task_id: str) -> None:
        """Give a failed review a new form, as docs/pipelines.md says."""
        self._airflow.delete(f"{self._path}/taskInstances/{task_id}")
        body = {
            "dag_run_id": self.run_id,
            "only_failed": True,
            "reset_dag_runs": True,
            "run_on_latest_version": True,
            "dry_run": False,
        }
        self._airflow.post(f"dags/{self.dag_id}/clearTaskInstances", body)

    def form(self, task_id: str) -> dict[str, Any]:
        """What a task asks a person."""
        form: dict[str, Any] = self._airflow.get(f"{self._path}/taskInstances/{task_id}/-1/hitlDetails")
        return form

    def answer(self, task_id: str, option: str, **params: Any) -> None:
        """Answer what a task asks, as the form does."""
        self.settle(task_id)
        path = f"{self._path}/taskInstances/{task_id}/-1/hitlDetails"
        self._airflow.patch(path, {"chosen_options": [option], "params_input": params})

    def settle(self, task_id: str) -> None:
        """Wait until the scheduler has read that the worker is done with a task that asks.

        An answer within seconds of the question can reach the scheduler before that news, and it then takes a healthy
        task for failed. The news was seen to come five to six seconds late.
        """
        news = (
            f"success for task instance TaskInstanceKey(dag_id='{self.dag_id}', task_id='{task_id}', "
            f"run_id='{self.run_id}', try_number={self.task(task_id)['try_number']}, map_index=-1)"
        )
        wait_until(
            lambda: news in self._airflow.standalone.log.read_text(), timeout=60, what=f"news of {task_id}"
        )
        time.sleep(1)

    def task(self, task_id: str) -> dict[str, Any]:
        """One task instance that is not mapped."""
        return next(task for task in self.tasks() if task["task_id"] == task_id)

    def state_store(self, task_id: str, map_index: int = -1) -> dict[str, Any]:
        """What a task keeps in Airflow's task state store."""
        path = f"{self._path}/taskInstances/{task_id}/state-store"
        listed = self._airflow.get(path, map_index=map_index)
        return {entry["key"]: entry["value"] for entry in listed["task_state_store"]}

    def xcom(self, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        path = f"{self._path}/taskInstances/{task_id}/xcomEntries/{key}"
        return self._airflow.get(path, map_index=map_index, deserialize=True)["value"]

    def xcoms(self) -> list[dict[str, Any]]:
        """Every XCom of the run, with its value."""
        listed = self._airflow.get(f"{self._path}/taskInstances/~/xcomEntries", limit=1000)["xcom_entries"]
        return [
            {**entry, "value": self.xcom(entry["task_id"], entry["key"], entry["map_index"])}
            for entry in listed
        ]

    def log(self, task_id: str, *, attempt: int = 1, map_index: int = -1) -> str:
        """The log of one try, as the UI shows it."""
        path = f"{self._path}/taskInstances/{task_id}/logs/{attempt}"
        content = self._airflow.get(path, map_index=map_index, full_content=True)["content"]
        return "\n".join(line if isinstance(line, str) else str(line) for line in content)


def wait_until(
    condition: Callable[[], bool],
    *,
    timeout: float,
    what: str,
    show: Callable[[], Any] | None = None,
    every: float = 0.5,
) -> None:
    """Look at a condition until it holds.

    :param timeout: seconds after which it is given up.
    :param what: named in the error.
    :param show: gives what to show in the error.
    :param every: seconds between looks.
    """
    give_up = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > give_up:
            seen = f"; seen: {show()}" if show is not None else ""
            raise AssertionError(f"waited {timeout:.0f} s for {what}{seen}")
        time.sleep(every)
