"""A submission while the API is away: the task waits, deferred, and fails only after minutes, or for what no wait cures."""

from __future__ import annotations

import threading
from dataclasses import replace

import PIL.Image
import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_seedream.emulator import faults
from airflow_provider_seedream.hooks.seedream import SeedreamHook
from airflow_provider_seedream.operators.base import PayingOperator
from airflow_provider_seedream.operators.prompt import SeedreamPromptOperator
from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator
from airflow_provider_seedream.submission import Timing
from airflow_provider_seedream.wavespeed import ApiConnectionError
from airflow_provider_seedream.xcom import SUBMISSION
from tests.components.airflow_context import Tries, run
from tests.components.conftest import HURRIED
from tests.loopback import Loopback, answer, server_context

pytestmark = pytest.mark.usefixtures("hurried")

AWAY = Timing().away


def operator(**arguments):
    return SeedreamSequentialOperator(**{"task_id": "gen", "prompt": "2 images of a fox", **arguments})


class Pauses(list):
    """The deferrals of a task; the emulator comes back once they have taken so many seconds."""

    def __init__(self, emulator, away):
        super().__init__()
        self.emulator, self.away = emulator, away

    def append(self, pause):
        super().append(pause)
        if sum(self) >= self.away:
            self.emulator.start()
            self.away = float("inf")


@pytest.mark.event("No connection to the API")
def test_an_api_that_is_away_for_a_minute_costs_one_try_and_holds_no_worker(seedream_emulator, caplog):
    caplog.set_level("INFO")
    seedream_emulator.stop()
    tries, pauses = Tries(), Pauses(seedream_emulator, 60.0)
    assert len(run(operator(), tries, pauses=pauses)["images"]) == 2
    assert tries.ti.try_number == 1
    assert seedream_emulator.paid_tasks == 1
    assert 60 <= sum(pauses) < 120
    assert "No connection to the API, nothing is paid; retrying in" in caplog.text
    assert "Connection refused" in caplog.text


@pytest.mark.event("No connection to the API")
def test_an_enhancement_waits_as_well(seedream_emulator):
    seedream_emulator.stop()
    tries, pauses = Tries(), Pauses(seedream_emulator, 20.0)
    run(
        SeedreamPromptOperator(task_id="write", prompt=["a fox", "an owl"], enhance=True),
        tries,
        pauses=pauses,
    )
    assert (tries.ti.try_number, seedream_emulator.paid_tasks) == (1, 1)


@pytest.mark.event("No connection to the API")
def test_a_task_that_waits_in_its_worker_does_so_there(seedream_emulator, monkeypatch):
    monkeypatch.setattr(PayingOperator, "timing", replace(HURRIED, away=(0.2,) * 20))
    seedream_emulator.stop()
    back = threading.Timer(1.0, seedream_emulator.start)
    back.start()
    tries = Tries()
    assert len(run(operator(deferrable=False), tries)["images"]) == 2
    back.join()
    assert (tries.ti.try_number, seedream_emulator.paid_tasks) == (1, 1)


@pytest.mark.event("No connection to the API")
def test_an_api_that_stays_away_fails_the_try_after_minutes_and_each_try_waits_as_long(seedream_emulator):
    seedream_emulator.stop()
    tries = Tries()
    for _ in range(2):
        pauses = []
        with pytest.raises(ApiConnectionError, match=r"found no connection.*Nothing was sent"):
            run(operator(), tries, pauses=pauses)
        assert len(pauses) == len(AWAY)
        assert all(least - 1 <= pause <= 1.25 * least for least, pause in zip(AWAY, pauses, strict=True))
    assert tries.store.get(SUBMISSION)["phase"] == "delayed"
    seedream_emulator.start()
    assert len(run(operator(), tries)["images"]) == 2
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.event("No connection to the API")
def test_no_wait_for_the_api_is_longer_than_the_tasks_timeout(seedream_emulator):
    seedream_emulator.stop()
    pauses = []
    with pytest.raises(ApiConnectionError):
        run(operator(timeout=25), Tries(), pauses=pauses)
    assert len(pauses) == 1


