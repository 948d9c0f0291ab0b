"""The face of wavespeed/: what is public, where it is found, and under which name it shows itself."""

from __future__ import annotations

import ast
import inspect
from types import ModuleType

import pytest

from airflow_provider_seedream import wavespeed
from airflow_provider_seedream._lazy import attach
from airflow_provider_seedream.wavespeed import errors

PACKAGE = wavespeed.__name__


def test_the_public_names_are_listed_in_order_and_once() -> None:
    assert wavespeed.__all__ == sorted(set(wavespeed.__all__))


def test_what_is_listed_is_what_is_named_for_type_checkers() -> None:
    (block,) = (
        node
        for node in ast.parse(inspect.getsource(wavespeed)).body
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
    )
    named = {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert sorted(named) == wavespeed.__all__
    for name, module in named.items():
        value = getattr(wavespeed, name)
        if not isinstance(value, ModuleType):
            assert value.__module__ == module, name


@pytest.mark.parametrize("name", wavespeed.__all__)
def test_each_name_leads_to_what_it_says(name: str) -> None:
    value = getattr(wavespeed, name)
    assert value.__name__.rpartition(".")[2] == name
    assert name in repr(value)
    assert name in dir(wavespeed)


def test_each_public_error_says_of_what_it_is_an_error() -> None:
    errors = [getattr(wavespeed, name) for name in wavespeed.__all__ if name.endswith("Error")]
    assert all(issubclass(error, wavespeed.WaveSpeedError) for error in errors)
    assert all(inspect.getdoc(error) for error in errors)


def test_the_hierarchy_on_top_of_the_errors_is_the_real_one() -> None:
    def tree(error: type, depth: int = 0) -> list[str]:
        below = [each for each in error.__subclasses__() if each.__module__ == errors.__name__]
        return [
            "  " * depth + "+ " * bool(depth) + error.__name__,
            *(line for each in below for line in tree(each, depth + 1)),
        ]

    assert "\n".join(tree(wavespeed.WaveSpeedError)) in (inspect.getdoc(errors) or "")


def test_another_name_is_refused_as_any_module_does() -> None:
    with pytest.raises(
        AttributeError, match=r"module 'airflow_provider_seedream\.wavespeed' has no attribute"
    ):
        wavespeed.Picture  # noqa: B018


def test_a_name_is_looked_for_once() -> None:
    load, _ = attach(PACKAGE, {"Status": "prediction", "operations": "operations"})
    assert load("Status") is wavespeed.Status is vars(wavespeed)["Status"]
    assert load("operations") is wavespeed.operations
