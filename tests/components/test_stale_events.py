"""Airflow 3.0 resumes a retry by the event of the try before it: neither a payment nor a try is wasted on that."""

from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_seedream.decorators.seedream import SeedreamSequentialDecoratedOperator
from airflow_provider_seedream.emulator import faults
from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator
from airflow_provider_seedream.wavespeed import PredictionFailedError, PredictionTimeoutError
from tests.components.airflow_context import Tries, event_of, run

pytestmark = pytest.mark.usefixtures("hurried")


def drawing(**arguments):
    return SeedreamSequentialOperator(
        task_id="gen", prompt="2 images. First, a fox. Second, an owl.", **arguments
    )


def decorated(**arguments):
    return SeedreamSequentialDecoratedOperator(
        task_id="gen", python_callable=lambda: ["a fox", "an owl"], **arguments
    )


@pytest.fixture(params=[drawing, decorated])
def operator(request):
    return request.param


@pytest.fixture(params=[True, False], ids=["3.3", "before"])
def tries(request):
    return Tries(store=request.param)


def failed_with(error, task, tries):
    """The event that a try failed with."""
    with pytest.raises(TaskDeferred) as deferral:
        task.execute(tries.next_try())
    event = event_of(deferral.value.trigger)
    with pytest.raises(error):
        task.execute_complete(tries.context(), event)
    return event


@pytest.mark.event("Our deadline passes")
def test_a_retry_given_the_deadline_of_the_try_before_collects_what_is_paid(
    seedream_emulator, operator, tries
):
    seedream_emulator.clock.hold()
    hasty = operator(retries=1)
    hasty.timeout = 0.3
    event = failed_with(PredictionTimeoutError, hasty, tries)
    seedream_emulator.clock.advance(60)
    assert len(run(operator(retries=1), tries, stale=event)["images"]) == 2
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.event("Prediction failed on the server's side")
def test_a_retry_given_the_failure_of_the_try_before_submits_once_more(seedream_emulator, operator, tries):
    seedream_emulator.faults.add("submit", faults.FailPrediction(5000, "internal"))
    event = failed_with(PredictionFailedError, operator(retries=1), tries)
    assert len(run(operator(retries=1), tries, stale=event)["images"]) == 2
    assert seedream_emulator.paid_tasks == 2
