"""The gallery's plugin: Airflow finds it, it costs nothing where it is not shown, and its pages may do next to nothing."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from airflow.plugins_manager import AirflowPlugin
from starlette.testclient import TestClient

from airflow_provider_seedream.plugins.app import PAGES, gallery_app
from airflow_provider_seedream.plugins.gallery import PREFIX, SeedreamPlugin

PROJECT = Path(__file__).parents[2]
FILES = sorted(each.name for each in PAGES.iterdir())


@pytest.fixture(scope="module")
def client() -> TestClient:
    return TestClient(gallery_app())


def test_airflow_finds_the_plugin_by_its_entry_point() -> None:
    (entry_point,) = metadata.distribution("airflow-provider-seedream").entry_points.select(
        group="airflow.plugins"
    )
    assert entry_point.load() is SeedreamPlugin
    assert issubclass(SeedreamPlugin, AirflowPlugin)
    SeedreamPlugin.validate()


def test_loading_the_plugin_imports_neither_fastapi_nor_anything_else_of_ours() -> None:
    code = (
        "import sys, airflow.plugins_manager; before = set(sys.modules); "
        "from airflow_provider_seedream.plugins.gallery import SeedreamPlugin; "
        "SeedreamPlugin.external_views; print(*sorted(set(sys.modules) - before))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(loaded.stdout.splitlines()[-1].split()) <= {
        "airflow_provider_seedream",
        "airflow_provider_seedream._lazy",
        "airflow_provider_seedream.plugins",
        "airflow_provider_seedream.plugins.gallery",
    }


def test_the_views_are_those_of_airflow_and_lead_to_the_pages_below_its_base_path(client: TestClient) -> None:
    views: list[dict[str, Any]] = SeedreamPlugin.external_views
    assert {view["destination"] for view in views} == {"task_instance", "dag_run", "nav"}
    assert len({view["url_route"] for view in views}) == len(views)
    (app,) = SeedreamPlugin.fastapi_apps
    assert app["url_prefix"] == PREFIX == "/seedream"
    for view in views:
        for address in (view["href"], view["icon"], view["icon_dark_mode"]):
            prefix, _, path = address.partition("/")
            assert prefix == PREFIX.lstrip("/"), "a leading slash would leave a base path"
            assert client.get(f"/{path}").status_code == 200


def test_every_answer_forbids_a_page_all_but_its_own_scripts_airflow_and_images(client: TestClient) -> None:
    for path in (*FILES, "", "nothing-here"):
        headers = client.get(f"/{path}").headers
        policy = dict(each.strip().split(" ", 1) for each in headers["content-security-policy"].split(";"))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert policy["frame-ancestors"] == "'self'"
        assert policy["require-trusted-types-for"] == "'script'"
        assert policy["trusted-types"] == "'none'"
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "set-cookie" not in headers


def test_nothing_but_the_pages_is_served(client: TestClient) -> None:
    for path in ("/", "/docs", "/openapi.json", "/../gallery.py", "/%2e%2e/gallery.py", "/..%2fgallery.py"):
        assert client.get(path).status_code == 404, path
    assert client.post("/gallery.html").status_code == 405


def test_scripts_have_the_type_that_a_browser_insists_on(client: TestClient) -> None:
    for name in FILES:
        expected = {".js": "javascript", ".css": "text/css", ".html": "text/html", ".svg": "image/svg+xml"}
        assert expected[Path(name).suffix] in client.get(f"/{name}").headers["content-type"]


def test_no_script_makes_markup_of_a_text_or_asks_anybody_but_airflow() -> None:
    for name in FILES:
        text = (PAGES / name).read_text()
        assert re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text) == []
        assert re.findall(r"\son\w+=|style=", text) == [], name
        named = set(re.findall(r"https?://[\w./]+", text))
        assert named <= {"http://www.w3.org/2000/svg", "https://storage.googleapis.com/"}, name
        assert len(text.splitlines()) <= 450, name


def test_the_page_names_only_scripts_that_exist() -> None:
    named = set(re.findall(r'(?:href|src)="([^"]+)"', (PAGES / "gallery.html").read_text()))
    imported = {
        found
        for name in FILES
        if name.endswith(".js")
        for found in re.findall(r'from "\./([^"]+)"', (PAGES / name).read_text())
    }
    assert named | imported <= set(FILES)


def test_the_wheel_carries_the_pages() -> None:
    """It takes all of the package but what Git ignores."""
    hatch = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    assert hatch == {"targets": {"wheel": {"packages": ["airflow_provider_seedream"]}}}
    command = ["git", "check-ignore", *(str(PAGES / name) for name in FILES)]
    ignored = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert ignored.stdout == ""
