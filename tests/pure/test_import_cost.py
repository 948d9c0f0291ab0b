"""Importing the package costs a DAG file next to nothing, and warns of nothing.

Each test looks from a fresh interpreter, as this one has imported everything already.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

HEAVY = {"requests", "aiohttp", "PIL", "fastapi", "jsonschema", "airflow_provider_seedream.emulator"}

AUTHORING = [
    "airflow_provider_seedream.decorators.seedream",
    "airflow_provider_seedream.operators.seedream",
    "airflow_provider_seedream.operators.prompt",
    "airflow_provider_seedream.operators.publish",
    "airflow_provider_seedream.operators.cost",
    "airflow_provider_seedream.hooks.seedream",
    "airflow_provider_seedream.sensors.seedream",
    "airflow_provider_seedream.triggers.seedream",
    "airflow_provider_seedream.wavespeed",
]

ONLY_OUR_WARNINGS = """
import importlib, pkgutil, warnings
warnings.simplefilter("ignore")
import airflow.sdk, airflow.models, aiohttp, aiohttp.web, PIL.Image, requests, jsonschema
import airflow_provider_seedream
warnings.simplefilter("error")
for module in pkgutil.walk_packages(airflow_provider_seedream.__path__, "airflow_provider_seedream."):
    if not module.name.endswith(".__main__"):
        importlib.import_module(module.name)
"""


def _run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_modules_a_dag_file_imports_bring_no_http_client_with_them() -> None:
    printed = _run(
        "import sys\n"
        "from airflow.providers.common.compat.sdk import BaseOperator, DAG\n"
        "before = set(sys.modules)\n"
        f"import {', '.join(AUTHORING)}\n"
        "print(*(set(sys.modules) - before))"
    )
    assert HEAVY & set(printed.split()) == set()


@pytest.mark.parametrize("module", ["operators", "sensors"])
def test_a_task_leaves_to_the_worker_what_only_the_worker_needs(module: str) -> None:
    printed = _run(
        "import sys\n"
        "from airflow.providers.common.compat.sdk import BaseOperator, DAG\n"
        "before = set(sys.modules)\n"
        f"import airflow_provider_seedream.{module}.seedream\n"
        "print(*(set(sys.modules) - before))"
    )
    imported = set(printed.split())
    assert {"airflow.triggers.base", "airflow_provider_seedream.triggers", "difflib"} & imported == set()


@pytest.mark.parametrize(
    "module",
    [
        "airflow_provider_seedream.get_provider_info",
        "airflow_provider_seedream.wavespeed",
        "airflow_provider_seedream.submission.record",
        "airflow_provider_seedream.publishing.manifest",
        "airflow_provider_seedream.emulator.emulator",
    ],
)
def test_what_needs_no_airflow_imports_none(module: str) -> None:
    printed = _run(f"import sys, {module}\nprint(*sys.modules)")
    assert "airflow" not in printed.split()


def test_a_loop_is_given_the_library_that_knows_proxies_only_where_there_are_any(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    prepare = (
        "import sys\n"
        "from airflow_provider_seedream.wavespeed import async_client\n"
        "async_client.prepare()\n"
        "print(*sys.modules)"
    )
    assert {"aiohttp", "requests"} & set(_run(prepare).split()) == {"aiohttp"}
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example")
    assert {"aiohttp", "requests"} <= set(_run(prepare).split())


def test_importing_every_module_warns_of_nothing() -> None:
    _run(ONLY_OUR_WARNINGS)
