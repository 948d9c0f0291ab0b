"""What Airflow reads about this package, by the entry point ``apache_airflow_provider``.

``python -m airflow_provider_seedream.get_provider_info`` writes ``provider.yaml``, which only packaging tools read, from it.
"""

from __future__ import annotations

from typing import Any

from airflow_provider_seedream import __version__

INTEGRATION = "Seedream"


def get_provider_info() -> dict[str, Any]:
    """What matters at run time, without reading YAML in every process."""
    return {
        "package-name": "airflow-provider-seedream",
        "name": "Seedream",
        "description": (
            "Image sets of ByteDance Seedream, served by `WaveSpeedAI <https://wavespeed.ai/>`__.\n"
        ),
        "versions": [__version__],
        "integrations": [
            {
                "integration-name": INTEGRATION,
                "external-doc-url": "https://wavespeed.ai/models/bytedance/seedream-v5.0-lite/sequential",
                "tags": ["service"],
            }
        ],
        "hooks": [_modules("airflow_provider_seedream.hooks.seedream")],
        "operators": [
            _modules(
                "airflow_provider_seedream.operators.seedream",
                "airflow_provider_seedream.operators.prompt",
                "airflow_provider_seedream.operators.publish",
                "airflow_provider_seedream.operators.cost",
                "airflow_provider_seedream.operators.approval",
                "airflow_provider_seedream.operators.review",
            )
        ],
        "task-decorators": [
            {
                "name": "seedream_sequential",
                "class-name": "airflow_provider_seedream.decorators.seedream.seedream_sequential_task",
            }
        ],
        "sensors": [_modules("airflow_provider_seedream.sensors.seedream")],
        "triggers": [_modules("airflow_provider_seedream.triggers.seedream")],
        "extra-links": ["airflow_provider_seedream.operators.links.PublishedLink"],
        "connection-types": [_connection_type()],
        "cli": ["airflow_provider_seedream.cli.definition.get_commands"],
    }


def _modules(*names: str) -> dict[str, Any]:
    return {"integration-name": INTEGRATION, "python-modules": list(names)}


def _connection_type() -> dict[str, Any]:
    return {
        "connection-type": "seedream",
        "hook-class-name": "airflow_provider_seedream.hooks.seedream.SeedreamHook",
        "hook-name": "Seedream (WaveSpeedAI)",
        "ui-field-behaviour": {
            # The test button of Airflow 3.3.2 needs a port, so the form asks for it.
            "hidden-fields": ["login", "schema"],
            "relabeling": {"host": "API origin", "password": "API key"},
            "placeholders": {
                "host": "https://api.wavespeed.ai",
                "password": "your WaveSpeedAI API key",
                "port": "443",
            },
        },
        "conn-fields": {
            "model": {
                "label": "Model",
                "description": (
                    "Model of every image set that names none; with reference images, its edit-sequential sibling. "
                    "Empty means bytedance/seedream-v5.0-lite/sequential."
                ),
                "schema": {
                    "type": ["string", "null"],
                    "default": None,
                    "enum": [
                        None,
                        "bytedance/seedream-v5.0-lite/sequential",
                        "bytedance/seedream-v4.5/sequential",
                        "bytedance/seedream-v4/sequential",
                    ],
                    "values_display": {"null": "the default"},
                },
            },
            "connect_timeout": {
                "label": "Connect timeout (seconds)",
                "description": "How long a connection to the API may take to open. Empty means 10.",
                "schema": {"type": ["number", "null"], "default": None, "minimum": 0.1, "maximum": 600},
            },
            "read_timeout": {
                "label": "Read timeout (seconds)",
                "description": "How long one answer of the API may take. Empty means 60.",
                "schema": {"type": ["number", "null"], "default": None, "minimum": 0.1, "maximum": 600},
            },
            "max_cost": {
                "label": "Ceiling per image set (USD)",
                "description": (
                    "An image set that costs more is refused before anything is paid. Empty means no ceiling."
                ),
                "schema": {"type": ["number", "null"], "default": None, "minimum": 0},
            },
            "max_cost_per_day": {
                "label": "Ceiling per day (USD)",
                "description": (
                    "Nothing is submitted that would take what the account spends in a day (UTC) over this. "
                    "Empty means no ceiling."
                ),
                "schema": {"type": ["number", "null"], "default": None, "minimum": 0},
            },
            "allow_insecure_http": {
                "label": "Allow http://",
                "description": (
                    "Send the API key without TLS to a host other than this machine. "
                    "Only for a gateway you trust."
                ),
                "schema": {"type": "boolean", "default": False},
            },
        },
    }


def as_yaml() -> str:
    """The content of ``provider.yaml``."""
    import yaml  # type: ignore[import-untyped]

    info = get_provider_info()
    packaging = {"state": "ready", "source-date-epoch": 1795305600}
    head = "# Written by python -m airflow_provider_seedream.get_provider_info; edit that, not this.\n"
    return head + str(yaml.safe_dump(info | packaging, sort_keys=False, width=120))


if __name__ == "__main__":
    from pathlib import Path

    Path(__file__).with_name("provider.yaml").write_text(as_yaml())
