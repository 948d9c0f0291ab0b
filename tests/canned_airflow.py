"""A server that looks like Airflow 3.3.2 to the gallery: its pages, and the answers of its REST API in their true shapes."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse

from airflow_provider_seedream.plugins.app import gallery_app

BASE = "/company/airflow"
"""Its base URL has a path, as behind a company's proxy."""
DAG, RUN = "fox_story", "manual__2026-11-28T11:17:20.126964+00:00"
MOMENT = time.strftime("%Y-%m-%dT%H:%M:%S.553092Z", time.gmtime())
RESULTS = f"{BASE}/api/v2/dags/{{dag_id}}/dagRuns/{{run_id}}/taskInstances"

AROUND = """<!doctype html><html class="{theme}"><title>Airflow</title>
<iframe sandbox="allow-scripts allow-same-origin allow-forms" src="{href}" width="900" height="700"></iframe></html>"""
"""How the UI shows a view: in a frame that may open no window, within a page whose class is the theme."""


class CannedAirflow:
    """What it answers, and what it was asked.

    :ivar tasks: its task instances.
    :ivar earlier: task instances of earlier runs.
    :ivar stores: what its task state store holds, by task and map index.
    :ivar xcoms: values by task, map index and key.
    :ivar logs: lines of the log by task.
    :ivar unknown_filters: names that it does not know, of filters of task instances.
    :ivar status: answered to every question, where it is not 200.
    :ivar asked: paths below ``/api/v2/``, with their queries.
    """

    def __init__(self) -> None:
        self.tasks: list[dict[str, Any]] = []
        self.earlier: list[dict[str, Any]] = []
        self.stores: dict[tuple[str, int], dict[str, Any]] = {}
        self.xcoms: dict[tuple[str, int, str], Any] = {}
        self.logs: dict[str, list[dict[str, Any]]] = {}
        self.unknown_filters: set[str] = set()
        self.status = 200
        self.asked: list[str] = []
        self.url = ""

    def add(
        self, task_id: str, state: str | None, map_index: int = -1, operator: str | None = None, **xcoms: Any
    ) -> dict[str, Any]:
        """One more task instance, with what it has pushed."""
        ended = state in ("success", "failed")
        instance = {
            "id": f"01a221df-bae5-7afa-b717-{len(self.tasks):012}",
            "task_id": task_id,
            "dag_id": DAG,
            "dag_run_id": RUN,
            "map_index": map_index,
            "logical_date": None,
            "run_after": MOMENT,
            "start_date": MOMENT,
            "end_date": MOMENT if ended else None,
            "duration": 31.4 if ended else None,
            "state": state,
            "try_number": 1,
            "max_tries": 0,
            "task_display_name": task_id,
            "dag_display_name": DAG,
            "operator": operator or "SeedreamSequentialOperator",
            "operator_name": operator or "SeedreamSequentialOperator",
            "rendered_map_index": None if map_index < 0 else str(map_index),
            "rendered_fields": {"output_path": None},
            "note": None,
            "trigger": None,
        }
        self.tasks.append(instance)
        for key, value in xcoms.items():
            self.xcoms[task_id, map_index, key] = value
        return instance

    def page(self, **query: str | int) -> str:
        """The address of the page by itself."""
        pairs = "&".join(f"{name}={value}" for name, value in query.items())
        return f"{self.url}{BASE}/seedream/gallery.html?{pairs}"

    def task_page(self, task_id: str, map_index: int | str = "{MAP_INDEX}") -> str:
        """The address that the UI gives for a task instance, the literal of an unmapped one included."""
        run_id = RUN.replace(":", "%3A").replace("+", "%2B")
        return self.page(dag_id=DAG, run_id=run_id, task_id=task_id, map_index=map_index)

    def _listed(self, task_id: str, map_index: int, key: str) -> dict[str, Any]:
        return {
            "key": key,
            "timestamp": MOMENT,
            "logical_date": None,
            "map_index": map_index,
            "task_id": task_id,
            "dag_id": DAG,
            "run_id": RUN,
            "dag_display_name": DAG,
            "task_display_name": task_id,
            "run_after": MOMENT,
        }

    def app(self) -> FastAPI:
        """Airflow, under its base path."""
        app = FastAPI()
        app.mount(f"{BASE}/seedream", gallery_app())

        def note(request: Request) -> Mapping[str, str]:
            path = request.url.path.removeprefix(f"{BASE}/api/v2/")
            self.asked.append(f"{path}?{request.url.query}")
            assert request.headers["accept"] == "application/json"
            if self.status != 200:
                raise HTTPException(self.status, "refused")
            return request.query_params

        def paged(key: str, found: list[dict[str, Any]], query: Mapping[str, str]) -> dict[str, Any]:
            limit, offset = min(int(query.get("limit", 50)), 100), int(query.get("offset", 0))
            return {key: found[offset : offset + limit], "total_entries": len(found)}

        @app.get(f"{BASE}/around")
        def around(href: str, theme: str) -> HTMLResponse:
            return HTMLResponse(AROUND.format(href=href, theme=theme))

        @app.get(RESULTS)
        def instances(dag_id: str, run_id: str, request: Request) -> dict[str, Any]:
            query = note(request)
            assert dag_id == DAG
            assert run_id in (RUN, "~")
            listed = self.tasks if run_id == RUN else [*self.earlier, *self.tasks]
            wanted = {
                name: query[name]
                for name in ("task_id", "map_index", "state", "operator")
                if name in query and name not in self.unknown_filters
            }
            found = [
                each for each in listed if all(str(each[name]) == value for name, value in wanted.items())
            ]
            return paged("task_instances", found, query)

        @app.get(RESULTS + "/{task_id}/xcomEntries")
        def entries(dag_id: str, run_id: str, task_id: str, request: Request) -> dict[str, Any]:
            query = note(request)
            assert dag_id in ("~", DAG)
            assert run_id in ("~", RUN)
            found = [
                self._listed(task, map_index, key)
                for task, map_index, key in self.xcoms
                if task_id in ("~", task)
                and query.get("xcom_key", key) == key
                and query.get("map_index", str(map_index)) == str(map_index)
            ]
            return paged("xcom_entries", found, query)

        @app.get(RESULTS + "/{task_id}/xcomEntries/{key:path}")
        def entry(task_id: str, key: str, map_index: int, request: Request) -> dict[str, Any]:
            note(request)
            if (task_id, map_index, key) not in self.xcoms:
                raise HTTPException(404, f"XCom entry with key: `{key}` not found")
            return {
                **self._listed(task_id, map_index, key),
                "value": self.xcoms[task_id, map_index, key],
            }

        @app.get(RESULTS + "/{task_id}/state-store")
        def state_store(task_id: str, map_index: int, request: Request) -> dict[str, Any]:
            query = note(request)
            held = self.stores.get((task_id, map_index), {})
            found = [
                {"key": key, "value": value, "updated_at": MOMENT, "expires_at": None}
                for key, value in held.items()
            ]
            return paged("task_state_store", found, query)

        @app.get(RESULTS + "/{task_id}/logs/{try_number}")
        def log(task_id: str, request: Request) -> dict[str, Any]:
            note(request)
            return {"content": self.logs[task_id], "continuation_token": None}

        return app


@contextmanager
def canned_airflow() -> Iterator[CannedAirflow]:
    """Serve on loopback until the ``with`` block ends."""
    airflow = CannedAirflow()
    config = uvicorn.Config(airflow.app(), host="127.0.0.1", port=0, log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=asyncio.run, args=(server.serve(),), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
        assert thread.is_alive()
    airflow.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield airflow
    finally:
        server.should_exit = True
        thread.join(timeout=10)
