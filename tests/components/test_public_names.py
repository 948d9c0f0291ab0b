"""Users' names: each is found at its address and has the parameters that were promised."""

from __future__ import annotations

import inspect
from importlib import import_module, metadata
from typing import Any

import pytest

ADDRESSES = {
    "hooks.seedream.SeedreamHook": ("seedream_conn_id",),
    "operators.seedream.SeedreamSequentialOperator": (
        "prompt",
        "max_images",
        "size",
        "seedream_conn_id",
        "deferrable",
        "timeout",
        "poll_interval",
        "max_cost",
        "on_lost_submission",
        "on_clear",
        "on_short_delivery",
        "on_flagged",
        "wait_for_completion",
        "output_path",
    ),
    "operators.publish.SeedreamPublishOperator": ("image_set", "path"),
    "operators.prompt.SeedreamPromptOperator": (),
    "triggers.seedream.SeedreamPredictionTrigger": (
        "seedream_conn_id",
        "prediction_id",
        "deadline",
        "poll_interval",
        "submitted_at",
        "kind",
    ),
    "sensors.seedream.SeedreamPredictionSensor": ("prediction_id",),
    "wavespeed.ImageSetPrompt": ("scenes",),
    "wavespeed.Scene": ("text",),
    "wavespeed.ImageSetRequest": ("prompt", "max_images"),
    "wavespeed.ImageSet": ("prediction_id", "images"),
    "wavespeed.Prediction": ("id", "status", "outputs"),
    "emulator.pytest_plugin.seedream_emulator": None,
    "emulator.__main__.main": None,
}
"""Addresses within the package, and parameters."""


def found(address: str) -> Any:
    module, _, name = address.rpartition(".")
    return getattr(import_module(f"airflow_provider_seedream.{module}"), name)


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_users_name_is_at_its_address_and_takes_what_was_promised(address: str) -> None:
    value, parameters = found(address), ADDRESSES[address]
    if parameters is not None:
        known = {
            name for each in value.__mro__ for name in inspect.signature(each.__init__).parameters
        } | set(getattr(value, "__dataclass_fields__", ()))
        assert set(parameters) <= known


def test_the_defaults_that_decide_over_money_are_the_promised_ones() -> None:
    parameters = inspect.signature(found("operators.seedream.SeedreamSequentialOperator").__init__).parameters
    assert {name: parameters[name].default for name in ("on_lost_submission", "on_clear")} == {
        "on_lost_submission": "fail",
        "on_clear": "resubmit",
    }
    assert found("hooks.seedream.SeedreamHook").default_conn_name == "seedream_default"


def test_the_decorator_and_the_connection_type_are_registered() -> None:
    (entry_point,) = metadata.distribution("airflow-provider-seedream").entry_points.select(
        group="apache_airflow_provider"
    )
    info = entry_point.load()()
    assert [each["name"] for each in info["task-decorators"]] == ["seedream_sequential"]
    assert [each["connection-type"] for each in info["connection-types"]] == ["seedream"]
