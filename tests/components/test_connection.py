"""The connection in all its forms, and its test button."""

from __future__ import annotations

import asyncio
import json
import time

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowNotFoundException

from airflow_provider_seedream.emulator import faults
from airflow_provider_seedream.hooks.seedream import SeedreamHook
from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator
from airflow_provider_seedream.wavespeed import ApiConnectionError, InvalidInputError
from tests.components.airflow_context import Tries, run
from tests.failing_backend import Vault

CONNECTION = "AIRFLOW_CONN_SEEDREAM_DEFAULT"


def connection(monkeypatch, **fields):
    monkeypatch.setenv(CONNECTION, json.dumps({"conn_type": "seedream", **fields}))


def settings_both_ways():
    blocking, in_a_loop = SeedreamHook().settings, asyncio.run(SeedreamHook().asettings())
    assert blocking == in_a_loop
    return blocking


def test_a_key_alone_leads_to_the_vendor(monkeypatch):
    connection(monkeypatch, password=" key-1 ")
    settings = settings_both_ways()
    assert settings.endpoint.origin == "https://api.wavespeed.ai"
    assert settings.endpoint.api_key == "key-1"


@pytest.mark.parametrize(
    "uri",
    [
        "seedream://:key-1@https%3A%2F%2Fproxy.example",
        "seedream://:key-1@https%3A%2F%2Fproxy.example:443/?read_timeout=5",
    ],
)
def test_a_uri_works_as_well(monkeypatch, uri):
    monkeypatch.setenv(CONNECTION, uri)
    endpoint = settings_both_ways().endpoint
    assert endpoint.api_key == "key-1"
    assert endpoint.origin.startswith("https://proxy.example")


def test_extra_fields_are_read_and_null_counts_as_left_out(monkeypatch):
    extra = {
        "model": None,
        "connect_timeout": 3,
        "read_timeout": None,
        "max_cost": "0.5",
        "allow_insecure_http": True,
    }
    connection(monkeypatch, password="key-1", host="http://gateway.example", extra=extra)
    settings = settings_both_ways()
    assert (settings.endpoint.connect_timeout, settings.endpoint.read_timeout) == (3.0, 60.0)
    assert (settings.model, settings.max_cost) == (None, 0.5)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, "password=.*no API key"),
        ({"password": "  "}, "password=.*no API key"),
        ({"password": "key-1", "host": "api.wavespeed.ai"}, "host='api.wavespeed.ai'.*https://"),
        ({"password": "key-1", "host": "http://api.wavespeed.ai"}, "host=.*in clear.*allow_insecure_http"),
        ({"password": "key-1", "extra": {"time_out": 5}}, "'time_out'.*Did you mean"),
        ({"password": "key-1", "extra": {"max_cost": -1}}, "max_cost=-1"),
        ({"password": "key-1", "extra": {"allow_insecure_http": "perhaps"}}, "allow_insecure_http='perhaps'"),
    ],
)
def test_a_connection_that_makes_no_sense_is_refused_for_good(monkeypatch, fields, told):
    connection(monkeypatch, **fields)
    with pytest.raises(InvalidInputError, match=told):
        _ = SeedreamHook().settings
    with pytest.raises(InvalidInputError, match=told):
        asyncio.run(SeedreamHook().asettings())
    with pytest.raises(AirflowFailException, match=told):
        run(SeedreamSequentialOperator(task_id="gen", prompt="a fox"), Tries())


def test_a_missing_connection_says_how_to_make_it(monkeypatch, airflow_db):
    monkeypatch.delenv(CONNECTION, raising=False)
    with pytest.raises(
        AirflowNotFoundException, match=r"airflow connections add seedream_default.*WAVESPEED_API_KEY"
    ):
        _ = SeedreamHook().settings
    with pytest.raises(AirflowNotFoundException, match="seedream_default"):
        asyncio.run(SeedreamHook().asettings())


def test_the_environments_key_stands_in_for_the_default_connection_only(monkeypatch, airflow_db):
    monkeypatch.delenv(CONNECTION, raising=False)
    monkeypatch.setenv("WAVESPEED_API_KEY", " key-2 ")
    assert settings_both_ways().endpoint.api_key == "key-2"
    with pytest.raises(AirflowNotFoundException, match="other_conn"):
        _ = SeedreamHook("other_conn").settings


def test_a_connection_wins_over_the_environments_key(monkeypatch):
    connection(monkeypatch, password="key-1")
    monkeypatch.setenv("WAVESPEED_API_KEY", "key-2")
    assert settings_both_ways().endpoint.api_key == "key-1"


@pytest.fixture
def vault(monkeypatch, airflow_db):
    """A secrets backend that can be taken down, where the environment holds the key of another account."""
    monkeypatch.delenv(CONNECTION, raising=False)
    monkeypatch.setenv("WAVESPEED_API_KEY", "key-of-another-account")
    monkeypatch.setenv("AIRFLOW__SECRETS__BACKEND", "tests.failing_backend.Vault")
    monkeypatch.setattr(Vault, "kept", {})
    monkeypatch.setattr(Vault, "failures", 0)
    monkeypatch.setattr(Vault, "asked", 0)
    return Vault


ALWAYS = 1000
IN_VAULT = json.dumps({"conn_type": "seedream", "password": "key-of-ours", "host": "https://gateway.example"})


