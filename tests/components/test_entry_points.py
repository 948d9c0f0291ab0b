"""``make demo`` and ``make ui`` touch no Airflow but their own, and remove nothing but what they made."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
OF_ANOTHER = {
    "AIRFLOW_HOME": "/another/home",
    "AIRFLOW_CONFIG": "/another/airflow.cfg",
    "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
    "AIRFLOW__SECRETS__BACKEND": "another.Backend",
    "AIRFLOW_CONN_SEEDREAM_DEFAULT": "seedream://:another-key@api.example",
    "AIRFLOW_VAR_SEEDREAM": "another",
    "_AIRFLOW_DB_MIGRATE": "true",
    "OPENLINEAGE_URL": "https://lineage.example",
    "SEEDREAM_MASCOTS": "s3://another/mascots",
}

PREPARE = """
import json, os, sys
sys.path.insert(0, {dags!r})
import {module}
{prepare}
print(json.dumps(dict(os.environ)))
"""


def environment(module: str, prepare: str, tmp_path: Path) -> dict[str, str]:
    """The environment that an entry point hands to Airflow, where the shell's is another Airflow's."""
    shell = {
        **os.environ,
        **OF_ANOTHER,
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path}/another.db",
    }
    code = PREPARE.format(
        dags=str(PROJECT / "example_dags"), module=module, prepare=prepare.format(home=tmp_path)
    )
    out = subprocess.run(
        [sys.executable, "-c", code], env=shell, capture_output=True, text=True, check=True, cwd=tmp_path
    )
    return dict(json.loads(out.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    ("module", "prepare"),
    [
        (
            "ui",
            "from pathlib import Path; ui.HOME = Path({home!r}) / 'ui'; ui.prepare_airflow('8081', 'http://localhost:8081')",
        ),
        ("demo", "from pathlib import Path; demo.HOME = Path({home!r}) / 'demo'; demo.prepare_airflow()"),
    ],
)
def test_nothing_of_the_shells_airflow_reaches_the_one_that_is_started(
    tmp_path: Path, module: str, prepare: str
) -> None:
    given = environment(module, prepare.replace("{home!r}", repr(str(tmp_path))), tmp_path)
    for name in (*OF_ANOTHER, "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"):
        if name != "SEEDREAM_MASCOTS":
            assert given.get(name) != OF_ANOTHER.get(name, f"sqlite:///{tmp_path}/another.db"), name
    assert given["AIRFLOW_HOME"] == str(tmp_path / module)
    left = {name for name in given if name.startswith(("AIRFLOW_", "_AIRFLOW_", "OPENLINEAGE_"))}
    assert {name for name in left if not name.startswith("AIRFLOW__")} == {"AIRFLOW_HOME"}


def test_every_folder_of_the_examples_is_within_the_clone(tmp_path: Path) -> None:
    given = environment(
        "ui",
        f"from pathlib import Path; ui.HOME = Path({str(tmp_path)!r}) / 'ui'; ui.prepare_airflow('1', 'x')",
        tmp_path,
    )
    named = set()
    for example in (PROJECT / "example_dags").glob("example_*.py"):
        for line in example.read_text().splitlines():
            if "Path.home()" in line and 'environ.get("' in line:
                named.add(line.partition('environ.get("')[2].partition('"')[0])
    assert len(named) == 6
    assert {given[name] for name in named} == {f"file://{PROJECT}/demo-output"}


def test_the_database_that_the_shell_names_is_not_opened(tmp_path: Path) -> None:
    """As ``make ui`` begins: the settings are made, then Airflow makes its database."""
    another = tmp_path / "another.db"
    sqlite3.connect(another).close()
    given = environment(
        "ui",
        f"from pathlib import Path; ui.HOME = Path({str(tmp_path)!r}) / 'ui'; ui.prepare_airflow('1', 'x')",
        tmp_path,
    )
    out = subprocess.run(
        [sys.executable, "-m", "airflow", "config", "get-value", "database", "sql_alchemy_conn"],
        env=given,
        capture_output=True,
        text=True,
        check=True,
    )
    assert out.stdout.splitlines()[-1] == f"sqlite:///{tmp_path}/ui/airflow.db"
    assert another.read_bytes() == b""


def test_the_demo_removes_the_files_of_its_earlier_set_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(PROJECT / "example_dags"))
    import demo
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    from airflow_provider_seedream.publishing.publish import publish
    from airflow_provider_seedream.wavespeed.image_set import GeneratedImage, ImageSet
    from tests.cdn import Cdn, body, picture

    output = tmp_path / "demo-output"
    monkeypatch.setattr(demo, "OUTPUT", output)
    with Cdn() as cdn:
        cdn.paths["/a"] = body(picture())
        image_set = ImageSet("p1", "m", "a fox", "64*48", 1, (GeneratedImage(f"{cdn.url}/a"),), 0.035)
        publish(image_set, ObjectStoragePath(f"file://{output}"), storyboard_page=True)
        publish(image_set, ObjectStoragePath(f"file://{output}/paid-in-the-browser"))
    (output / "notes.txt").write_text("mine")
    demo.keep_what_was_paid_for()
    assert sorted(each.name for each in output.iterdir()) == ["notes.txt", "paid-in-the-browser"]
    assert len(list((output / "paid-in-the-browser").iterdir())) == 2
