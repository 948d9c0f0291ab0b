"""The emulator as a program: its banner, its end, and what its state file keeps."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from airflow_provider_seedream.emulator import Emulator
from airflow_provider_seedream.emulator.faults import FailPrediction

MODEL = "bytedance/seedream-v5.0-lite/sequential"
HEADERS = {"Authorization": "Bearer emulator-key"}


@contextmanager
def program(*options: str) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """Start the emulator and wait for its banner; gives the process, the API's origin and the banner."""
    command = [sys.executable, "-W", "error", "-m", "airflow_provider_seedream.emulator"]
    ports = ["--port", "0", "--cdn-port", "0"]
    with subprocess.Popen(
        [*command, *ports, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            banner = ""
            while "export " not in banner:
                line = process.stdout.readline()
                assert line, process.stderr.read() if process.stderr else ""
                banner += line
            found = re.search(r"API +(http://\S+)", banner)
            assert found
            yield process, found[1], banner
        finally:
            process.kill()
            process.communicate()


def submit(url: str, **inputs: Any) -> str:
    answer = requests.post(
        f"{url}/api/v3/{MODEL}", json={"prompt": "a hen", **inputs}, headers=HEADERS, timeout=10
    )
    return answer.json()["data"]["id"]


def result(url: str, prediction_id: str) -> dict[str, Any]:
    answer = requests.get(f"{url}/api/v3/predictions/{prediction_id}/result", headers=HEADERS, timeout=10)
    return answer.json()["data"]


def stats(url: str) -> dict[str, Any]:
    return requests.get(f"{url}/_emulator/stats", timeout=10).json()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_program_says_where_it_is_and_ends_quietly_on_a_signal(number: signal.Signals) -> None:
    with program() as (process, url, banner):
        assert f'"host": "{url}"' in banner
        assert requests.get(f"{url}/api/v3/balance", headers=HEADERS, timeout=10).ok
        assert requests.get(f"{url}/_emulator/stats", timeout=10).status_code == 404
        process.send_signal(number)
        _, complaints = process.communicate(timeout=10)
        assert (process.returncode, complaints) == (0, "")


def test_the_program_ends_on_a_signal_while_a_client_is_kept_waiting() -> None:
    with program("--median-seconds", "600") as (process, url, _):
        body = {"prompt": "a hen", "enable_sync_mode": True}
        with pytest.raises(requests.RequestException):
            requests.post(f"{url}/api/v3/{MODEL}", json=body, headers=HEADERS, timeout=0.5)
        process.send_signal(signal.SIGTERM)
        _, complaints = process.communicate(timeout=10)
        assert (process.returncode, complaints) == (0, "")


def test_the_program_says_what_every_task_costs_and_takes_any_switch() -> None:
    with program("--set", "list_input=true", "--set", "spread=0") as (process, url, _):
        prediction_id = submit(url, max_images=4)
        body = {"page": 1, "page_size": 1}
        listed = requests.post(f"{url}/api/v3/predictions", json=body, headers=HEADERS, timeout=10).json()
        assert listed["data"]["items"][0]["input"]["max_images"] == 4
        process.terminate()
        said, _ = process.communicate(timeout=10)
    assert f"{prediction_id} accepted by {MODEL}" in said
    assert "$0.140 charged for 4" in said


def test_a_taken_port_is_said_in_one_line() -> None:
    with Emulator() as running:
        port = running.url.rpartition(":")[2]
        command = [
            sys.executable,
            "-m",
            "airflow_provider_seedream.emulator",
            "--port",
            port,
            "--cdn-port",
            "0",
        ]
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    assert ended.returncode == 1
    assert ended.stderr.startswith("Cannot start:")
    assert len(ended.stderr.splitlines()) == 1


def test_everything_survives_a_kill_when_there_is_a_state_file(tmp_path: Path) -> None:
    options = (
        "--control",
        "--state",
        str(tmp_path / "state.sqlite"),
        "--median-seconds",
        "30",
        "--spread",
        "0",
    )
    with program(*options) as (process, url, _):
        ids = [submit(url, max_images=2) for _ in range(3)]
        requests.post(f"{url}/_emulator/clock", json={"advance": 31}, timeout=10)
        pictures = [requests.get(one, timeout=10).content for one in result(url, ids[0])["outputs"]]
        running = submit(url)
        before = stats(url)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    with program(*options) as (_, url, _):
        after = stats(url)
        assert {key: after[key] for key in ("paid_tasks", "balance", "predictions", "polls")} == {
            "paid_tasks": 4,
            "balance": before["balance"],
            "predictions": 4,
            "polls": 1,
        }
        assert result(url, running)["status"] in ("created", "processing")
        again = result(url, ids[0])["outputs"]
        assert [requests.get(one, timeout=10).content for one in again] == pictures
        journal = requests.get(f"{url}/_emulator/journal", timeout=10).json()
        assert [entry["paid"] for entry in journal].count(True) == 4


def test_a_refund_falls_due_across_a_restart_and_only_once(tmp_path: Path) -> None:
    state = tmp_path / "state.sqlite"
    with Emulator(state=state, balance=1) as running:
        running.faults.add("submit", FailPrediction())
        submit(running.url)
        assert running.balance == 0.965
    for _ in range(2):
        with Emulator(state=state, balance=50) as running:
            running.clock.advance(60)
            assert (running.balance, running.paid_tasks) == (1.0, 1)
            assert running.predictions[0]["refunded"] is True


def test_importing_the_package_loads_neither_server_nor_pillow() -> None:
    code = "import sys, airflow_provider_seedream.emulator as e; print({'aiohttp', 'PIL'} & set(sys.modules))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "set()"


def test_the_emulator_shares_no_code_with_the_client_it_tests() -> None:
    code = "import sys, airflow_provider_seedream.emulator.__main__; print(*sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    ours = {name for name in ended.stdout.split() if name.startswith("airflow")}
    emulator = "airflow_provider_seedream.emulator"
    assert all(name.startswith(emulator) for name in ours - {"airflow_provider_seedream"})
