"""What a task says it has paid, however it ends: the sum of a run is made of it."""

from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_seedream.emulator import faults
from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator
from airflow_provider_seedream.wavespeed import WaveSpeedError
from tests.components.airflow_context import Tries, run

pytestmark = pytest.mark.usefixtures("hurried")


def spent(tries, **arguments):
    try:
        run(SeedreamSequentialOperator(task_id="gen", prompt=["a fox", "an owl"], **arguments), tries)
    except (WaveSpeedError, AirflowFailException) as error:
        return type(error).__name__, tries.ti.xcom.get("spent_usd")
    return None, tries.ti.xcom.get("spent_usd")


@pytest.mark.parametrize("store", [True, False])
def test_an_image_set_that_succeeds(seedream_emulator, store):
    assert spent(Tries(store=store)) == (None, 0.07)


def test_a_prediction_that_fails_was_paid(seedream_emulator):
    seedream_emulator.faults.add("submit", faults.FailPrediction(code=1200, error="no"))
    assert spent(Tries()) == ("AirflowFailException", 0.07)


def test_a_submission_whose_answer_is_lost_may_be_paid(seedream_emulator):
    seedream_emulator.faults.add("submit", faults.Status(503))
    assert spent(Tries()) == ("AirflowFailException", 0.07)


def test_what_is_refused_is_not_paid(seedream_emulator):
    assert spent(Tries(), max_cost=0.01) == ("AirflowFailException", None)
    assert seedream_emulator.paid_tasks == 0


def test_a_try_that_pays_again_adds_to_the_one_before(seedream_emulator):
    tries = Tries()
    seedream_emulator.faults.add("submit", faults.FailPrediction(code=5000, error="no"), times=1)
    assert spent(tries) == ("PredictionFailedError", 0.07)
    assert spent(tries) == (None, 0.14)
    assert seedream_emulator.paid_tasks == 2


def test_a_try_that_finds_the_paid_prediction_failed_still_says_what_was_paid(seedream_emulator):
    tries = Tries()
    seedream_emulator.faults.add("submit", faults.FailPrediction(code=1200, error="no"), times=1)
    spent(tries)
    assert spent(tries) == ("AirflowFailException", 0.07)
    assert seedream_emulator.paid_tasks == 1
