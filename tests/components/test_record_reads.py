"""How often a try asks Airflow for its submission record: each read is a call to Airflow's API."""

from __future__ import annotations

import pytest

from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator
from airflow_provider_seedream.xcom import SUBMISSION
from tests.components.airflow_context import Tries, run

pytestmark = pytest.mark.usefixtures("hurried")


@pytest.mark.parametrize(("deferrable", "reads"), [(True, 2), (False, 1)], ids=["deferred", "waiting"])
def test_a_try_without_faults_reads_its_record_once_a_step(seedream_emulator, monkeypatch, deferrable, reads):
    tries, asked = Tries(), []
    get = tries.store.get

    def counted(key, default=None):
        asked.append(key)
        return get(key, default)

    monkeypatch.setattr(tries.store, "get", counted)
    task = SeedreamSequentialOperator(task_id="gen", prompt="2 images of a fox", deferrable=deferrable)
    assert len(run(task, tries)["images"]) == 2
    assert asked == [SUBMISSION] * reads
