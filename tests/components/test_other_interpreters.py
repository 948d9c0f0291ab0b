"""What only a fresh interpreter shows, as this one has imported everything already.

Importing the package costs a DAG file next to nothing, and warns of nothing. What is missing is named. A digest is the
same everywhere.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

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

_SERVER = """
import ast, contextlib, io, os, sys, traceback
from airflow.providers.common.compat.sdk import BaseOperator, DAG
for line in sys.stdin:
    if os.fork() == 0:
        failure, printed = "", io.StringIO()
        try:
            with contextlib.redirect_stdout(printed):
                exec(ast.literal_eval(line), {})
        except BaseException:
            failure = traceback.format_exc()
        print((failure, printed.getvalue()), flush=True)
        os._exit(0)
    os.wait()
"""


@pytest.fixture(scope="module")
def after_airflow() -> Iterator[Callable[[str], str]]:
    """Run code in an interpreter that has imported Airflow and nothing of ours: that takes seconds, so each gets a fork."""
    server = subprocess.Popen(
        [sys.executable, "-c", _SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert server.stdin is not None
    assert server.stdout is not None
    asked, answered = server.stdin, server.stdout

    def run(code: str) -> str:
        print(repr(code), file=asked, flush=True)
        failure, printed = ast.literal_eval(answered.readline())
        assert not failure, failure
        return str(printed)

    yield run
    with server:
        asked.close()


def _run(code: str, **env: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_modules_a_dag_file_imports_bring_no_http_client_with_them(
    after_airflow: Callable[[str], str],
) -> None:
    printed = after_airflow(
        "import sys\n"
        "before = set(sys.modules)\n"
        f"import {', '.join(AUTHORING)}\n"
        "print(*(set(sys.modules) - before))"
    )
    assert HEAVY & set(printed.split()) == set()


@pytest.mark.parametrize("module", ["operators", "sensors"])
def test_a_task_leaves_to_the_worker_what_only_the_worker_needs(
    after_airflow: Callable[[str], str], module: str
) -> None:
    printed = after_airflow(
        "import sys\n"
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
        "airflow_provider_seedream.wavespeed.async_client",
        "airflow_provider_seedream.wavespeed.client",
        "airflow_provider_seedream.waiting.poll",
        "airflow_provider_seedream.waiting.schedule",
        "airflow_provider_seedream.waiting.throttle",
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


def test_importing_every_module_warns_of_nothing(after_airflow: Callable[[str], str]) -> None:
    after_airflow(ONLY_OUR_WARNINGS)


def test_the_digest_is_the_same_in_another_process() -> None:
    code = (
        "import datetime as dt, decimal, uuid\n"
        "from airflow_provider_seedream.submission.kept_prompt import digest\n"
        "class Plain: pass\n"
        "plain = Plain(); plain.tags = {'a', 'b', 'c', 'd'}\n"
        "print(digest([plain, {'x', 'y', 'z'}, dt.datetime(2026, 1, 1), decimal.Decimal('1.1')], {'b': 1, 'a': uuid.UUID(int=3)}))\n"
    )
    assert len({_run(code, PYTHONHASHSEED=seed) for seed in ("1", "2", "3")}) == 1


def test_without_the_openlineage_provider_nothing_is_told_and_nothing_breaks(
    after_airflow: Callable[[str], str],
) -> None:
    code = (
        "import sys; sys.modules['airflow.providers.openlineage'] = None\n"
        "from airflow_provider_seedream.operators.lineage import TellsLineage\n"
        "class Task(TellsLineage): made = object()\n"
        "print(Task().get_openlineage_facets_on_complete(None))"
    )
    assert after_airflow(code) == "None\n"


def test_without_airflows_form_the_rounds_are_refused_with_a_reason_and_the_example_makes_no_dag(
    after_airflow: Callable[[str], str],
) -> None:
    code = (
        "import sys; sys.modules['airflow.providers.standard.operators.hitl'] = None\n"
        "import airflow.providers.common.compat.version_compat as versions; versions.AIRFLOW_V_3_1_PLUS = False\n"
        "from airflow.providers.common.compat.sdk import AirflowOptionalProviderFeatureException\n"
        "from airflow_provider_seedream.operators.approval import approval_rounds\n"
        "sys.path.insert(0, 'example_dags')\n"
        "import example_seedream_approval as example\n"
        "print(hasattr(example, 'dag'))\n"
        "try: approval_rounds(prompt='a fox')\n"
        "except AirflowOptionalProviderFeatureException as error: print(error)\n"
    )
    assert after_airflow(code).startswith(
        "False\napproval_rounds() asks people by a form that Airflow has from 3.1 on"
    )


@pytest.mark.parametrize(
    "face", ["submission", "publishing", "waiting", "wavespeed", "hooks", "operators.worker"]
)
def test_a_face_lists_exactly_what_it_names_for_types_and_loads_each(
    after_airflow: Callable[[str], str], face: str
) -> None:
    printed = after_airflow(
        "import ast, importlib, inspect\n"
        f"face = importlib.import_module('airflow_provider_seedream.{face}')\n"
        "tree = ast.parse(inspect.getsource(face))\n"
        "block = next(each for each in tree.body if isinstance(each, ast.If))\n"
        "named = {alias.name for node in block.body for alias in node.names}\n"
        "assert named <= set(dir(face))\n"
        "print(*(name for name in sorted(named) if getattr(face, name) is None))\n"
    )
    assert printed.split() == []


def test_a_dag_file_that_imports_the_vendors_room_loads_nothing_of_it() -> None:
    printed = _run("import sys, airflow_provider_seedream.wavespeed\nprint(*sys.modules)")
    ours = {name for name in printed.split() if name.startswith("airflow_provider_seedream.")}
    assert ours == {"airflow_provider_seedream._lazy", "airflow_provider_seedream.wavespeed"}


def test_a_paying_task_loads_nothing_of_the_rooms_that_only_a_worker_needs(
    after_airflow: Callable[[str], str],
) -> None:
    printed = after_airflow(
        "import sys, airflow_provider_seedream.operators.seedream, airflow_provider_seedream.operators.prompt\n"
        "print(*sys.modules)"
    )
    rooms = ("airflow_provider_seedream.submission.", "airflow_provider_seedream.publishing.")
    assert [name for name in printed.split() if name.startswith(rooms)] == []
