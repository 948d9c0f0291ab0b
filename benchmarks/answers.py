"""What the server says about a job, in the protocol of each contender."""

from __future__ import annotations

import datetime as dt
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.plan import Job

MODEL = "bytedance/seedream-v5.0-lite/sequential"


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and a JSON body."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Protocol:
    """One protocol.

    :param pattern: matches request line and body, with the job in the group ``job``.
    :param base: of the job's number as written there.
    :param answer: from a job and its age in seconds.
    """

    pattern: re.Pattern[bytes]
    base: int
    answer: Callable[[Job, float], Answer]


def _ok(content: object) -> Answer:
    return Answer(200, json.dumps(content).encode())


def _wavespeed(job: Job, age: float) -> Answer:
    over = age >= job.duration
    created = dt.datetime.fromtimestamp(time.time() - max(0.0, age), dt.UTC)
    return _ok(
        {
            "code": 200,
            "message": "success",
            "data": {
                "id": job.id,
                "model": MODEL,
                "status": "completed" if over else "processing",
                "outputs": [f"https://cdn.invalid/{job.id}/{k}.jpeg" for k in range(4)] if over else [],
                "has_nsfw_contents": [False] * 4 if over else [],
                "urls": {"get": f"https://api.invalid/api/v3/predictions/{job.id}/result"},
                "created_at": created.isoformat(),
                "error": "",
                "timings": {"inference": round(job.duration * 1000) if over else 0},
            },
        }
    )


def _plain(job: Job, age: float) -> Answer:
    return _ok({"id": job.number, "status": "completed" if age >= job.duration else "processing"})


def _there_or_not(job: Job, age: float) -> Answer:
    return _plain(job, age) if age >= job.duration else Answer(404, b'{"message": "not yet"}')


def _dbt_cloud(job: Job, age: float) -> Answer:
    over = age >= job.duration
    run = {"id": job.number, "account_id": 1, "status": 10 if over else 3, "is_complete": over}
    return _ok({"data": run, "status": {"code": 200, "is_success": True, "user_message": "Success!"}})


def _databricks(job: Job, age: float) -> Answer:
    over = age >= job.duration
    state = (
        {"life_cycle_state": "TERMINATED", "result_state": "SUCCESS"}
        if over
        else {"life_cycle_state": "RUNNING"}
    )
    return _ok(
        {
            "job_id": 1,
            "run_id": job.number,
            "run_page_url": f"https://databricks.invalid/?o=1#job/1/run/{job.number}",
            "state": {**state, "state_message": ""},
            "tasks": [],
        }
    )


PROTOCOLS = (
    Protocol(re.compile(rb"GET /api/v3/predictions/(?P<job>[0-9a-f]{32})/result "), 16, _wavespeed),
    Protocol(re.compile(rb"GET /jobs/(?P<job>\d+) "), 10, _plain),
    Protocol(re.compile(rb"GET /done/(?P<job>\d+) "), 10, _there_or_not),
    Protocol(re.compile(rb"GET /api/v2/accounts/1/runs/(?P<job>\d+)/"), 10, _dbt_cloud),
    Protocol(
        re.compile(rb'GET /api/2.2/jobs/runs/get .*"run_id":\s*(?P<job>\d+)', re.DOTALL), 10, _databricks
    ),
)


def asked(request: bytes) -> tuple[int, Protocol] | None:
    """The job that a request asks for and the protocol it does so in."""
    for protocol in PROTOCOLS:
        if match := protocol.pattern.match(request):
            return int(match["job"], protocol.base), protocol
    return None
