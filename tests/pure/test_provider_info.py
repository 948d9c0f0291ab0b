"""What Airflow reads about the package is true, complete and valid."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml
from jsonschema import validate

import airflow_provider_seedream
from airflow_provider_seedream.get_provider_info import as_yaml, get_provider_info
from airflow_provider_seedream.wavespeed.request import MODELS

ONLY_FOR_PACKAGING = {"state", "source-date-epoch"}


def _yaml() -> dict[str, Any]:
    text = Path(airflow_provider_seedream.__file__).with_name("provider.yaml").read_text()
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def _schema(name: str) -> dict[str, Any]:
    """A schema of the installed core, found without importing Airflow."""
    spec = importlib.util.find_spec("airflow")
    assert spec is not None
    for folder in spec.submodule_search_locations or ():
        found = Path(folder) / name
        if found.is_file():
            loaded: dict[str, Any] = json.loads(found.read_text())
            return loaded
    raise FileNotFoundError(f"this Airflow ships no {name}")


def test_python_and_yaml_say_the_same() -> None:
    expected = {key: value for key, value in _yaml().items() if key not in ONLY_FOR_PACKAGING}
    assert get_provider_info() == expected


def test_the_yaml_is_the_one_that_is_written_from_python() -> None:
    written = Path(airflow_provider_seedream.__file__).with_name("provider.yaml").read_text()
    assert written == as_yaml(), "run python -m airflow_provider_seedream.get_provider_info"


def test_it_names_the_module_of_every_operator() -> None:
    package = Path(airflow_provider_seedream.__file__).parent
    defining = {
        f"airflow_provider_seedream.operators.{path.stem}"
        for path in (package / "operators").glob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef) and re.fullmatch(r"Seedream\w+Operator", node.name)
    }
    (operators,) = get_provider_info()["operators"]
    assert defining <= set(operators["python-modules"])


def test_the_version_is_the_packages_own() -> None:
    assert _yaml()["versions"] == [airflow_provider_seedream.__version__]


def test_it_validates_against_the_schema_airflow_loads_providers_with() -> None:
    validate(get_provider_info(), _schema("provider_info.schema.json"))


def test_the_yaml_with_its_connection_form_validates_against_the_stricter_schema() -> None:
    validate(_yaml(), _schema("provider.yaml.schema.json"))


def test_airflow_finds_it_by_its_entry_point() -> None:
    distribution = metadata.distribution("airflow-provider-seedream")
    (entry_point,) = distribution.entry_points.select(group="apache_airflow_provider")
    assert entry_point.load() is get_provider_info
    assert get_provider_info()["package-name"] == distribution.metadata["Name"]


def test_every_module_it_names_exists() -> None:
    info = get_provider_info()
    named = [
        module
        for kind in ("hooks", "operators", "sensors", "triggers")
        for group in info[kind]
        for module in group["python-modules"]
    ]
    assert [module for module in named if importlib.util.find_spec(module) is None] == []


def test_the_form_offers_one_model_of_each_version() -> None:
    (connection_type,) = get_provider_info()["connection-types"]
    offered = connection_type["conn-fields"]["model"]["schema"]["enum"]
    assert offered == [None, *(model.id for model in MODELS.values() if not model.max_references)]


def test_every_field_of_the_connection_form_that_may_be_left_empty_is_empty_by_default() -> None:
    (connection_type,) = get_provider_info()["connection-types"]
    for name, field in connection_type["conn-fields"].items():
        schema = field["schema"]
        if "null" in schema["type"]:
            assert schema["default"] is None, name
        if "enum" in schema:
            assert schema["default"] in schema["enum"], name
