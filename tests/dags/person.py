"""Somebody who answers Airflow's forms while a DAG runs in this process: over the REST API, as the UI does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Self

from fastapi import FastAPI
from fastapi.testclient import TestClient


@cache
def _app() -> FastAPI:
    """Airflow's API, which takes seconds to make."""
    from airflow.api_fastapi.app import create_app

    return create_app(apps="core")


class Person:
    """Answers the forms of one run, in order.

    :param dag_id: of the run; there must be only one at a time.
    :param answers: task, option and note of each answer; or what else is done then.
    """

    def __init__(self, dag_id: str, answers: Sequence[tuple[str, str, Any] | Callable[[Self], None]]) -> None:
        self._client = TestClient(_app())
        token = self._client.get("/auth/token").json()["access_token"]
        self._client.headers["Authorization"] = f"Bearer {token}"
        self._dag_id = dag_id
        self._answers = answers
        self._thread = threading.Thread(target=self._answer, daemon=True)
        self._run_is_over = threading.Event()
        self._run_id = ""
        self.forms: list[dict[str, Any]] = []
        """Each form as it was seen."""
        self.refusals: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._run_is_over.set()
        self._thread.join(timeout=10)
        self._client.close()

    def _answer(self) -> None:
        for step in self._answers:
            if callable(step):
                step(self)
                continue
            task_id, option, note = step
            path = self.form(task_id)
            if path is None:
                return
            self._send(path, option, {"note": note})

    def _send(self, path: str, option: str, fields: dict[str, Any]) -> None:
        answer = self._client.patch(path, json={"chosen_options": [option], "params_input": fields})
        if not answer.is_success:
            self.refusals.append(answer.text)

    def answer(self, task_id: str, choose: Callable[[list[str]], str]) -> None:
        """Answer a form without fields, by one of its options."""
        path = self.form(task_id)
        if path is not None:
            self._send(path, choose(self.forms[-1]["options"]), {})

    def clear(self, task_id: str) -> None:
        """Clear a task and all that follows it."""
        cleared = self._client.post(
            f"/api/v2/dags/{self._dag_id}/clearTaskInstances",
            json={
                "dry_run": False,
                "dag_run_id": self._run_id,
                "task_ids": [task_id],
                "include_downstream": True,
                "only_failed": False,
                "reset_dag_runs": False,
            },
        )
        if not cleared.is_success:
            self.refusals.append(cleared.text)

    def mark_success(self, task_id: str) -> None:
        """Mark a task success by hand."""
        marked = self._client.patch(
            f"/api/v2/dags/{self._dag_id}/dagRuns/{self._run_id}/taskInstances/{task_id}",
            json={"new_state": "success"},
        )
        if not marked.is_success:
            self.refusals.append(marked.text)

    def form(self, task_id: str) -> str | None:
        """Wait for a form, and give its place."""
        give_up = time.monotonic() + 60
        while time.monotonic() < give_up and not self._run_is_over.is_set():
            listed = self._client.get(f"/api/v2/dags/{self._dag_id}/dagRuns/~/hitlDetails").json()
            for form in listed.get("hitl_details", []):
                ti = form["task_instance"]
                if (
                    ti["task_id"] == task_id
                    and not form["response_received"]
                    and ti["state"] == "awaiting_input"
                ):
                    self.forms.append(form)
                    self._run_id = ti["dag_run_id"]
                    return f"/api/v2/dags/{self._dag_id}/dagRuns/{self._run_id}/taskInstances/{task_id}/-1/hitlDetails"
            time.sleep(0.1)
        return None
