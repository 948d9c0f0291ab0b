"""The command line: what each command prints, what it pays, and how it ends."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_seedream.cli.main import main
from airflow_provider_seedream.emulator import Emulator, faults

pytestmark = pytest.mark.usefixtures("hurried")

Json = Callable[..., Any]


@pytest.fixture
def json_of(capsys: pytest.CaptureFixture[str]) -> Json:
    """Runs a command that succeeds, and reads its whole standard output as JSON."""

    def run(*arguments: str) -> Any:
        capsys.readouterr()
        assert main([*arguments, "--output", "json"]) == 0
        return json.loads(capsys.readouterr().out)

    return run


def ended(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """The exit code of a command that gives no result, and the one line that it says."""
    capsys.readouterr()
    code = main(arguments)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "Traceback" not in printed.err
    return code, printed.err


def test_the_balance_is_that_of_the_account(seedream_emulator: Emulator, json_of: Json) -> None:
    assert json_of("balance") == {
        "balance_usd": 100.0,
        "account": "connection seedream_default",
        "origin": seedream_emulator.url,
    }


def test_a_table_is_for_people(seedream_emulator: Emulator, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["balance"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["balance", "$100"]


def test_a_connection_that_does_not_exist_is_named_in_one_line(
    seedream_emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = ended(capsys, "balance", "--conn-id", "another")
    assert code == 1
    assert "seedream_conn_id='another': there is no such connection" in said
    assert said.count("\n") == 1


def test_without_a_connection_the_key_of_the_environment_counts(
    seedream_emulator: Emulator, monkeypatch: pytest.MonkeyPatch, json_of: Json
) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_SEEDREAM_DEFAULT")
    monkeypatch.setenv("WAVESPEED_API_KEY", seedream_emulator.api_key)
    monkeypatch.setattr("airflow_provider_seedream.wavespeed.endpoint.DEFAULT_ORIGIN", seedream_emulator.url)
    assert json_of("balance")["account"] == "WAVESPEED_API_KEY"


def test_a_refused_key_is_a_refusal(seedream_emulator: Emulator, capsys: pytest.CaptureFixture[str]) -> None:
    seedream_emulator.faults.add("balance", faults.Status(401))
    code, said = ended(capsys, "balance")
    assert (code, said.count("\n")) == (1, 1)
    assert "Check the API key" in said


@pytest.mark.parametrize(
    ("asked", "images", "cost_usd"),
    [
        (["--max-images", "5"], 5, 0.175),
        (["Three images of a fox"], 3, 0.105),
        (["--scene", "a fox", "--scene", "an owl", "--style", "ink"], 2, 0.07),
        (["a fox", "--max-images", "2", "--model", "bytedance/seedream-v4/sequential"], 2, 0.054),
        (["a fox", "--image", "https://example.org/fox.png"], 1, 0.035),
    ],
)
def test_a_price_is_that_of_the_request(
    seedream_emulator: Emulator, json_of: Json, asked: list[str], images: int, cost_usd: float
) -> None:
    table, api = json_of("price", *asked), json_of("price", *asked, "--api")
    assert (table["images"], table["cost_usd"], table["source"]) == (images, cost_usd, "table")
    assert api == table | {"source": "api"}
    assert seedream_emulator.paid_tasks == 0


def test_a_price_needs_no_connection(monkeypatch: pytest.MonkeyPatch, json_of: Json) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_SEEDREAM_DEFAULT", raising=False)
    assert json_of("price", "--max-images", "15")["cost_usd"] == 0.525


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["price", "--max-images", "16"], "max_images='16' is refused"),
        (["price", "a fox", "--size", "10*10"], "size='10*10' is refused"),
        (["price", "a fox", "--model", "seedream"], "model='seedream' is refused"),
        (["price", "a fox", "--scene", "an owl"], "Both PROMPT and --scene are given"),
        (["price", "a fox", "--image", "no-such-file.png"], "it cannot be read here (FileNotFoundError)"),
    ],
)
def test_a_mistake_is_told_in_one_line(
    seedream_emulator: Emulator, capsys: pytest.CaptureFixture[str], arguments: list[str], reason: str
) -> None:
    code, said = ended(capsys, *arguments)
    assert (code, said.count("\n")) == (1, 1)
    assert reason in said


@pytest.mark.parametrize(
    "arguments", [[], ["pay"], ["price", "--output", "xml"], ["balance", "--no-such-option"]]
)
def test_wrong_usage_ends_with_2(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("usage: ")


def test_airflow_has_the_same_commands(
    seedream_emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    from airflow.cli import cli_parser

    parsed = cli_parser.get_parser().parse_args(["seedream", "balance", "--output", "json"])
    with pytest.raises(SystemExit) as ended:
        parsed.func(parsed)
    assert ended.value.code == 0
    assert json.loads(capsys.readouterr().out)["balance_usd"] == 100.0


def test_the_emulator_gets_its_own_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.cli import cli_parser

    got: list[Any] = []
    monkeypatch.setattr(
        "airflow_provider_seedream.emulator.__main__.main", lambda given: got.append(given) or 0
    )
    options = ["--port", "0", "--help"]
    assert main(["emulator", *options]) == 0
    parsed: argparse.Namespace = cli_parser.get_parser().parse_args(["seedream", "emulator", *options])
    with pytest.raises(SystemExit):
        parsed.func(parsed)
    assert got == [options, options]