def settings_of(hook, *, in_a_loop):
    return asyncio.run(hook.asettings()) if in_a_loop else hook.settings


@pytest.mark.event("A secrets backend fails while the connection is read")
@pytest.mark.parametrize("in_a_loop", [False, True], ids=["worker", "triggerer"])
@pytest.mark.parametrize("kept", [{}, {"seedream_default": IN_VAULT}], ids=["absent", "present"])
def test_an_outage_of_the_secrets_backend_uses_no_other_key(vault, kept, in_a_loop):
    vault.kept, vault.failures = kept, ALWAYS
    with pytest.raises(
        ApiConnectionError, match="seedream_default could not be read: Vault failed with ConnectionError"
    ) as raised:
        settings_of(SeedreamHook(), in_a_loop=in_a_loop)
    assert raised.value.transient
    assert "canary" not in str(raised.value)


@pytest.mark.event("A secrets backend fails while the connection is read")
@pytest.mark.parametrize("in_a_loop", [False, True], ids=["worker", "triggerer"])
def test_a_secrets_backend_that_fails_once_is_asked_again(vault, in_a_loop):
    vault.kept, vault.failures = {"seedream_default": IN_VAULT}, 1
    settings = settings_of(SeedreamHook(), in_a_loop=in_a_loop)
    assert (settings.endpoint.api_key, settings.endpoint.origin) == ("key-of-ours", "https://gateway.example")


@pytest.mark.parametrize("in_a_loop", [False, True], ids=["worker", "triggerer"])
def test_a_connection_that_comes_and_goes_uses_no_other_key(vault, monkeypatch, in_a_loop):
    answers = iter([None, IN_VAULT, None])
    monkeypatch.setattr(Vault, "get_conn_value", lambda self, *args, **kwargs: next(answers))
    with pytest.raises(ApiConnectionError, match="finds it at one time"):
        settings_of(SeedreamHook(), in_a_loop=in_a_loop)


def test_a_retry_of_a_task_asks_again_and_nothing_is_paid_in_between(vault, seedream_emulator, monkeypatch):
    vault.kept = {"seedream_default": seedream_emulator.airflow_connection()}
    monkeypatch.delenv(CONNECTION, raising=False)
    vault.failures, tries = ALWAYS, Tries()
    with pytest.raises(ApiConnectionError, match="nothing was sent"):
        run(SeedreamSequentialOperator(task_id="gen", prompt="a fox"), tries)
    assert seedream_emulator.paid_tasks == 0
    vault.failures = 0
    assert run(SeedreamSequentialOperator(task_id="gen", prompt="a fox"), tries)["images"]


def test_an_outage_is_not_reported_as_a_connection_that_nobody_made(vault):
    vault.failures = ALWAYS
    with pytest.raises(ApiConnectionError, match="other_conn could not be read"):
        _ = SeedreamHook("other_conn").settings


@pytest.mark.parametrize("backend", ["Vault", "VariablesOnly"])
def test_the_environments_key_is_used_where_every_backend_says_that_there_is_no_connection(
    vault, monkeypatch, caplog, backend
):
    monkeypatch.setenv("AIRFLOW__SECRETS__BACKEND", f"tests.failing_backend.{backend}")
    assert settings_both_ways().source == "WAVESPEED_API_KEY"
    assert (
        "no connection seedream_default; going on with the key of WAVESPEED_API_KEY at https://api.wavespeed.ai"
        in caplog.text
    )


def test_a_connection_that_is_found_is_asked_for_once(vault):
    vault.kept = {"seedream_default": IN_VAULT}
    assert SeedreamHook().settings.endpoint.api_key == "key-of-ours"
    assert vault.asked == 1


def test_the_test_button_reports_an_outage(vault):
    vault.failures = ALWAYS
    ok, message = SeedreamHook().test_connection()
    assert (ok, "could not be read" in message) == (False, True)


def test_the_test_button_shows_the_balance_and_costs_nothing(seedream_emulator):
    ok, told = SeedreamHook().test_connection()
    assert ok
    assert told.endswith("accepts the key. Balance: $100.00.")
    assert seedream_emulator.paid_tasks == 0


@pytest.mark.parametrize(
    "fault",
    [faults.Status(401, body={"message": "bad key emulator-key"}), faults.Html(502), faults.DropBefore()],
)
def test_the_test_button_tells_a_failure_without_the_key(seedream_emulator, fault):
    seedream_emulator.faults.add("balance", fault, times=None)
    ok, told = SeedreamHook().test_connection()
    assert not ok
    assert "/api/v3/balance" in told
    assert seedream_emulator.api_key not in told


def test_the_test_button_answers_within_ten_seconds_whatever_the_server_does(seedream_emulator):
    seedream_emulator.faults.add("balance", faults.Timeout(30.0), times=None)
    began = time.monotonic()
    ok, _ = SeedreamHook().test_connection()
    assert not ok
    assert time.monotonic() - began < 10


def test_the_test_button_tells_what_is_wrong_with_the_connection(monkeypatch):
    connection(monkeypatch, password="", host="https://api.wavespeed.ai")
    ok, told = SeedreamHook().test_connection()
    assert not ok
    assert "no API key" in told