@pytest.mark.event("No connection to the API")
@pytest.mark.parametrize("before", ["price", "budget", "upload"])
def test_calls_before_the_paying_request_wait_as_well(seedream_emulator, monkeypatch, tmp_path, before):
    arguments = {
        "price": {"price_source": "api"},
        "budget": {},
        "upload": {"images": [str(tmp_path / "a.png")]},
    }
    if before == "budget":
        connection = seedream_emulator.airflow_connection(max_cost_per_day=5)
        monkeypatch.setenv("AIRFLOW_CONN_SEEDREAM_DEFAULT", connection)
    PIL.Image.new("RGB", (256, 256)).save(tmp_path / "a.png")
    seedream_emulator.stop()
    tries, pauses = Tries(), Pauses(seedream_emulator, 20.0)
    assert len(run(operator(**arguments[before]), tries, pauses=pauses)["images"]) == 2
    assert (tries.ti.try_number, seedream_emulator.paid_tasks) == (1, 1)


def test_a_rate_limit_after_an_outage_begins_the_count_of_failed_connections_again(seedream_emulator):
    seedream_emulator.faults.add("submit", faults.Status(429, headers={"Retry-After": "20"}))
    seedream_emulator.stop()
    tries = Tries()
    with pytest.raises(TaskDeferred):
        operator().execute(tries.next_try())
    away = tries.store.get(SUBMISSION)
    seedream_emulator.start()
    with pytest.raises(TaskDeferred):
        operator().execute_postponed(tries.context())
    limited = tries.store.get(SUBMISSION)
    assert (away["phase"], away["unreached"], away["refusals"]) == ("delayed", 1, 0)
    assert (limited["phase"], limited["unreached"], limited["refusals"]) == ("delayed", 0, 1)


def test_a_task_that_was_killed_while_it_found_no_connection_does_not_wait(seedream_emulator, monkeypatch):
    seedream_emulator.stop()
    task, real = operator(), SeedreamHook.submit

    def kill_and_submit(*arguments, **options):
        threading.Timer(0.0, task.on_kill).start()
        return real(*arguments, **options)

    monkeypatch.setattr(SeedreamHook, "submit", kill_and_submit)
    with pytest.raises(ApiConnectionError):
        run(task, Tries(), pauses=(pauses := []))
    assert pauses == []


@pytest.mark.event("No connection to the API")
@pytest.mark.parametrize("cause", ["certificate", "CA file", "proxy's name", "proxy's scheme", "sign in"])
def test_what_no_wait_cures_fails_the_try_at_once(seedream_emulator, monkeypatch, tmp_path, cause):
    context, _ = server_context(tmp_path)
    for name in ("NO_PROXY", "no_proxy", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)

    def behave(visitor):
        if cause == "certificate":
            visitor.wrap(context)
        visitor.listen()
        visitor.say(answer(b"", status="407 Sign in"))

    with Loopback(behave) as server:
        here = f"127.0.0.1:{server.port}"
        host = f"https://{here}" if cause in ("certificate", "CA file") else "https://api.example"
        monkeypatch.setenv(
            "AIRFLOW_CONN_SEEDREAM_DEFAULT", f'{{"conn_type": "seedream", "host": "{host}", "password": "k"}}'
        )
        if cause == "CA file":
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "missing"))
        proxy = {
            "proxy's name": "http://[::1",
            "proxy's scheme": "nonsense://a:1",
            "sign in": f"http://{here}",
        }
        if cause in proxy:
            monkeypatch.setenv("HTTPS_PROXY", proxy[cause])
        pauses = []
        with pytest.raises(ApiConnectionError, match=r"found no connection.*Nothing was sent"):
            run(operator(), Tries(), pauses=pauses)
    assert pauses == []
