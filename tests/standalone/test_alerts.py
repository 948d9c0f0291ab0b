"""The example with alerts under a whole Airflow: what is not ready by its deadline is told of, and so is a dear day."""

from __future__ import annotations

from airflow_provider_seedream.emulator import Emulator
from tests.standalone.rest import Airflow, Run, wait_until
from tests.standalone.standalone import Standalone
from tests.standalone.watch import Watch

DAG = "example_seedream_alerts"


def test_a_missed_deadline_and_a_day_over_the_limit_call_what_was_given(
    airflow: Airflow, standalone: Standalone, emulator: Emulator
) -> None:
    airflow.unpause(DAG)
    with Watch(emulator, hold=False):
        # Its deadline, three hours after its logical date, has passed.
        body = {"logical_date": "2026-11-20T06:00:00Z", "conf": {"limit_usd": 0.01}}
        run = Run(airflow, DAG, airflow.post(f"dags/{DAG}/dagRuns", body)["dag_run_id"])
        assert run.wait(timeout=150) == "failed", run.states()
        # Unpaused, its schedule started one for today.
        for each in airflow.runs(DAG):
            each.wait(timeout=150)
        airflow.patch(f"dags/{DAG}", {"is_paused": True})
    assert run.states() == {"draw": "success", "publish": "success", "check_spend": "failed"}
    assert "Look at the spend of the day: The account spent $" in run.log("check_spend")

    logs = standalone.home / "logs" / "executor_callbacks" / DAG / run.run_id

    def log() -> str:
        return "".join(file.read_text() for file in logs.iterdir()) if logs.is_dir() else ""

    wait_until(lambda: "missed its deadline" in log(), timeout=60, what="the callback", show=log)
    assert f"The morning post is not ready: run {run.run_id} missed its deadline 2026-11-20 09:00" in log()
