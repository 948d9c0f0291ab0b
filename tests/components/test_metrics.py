"""What arrives at a StatsD server: a real one, on UDP, through Airflow's own client."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk.observability import stats
from airflow.sdk.observability.metrics import stats_utils
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from airflow_provider_seedream.emulator import faults
from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator
from airflow_provider_seedream.wavespeed import PredictionFailedError
from tests.components.airflow_context import Tries, run
from tests.statsd import StatsdServer

pytestmark = pytest.mark.usefixtures("hurried")

MODEL = "bytedance/seedream-v5.0-lite/sequential"
TAGS = f",conn=seedream_default,model={MODEL}"


@pytest.fixture
def statsd() -> Iterator[StatsdServer]:
    with StatsdServer() as server, pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "STATSD_ON": "True",
            "STATSD_HOST": "127.0.0.1",
            "STATSD_PORT": str(server.port),
            "STATSD_INFLUXDB_ENABLED": "True",
        }.items():
            patch.setenv(f"AIRFLOW__METRICS__{name}", value)
        made: list[Any] = []
        factory = stats_utils.get_stats_factory()

        def kept() -> Any:
            made.append(factory())
            return made[-1]

        # As a task's process does when it starts.
        stats.initialize(factory=kept, export_legacy_names=False)
        yield server
        for logger in made:
            logger.statsd.close()
    stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=False)


def operator(**arguments):
    return SeedreamSequentialOperator(**{"task_id": "gen", "prompt": ["a fox", "an owl"], **arguments})


def test_an_image_set_is_counted_with_its_pictures_its_price_and_its_wait(seedream_emulator, statsd):
    run(operator(), Tries())
    assert statsd.lines("airflow.seedream.submitted") == [f"airflow.seedream.submitted{TAGS}:1|c"]
    assert statsd.lines("airflow.seedream.cost") == [f"airflow.seedream.cost_micro_usd{TAGS}:70000|c"]
    assert statsd.lines("airflow.seedream.completed") == [f"airflow.seedream.completed{TAGS}:1|c"]
    assert statsd.lines("airflow.seedream.images") == [f"airflow.seedream.images{TAGS}:2|c"]
    (wait,) = statsd.lines("airflow.seedream.wait")
    assert re.fullmatch(rf"airflow\.seedream\.wait{TAGS}:\d+\.\d+\|ms", wait)
    assert statsd.lines("airflow.seedream.failed") == []


@pytest.mark.parametrize(
    ("arguments", "fault", "raised", "named"),
    [
        ({"max_cost": 0.01}, None, AirflowFailException, "BudgetExceededError"),
        ({}, faults.FailPrediction(code=1200, error="no"), AirflowFailException, "PredictionFailedError"),
        ({}, faults.FailPrediction(code=5000, error="no"), PredictionFailedError, "PredictionFailedError"),
        ({}, faults.Status(401), AirflowFailException, "AuthenticationError"),
        ({}, faults.Status(503), AirflowFailException, "LostSubmissionError"),
    ],
)
def test_a_failure_is_counted_by_its_class_and_not_as_completed(
    seedream_emulator, statsd, arguments, fault, raised, named
):
    if fault is not None:
        seedream_emulator.faults.add("submit", fault)
    with pytest.raises(raised):
        run(operator(**arguments), Tries())
    assert statsd.lines("airflow.seedream.failed") == [
        f"airflow.seedream.failed,conn=seedream_default,error={named}:1|c"
    ]
    assert statsd.lines("airflow.seedream.completed") == []
    assert len(statsd.lines("airflow.seedream.submitted")) == seedream_emulator.paid_tasks


def test_what_a_retry_takes_up_is_not_counted_as_paid_again(seedream_emulator, statsd, tmp_path):
    tries, failing = Tries(), operator(output_path=str(tmp_path / "set"))
    seedream_emulator.faults.add("cdn", faults.CdnHtml(), times=None)
    with pytest.raises(Exception, match="image"):
        run(failing, tries)
    seedream_emulator.faults.clear()
    run(failing, tries)
    assert len(statsd.lines("airflow.seedream.submitted")) == seedream_emulator.paid_tasks == 1
    assert len(statsd.lines("airflow.seedream.failed")) == 1
    names = [line.partition(",")[0] for line in statsd.lines("airflow.resumable_job.")]
    assert names == [
        "airflow.resumable_job.fresh_submit",
        "airflow.resumable_job.reconnect_attempt",
        "airflow.resumable_job.already_succeeded",
    ]


def test_nothing_that_grows_without_bound_is_a_tag(seedream_emulator, statsd):
    result = run(operator(), Tries())
    sent = "\n".join(statsd.lines("airflow."))
    assert "seedream.completed" in sent
    assert result["prediction_id"] not in sent
    assert "fox" not in sent


def test_a_broken_collector_fails_no_task(seedream_emulator, monkeypatch):
    def broken(*_: object, **__: object) -> None:
        raise OSError("no collector")

    for name in ("incr", "timing"):
        monkeypatch.setattr(stats.Stats, name, broken)
    assert len(run(operator(), Tries())["images"]) == 2


def test_the_decision_to_take_up_is_a_span_with_the_names_of_airflows_resumable_jobs(
    seedream_emulator, monkeypatch, tmp_path
):
    exported, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exported))
    monkeypatch.setattr("opentelemetry.trace.get_tracer", provider.get_tracer)
    tries, failing = Tries(), operator(output_path=str(tmp_path / "set"))
    seedream_emulator.faults.add("cdn", faults.CdnHtml(), times=None)
    with pytest.raises(Exception, match="image"):
        run(failing, tries)
    seedream_emulator.faults.clear()
    result = run(failing, tries)
    spans = exported.get_finished_spans()
    assert [span.name for span in spans] == ["resumable_job.resume_decision"] * 2
    assert [dict(span.attributes or {}) for span in spans] == [
        {
            "operator": "SeedreamSequentialOperator",
            "resumable.decision": decision,
            "resumable.external_id": result["prediction_id"],
        }
        for decision in ("fresh_submit", "already_succeeded")
    ]
