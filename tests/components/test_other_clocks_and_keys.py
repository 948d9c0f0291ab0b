"""A lost submission beside gateways with clocks of their own, workers whose clock is wrong, and keys that were changed."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest
import requests
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_seedream.emulator import Emulator, faults
from airflow_provider_seedream.operators.base import PayingOperator
from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator
from airflow_provider_seedream.submission import Timing
from airflow_provider_seedream.wavespeed import WaveSpeedError
from tests.components.airflow_context import Tries, run
from tests.components.clock import skip

pytestmark = pytest.mark.usefixtures("hurried")

PROMPT = "2 images. First, a fox. Second, an owl."
OTHER = "2 images. First, a car. Second, a bus."
ACCEPTED = faults.Status(504, processed=True)


def gen(policy="adopt", **arguments):
    return SeedreamSequentialOperator(
        **{"task_id": "gen", "prompt": PROMPT, "on_lost_submission": policy, **arguments}
    )


def made_by_another_dag(emulator, prompt=OTHER):
    body = {"prompt": prompt, "size": "2048*2048", "max_images": 2}
    path = "api/v3/bytedance/seedream-v5.0-lite/sequential"
    headers = {"Authorization": f"Bearer {emulator.api_key}"}
    return requests.post(f"{emulator.url}/{path}", json=body, headers=headers, timeout=5).json()["data"]["id"]


def fails(task, tries):
    with pytest.raises((AirflowFailException, WaveSpeedError)) as error:
        run(task, tries, pauses=[])
    return str(error.value)


@pytest.fixture
def full_windows(monkeypatch):
    """A lost request may arrive for minutes, as it may outside of tests."""
    monkeypatch.setattr(PayingOperator, "timing", Timing(searches=(0.0, 0.05)))


@pytest.mark.event("Another set is older than the lost submission")
@pytest.mark.parametrize("behind", [20, 100, 600])
@pytest.mark.parametrize("status", [502, 504, 429])
def test_the_clock_of_a_gateway_makes_no_older_set_a_candidate(
    seedream_emulator, full_windows, behind, status
):
    theirs = made_by_another_dag(seedream_emulator)
    skip(behind - 5)
    date = formatdate(time.time() - behind, usegmt=True)
    if status == 429:
        # Before anything is lost, an answer of the gateway.
        seedream_emulator.faults.add("submit", faults.Status(429, headers={"Date": date, "Retry-After": "1"}))
        seedream_emulator.faults.add("submit", faults.DropBefore())
    else:
        seedream_emulator.faults.add("submit", faults.Status(status, headers={"Date": date}))
    assert theirs not in fails(gen(), Tries())
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.event("Another set is older than the lost submission")
def test_adopt_takes_its_own_set_beside_an_older_one_where_the_workers_clock_is_behind(
    seedream_emulator, full_windows
):
    seedream_emulator.clock.advance(60)
    made_by_another_dag(seedream_emulator, PROMPT)
    skip(30)
    seedream_emulator.faults.add("submit", ACCEPTED)
    own = run(gen(), Tries())["prediction_id"]
    assert own == seedream_emulator.predictions[-1]["id"]
    assert seedream_emulator.paid_tasks == 2


@pytest.mark.event("This try finds a different API key than the one that paid")
@pytest.mark.parametrize("policy", ["fail", "adopt", "resubmit"])
def test_a_retry_pays_nothing_with_the_key_of_another_account_while_a_submission_is_lost(
    seedream_emulator, monkeypatch, policy
):
    tries = Tries()
    tries.ti.max_tries = 2
    seedream_emulator.faults.add("submit", ACCEPTED)
    seedream_emulator.faults.add("list", faults.Status(503), times=5)
    fails(gen(policy, retries=2), tries)
    with Emulator(median_seconds=0.2, api_key="of-another-account") as another:
        made_by_another_dag(another, PROMPT)
        with monkeypatch.context() as patched:
            patched.setenv("AIRFLOW_CONN_SEEDREAM_DEFAULT", another.airflow_connection())
            said = fails(gen(policy, retries=2), tries)
            assert "connection seedream_default has another key or host since" in said
            tries.clear()
            assert "prediction_id" not in tries.ti.xcom
            if policy == "adopt":
                fails(gen(policy), tries)
        assert another.paid_tasks == 1
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.event("This try finds a different API key than the one that paid")
def test_the_old_key_given_back_brings_what_was_paid(seedream_emulator, monkeypatch):
    tries = Tries()
    tries.ti.max_tries = 2
    seedream_emulator.faults.add("submit", ACCEPTED)
    seedream_emulator.faults.add("list", faults.Status(503), times=5)
    fails(gen("adopt", retries=2), tries)
    with monkeypatch.context() as patched, Emulator(api_key="of-another-account") as another:
        patched.setenv("AIRFLOW_CONN_SEEDREAM_DEFAULT", another.airflow_connection())
        assert "Give the old key back" in fails(gen("adopt", retries=2), tries)
    assert run(gen("adopt", retries=2), tries)["prediction_id"] == seedream_emulator.predictions[0]["id"]
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.event("Task cleared while the paying request is under way")
@pytest.mark.parametrize("policy", ["fail", "adopt", "resubmit"])
def test_of_several_candidates_the_error_names_the_one_that_a_clear_takes(seedream_emulator, policy):
    seedream_emulator.configure(list_input=True, result_input=True)
    tries = Tries()
    tries.ti.max_tries = 5
    seedream_emulator.faults.add("submit", ACCEPTED)
    seedream_emulator.faults.add("list", faults.Status(503), times=5)
    fails(gen(policy, retries=5), tries)
    made_by_another_dag(seedream_emulator, PROMPT.upper())
    own = seedream_emulator.predictions[0]["id"]
    assert f"To take {own}, clear the task" in fails(gen(policy, retries=5), tries)
    tries.clear()
    assert run(gen(policy), tries)["prediction_id"] == own
    assert seedream_emulator.paid_tasks == 2
