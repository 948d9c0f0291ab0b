"""``airflow providers …`` knows the provider."""

from __future__ import annotations

import json
from typing import Any

import pytest

PACKAGE = "airflow-provider-seedream"
HOOK = "airflow_provider_seedream.hooks.seedream.SeedreamHook"


def _airflow(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    """Run a command as the shell would, and read the JSON it prints after whatever it logs."""
    from airflow.cli import cli_parser

    capsys.readouterr()
    parsed = cli_parser.get_parser().parse_args([*arguments, "--output", "json"])
    parsed.func(parsed)
    printed = capsys.readouterr().out
    rows: list[dict[str, Any]] = json.loads(printed[printed.index("[{") :])
    return rows


def test_the_provider_is_listed(airflow_db: None, capsys: pytest.CaptureFixture[str]) -> None:
    (row,) = [row for row in _airflow(capsys, "providers", "list") if row["package_name"] == PACKAGE]
    assert row["version"] == "0.1.0"
    assert "Seedream" in row["description"]


def test_the_provider_can_be_asked_about(airflow_db: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert _airflow(capsys, "providers", "get", PACKAGE) == [{"Provider": PACKAGE, "Version": "0.1.0"}]


def test_the_connection_type_leads_to_the_hook(airflow_db: None, capsys: pytest.CaptureFixture[str]) -> None:
    (row,) = [r for r in _airflow(capsys, "providers", "hooks") if r["connection_type"] == "seedream"]
    assert row == {
        "connection_type": "seedream",
        "class": HOOK,
        "conn_id_attribute_name": "seedream_conn_id",
        "package_name": PACKAGE,
        "hook_name": "Seedream (WaveSpeedAI)",
    }


def test_the_trigger_is_listed(airflow_db: None, capsys: pytest.CaptureFixture[str]) -> None:
    listed = [row["class"] for row in _airflow(capsys, "providers", "triggers")]
    assert "airflow_provider_seedream.triggers.seedream" in listed


def test_the_connection_form_has_its_own_fields(airflow_db: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert {"field_behaviours": "seedream"} in _airflow(capsys, "providers", "behaviours")
    fields = {row["connection_parameter_name"] for row in _airflow(capsys, "providers", "widgets")}
    own = ("model", "connect_timeout", "read_timeout", "max_cost", "allow_insecure_http")
    assert {f"extra__seedream__{name}" for name in own} <= fields
