"""The command line: what each command prints, what it pays, and how it ends."""

from __future__ import annotations

import argparse
import io
import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_seedream.cli.arguments import parser
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


SCENES = ["--scene", "a fox wakes", "--scene", "the fox meets an owl"]


def submissions(emulator: Emulator) -> int:
    """How often the paying request arrived, whatever became of it."""
    return sum(each.method == "POST" and each.path.endswith("/sequential") for each in emulator.journal)


def test_an_image_set_is_written_into_a_folder(
    seedream_emulator: Emulator, json_of: Json, tmp_path: Path
) -> None:
    made = json_of("generate", *SCENES, "--yes", "--folder", str(tmp_path), "--page")
    (prediction,) = seedream_emulator.predictions
    assert (made["prediction_id"], made["cost_usd"]) == (prediction["id"], prediction["price"])
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "01-a-fox-wakes.jpg",
        "02-the-fox-meets-an-owl.jpg",
        "index.html",
        "manifest.json",
    ]
    assert made["files"] == [str(path) for path in sorted(tmp_path.glob("*.jpg"))]
    assert json.loads((tmp_path / "manifest.json").read_text())["prediction_id"] == prediction["id"]
    assert (submissions(seedream_emulator), seedream_emulator.paid_tasks) == (1, 1)


def test_without_a_folder_the_set_gets_one_of_its_own(
    seedream_emulator: Emulator, json_of: Json, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = json_of("generate", "a fox", "--yes")
    assert (tmp_path / f"seedream-{made['prediction_id']}" / "manifest.json").is_file()


def test_reference_files_are_uploaded(
    seedream_emulator: Emulator, json_of: Json, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = json_of("generate", "a fox", "--yes", "--folder", "first")
    drawn = Path(first["files"][0])
    json_of("generate", "as Figure 1", "--image", f"first/{drawn.name}", "--yes", "--folder", "second")
    assert seedream_emulator.predictions[-1]["model"].endswith("/edit-sequential")
    assert seedream_emulator.paid_tasks == 2


@pytest.mark.parametrize(("answer", "paid"), [("y\n", 1), ("yes\n", 1), ("n\n", 0), ("\n", 0), ("", 0)])
def test_nothing_is_paid_without_a_yes(
    seedream_emulator: Emulator,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    answer: str,
    paid: int,
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    assert main(["generate", *SCENES, "--folder", str(tmp_path)]) == (0 if paid else 1)
    assert "$0.07, paid by connection seedream_default" in capsys.readouterr().err
    assert (submissions(seedream_emulator), seedream_emulator.paid_tasks) == (paid, paid)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "There is no prompt"),
        ([*SCENES, "--max-cost", "0.05"], "over the ceiling of $0.05 set by --max-cost"),
        ([*SCENES, "--max-cost", "cheap"], "max_cost='cheap' is refused"),
        ([*SCENES, "--folder", "nowhere://x/y"], "no object store answers to it"),
        ([*SCENES, "--max-images", "3"], "both must agree"),
        ([*SCENES, "--conn-id", "another"], "there is no such connection"),
        ([*SCENES, "--prediction", "0123456789abcdef"], "Leave the prompt out"),
        (["--prediction", "0123456789abcdef"], "404"),
    ],
)
def test_what_can_be_refused_is_refused_before_anything_is_paid(
    seedream_emulator: Emulator, capsys: pytest.CaptureFixture[str], arguments: list[str], reason: str
) -> None:
    code, said = ended(capsys, "generate", *arguments, "--yes")
    assert (code, said.count("\n")) == (1, 1)
    assert reason in said
    assert (submissions(seedream_emulator), seedream_emulator.paid_tasks) == (0, 0)


@pytest.mark.parametrize("ceiling", ["max_cost", "max_cost_per_day"])
def test_the_ceilings_of_the_connection_count(
    seedream_emulator: Emulator,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    ceiling: str,
) -> None:
    connection = seedream_emulator.airflow_connection(**{ceiling: 0.05})
    monkeypatch.setenv("AIRFLOW_CONN_SEEDREAM_DEFAULT", connection)
    code, said = ended(capsys, "generate", *SCENES, "--yes")
    assert code == 1
    assert f"set by {ceiling} in the extra of connection seedream_default" in said
    assert seedream_emulator.paid_tasks == 0


def test_a_folder_that_is_taken_is_refused_before_anything_is_paid(
    seedream_emulator: Emulator, json_of: Json, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    first = json_of("generate", "a fox", "--yes", "--folder", str(tmp_path))
    code, said = ended(capsys, "generate", "an owl", "--yes", "--folder", str(tmp_path))
    assert code == 1
    assert f"holds prediction {first['prediction_id']}" in said
    assert seedream_emulator.paid_tasks == 1
    second = json_of("generate", "an owl", "--yes", "--folder", str(tmp_path), "--replace")
    assert json.loads((tmp_path / "manifest.json").read_text())["prediction_id"] == second["prediction_id"]


@pytest.mark.parametrize(
    ("fault", "said", "paid"),
    [
        (faults.Status(429), "429", 0),
        (faults.Status(402), "Top up the account", 0),
        (faults.Status(400, body={"message": "bad size"}), "bad size", 0),
    ],
    ids=["rate limit", "no money", "refused"],
)
def test_a_submission_that_the_api_refuses_costs_nothing(
    seedream_emulator: Emulator, capsys: pytest.CaptureFixture[str], fault: Any, said: str, paid: int
) -> None:
    seedream_emulator.faults.add("submit", fault)
    code, line = ended(capsys, "generate", *SCENES, "--yes")
    assert code == 1
    assert said in line
    assert (submissions(seedream_emulator), seedream_emulator.paid_tasks) == (1, paid)


@pytest.mark.parametrize(
    ("fault", "paid"),
    [
        (faults.DropAfter(), 1),
        (faults.DropBefore(), 0),
        (faults.Garbage(), 1),
        (faults.Html(502), 0),
    ],
    ids=["dropped after", "dropped before", "garbage", "gateway"],
)
def test_a_lost_answer_says_what_may_be_spent_and_nothing_is_sent_again(
    seedream_emulator: Emulator,
    capsys: pytest.CaptureFixture[str],
    json_of: Json,
    tmp_path: Path,
    fault: Any,
    paid: int,
) -> None:
    seedream_emulator.faults.add("submit", fault)
    code, said = ended(capsys, "generate", *SCENES, "--yes", "--folder", str(tmp_path))
    assert code == 3
    assert "$0.07 may be spent" in said
    assert "predictions list --model bytedance/seedream-v5.0-lite/sequential" in said
    assert (submissions(seedream_emulator), seedream_emulator.paid_tasks) == (1, paid)
    if paid:
        (prediction,) = seedream_emulator.predictions
        assert f"what may be it, or another's: {prediction['id']}" in said
        fetched = json_of("generate", "--prediction", prediction["id"], "--folder", str(tmp_path))
        assert len(fetched["files"]) == 2
        assert submissions(seedream_emulator) == 1
    else:
        assert "lists no such prediction" in said


def test_a_prediction_that_an_answer_names_although_it_is_no_success_is_said(
    seedream_emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    body = {"code": 400, "message": "no", "data": {"id": "0123456789abcdef", "status": "created"}}
    seedream_emulator.faults.add("submit", faults.Status(400, body=body))
    code, said = ended(capsys, "generate", *SCENES, "--yes")
    assert code == 3
    assert "The answer names prediction 0123456789abcdef." in said
    assert "generate --prediction 0123456789abcdef" in said
    assert submissions(seedream_emulator) == 1


def the_command_in(said: str) -> list[str]:
    """The arguments of the command that fetches a set, as a person copies it out of a message."""
    return shlex.split(said.partition("without paying: python -m airflow_provider_seedream ")[2])


def test_ctrl_c_while_waiting_leaves_the_id_and_the_command_that_fetches_the_set(
    seedream_emulator: Emulator,
    capsys: pytest.CaptureFixture[str],
    json_of: Json,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    seedream_emulator.clock.hold()

    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("airflow_provider_seedream.hooks.seedream.time.sleep", interrupted)
        code, said = ended(capsys, "generate", *SCENES, "--yes", "--folder", str(tmp_path))
    assert code == 3
    (prediction,) = seedream_emulator.predictions
    submitted, interruption = said.splitlines()[-2:]
    assert submitted.startswith(f"Prediction {prediction['id']} is submitted")
    assert f"Interrupted. Prediction {prediction['id']} runs on" in interruption
    assert "$0.07 is spent" in interruption
    seedream_emulator.clock.release()
    assert len(json_of(*the_command_in(interruption))["files"]) == 2
    assert (submissions(seedream_emulator), seedream_emulator.paid_tasks) == (1, 1)


@pytest.mark.parametrize(
    ("where", "code", "said", "paid"),
    [
        ("client.Body.whole", 3, "$0.07 may be spent", 1),
        ("driver.refuse_late", 1, "Interrupted. Nothing was paid.", 0),
    ],
    ids=["after sending", "before sending"],
)
def test_ctrl_c_in_the_paying_request_says_whether_it_may_have_left(
    seedream_emulator: Emulator,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    where: str,
    code: int,
    said: str,
    paid: int,
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"airflow_provider_seedream.wavespeed.{where}", interrupted)
    ending, line = ended(capsys, "generate", *SCENES, "--yes")
    assert ending == code
    assert said in line
    assert seedream_emulator.paid_tasks == paid


def test_a_set_that_is_not_ready_in_time_stays_paid_and_can_be_fetched(
    seedream_emulator: Emulator, capsys: pytest.CaptureFixture[str], json_of: Json, tmp_path: Path
) -> None:
    seedream_emulator.clock.hold()
    code, said = ended(capsys, "generate", *SCENES, "--yes", "--timeout", "0.2", "--folder", str(tmp_path))
    assert code == 3
    assert "had not ended at our deadline" in said
    seedream_emulator.clock.release()
    assert len(json_of(*the_command_in(said.splitlines()[-1]))["files"]) == 2
    assert seedream_emulator.paid_tasks == 1


def test_a_prediction_that_fails_may_be_refunded(
    seedream_emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    seedream_emulator.faults.add("submit", faults.FailPrediction(1200, "blocked"))
    code, said = ended(capsys, "generate", *SCENES, "--yes")
    assert code == 3
    assert "content moderation" in said
    assert "refunds what fails" in said
    assert (submissions(seedream_emulator), seedream_emulator.balance) == (1, 100.0)


def test_images_that_cannot_be_fetched_are_fetched_later_without_paying(
    seedream_emulator: Emulator, capsys: pytest.CaptureFixture[str], json_of: Json, tmp_path: Path
) -> None:
    seedream_emulator.faults.add("cdn", faults.CdnStatus(401), times=None)
    code, said = ended(capsys, "generate", *SCENES, "--yes", "--folder", str(tmp_path))
    assert code == 3
    assert "$0.07 is spent" in said
    seedream_emulator.faults.clear()
    assert len(json_of(*the_command_in(said.splitlines()[-1]))["files"]) == 2
    assert seedream_emulator.paid_tasks == 1


def test_a_set_is_published_from_its_json_and_from_its_id(
    seedream_emulator: Emulator, json_of: Json, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = json_of("generate", *SCENES, "--yes", "--folder", str(tmp_path / "made"))
    source = tmp_path / "set.json"
    source.write_text(json.dumps(made["image_set"]))
    from_file = json_of("publish", str(source), str(tmp_path / "file"))
    monkeypatch.setattr("sys.stdin", io.StringIO(source.read_text()))
    from_stdin = json_of("publish", "-", str(tmp_path / "stdin"))
    from_id = json_of("publish", made["prediction_id"], str(tmp_path / "id"), "--contact-sheet")
    assert from_file["image_set"] == from_stdin["image_set"] == made["image_set"]
    assert [Path(each).name for each in from_id["others"]] == ["contact-sheet.jpg"]
    assert all(len(each["files"]) == 2 for each in (from_file, from_stdin, from_id))
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("no-such-file.json", "is no prediction id, and no file that can be read (FileNotFoundError)"),
        ("bad.json", "it is neither a mapping nor JSON"),
        ("binary.json", "no file that can be read (UnicodeDecodeError)"),
        ("empty.json", "image_set"),
        ("0123456789abcdef", "404"),
    ],
)
def test_what_is_no_image_set_is_not_published(
    seedream_emulator: Emulator,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    source: str,
    reason: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.json").write_text("a fox")
    Path("binary.json").write_bytes(b"\xff\xd8\xff")
    Path("empty.json").write_text("{}")
    code, said = ended(capsys, "publish", source, "out")
    assert (code, said.count("\n")) == (1, 1)
    assert reason in said
    assert not Path("out").exists()


def test_a_folder_of_another_set_is_not_published_to(
    seedream_emulator: Emulator, json_of: Json, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    json_of("generate", "a fox", "--yes", "--folder", str(tmp_path / "first"))
    second = json_of("generate", "an owl", "--yes", "--folder", str(tmp_path / "second"))
    code, said = ended(capsys, "publish", second["prediction_id"], str(tmp_path / "first"))
    assert code == 1
    assert "holds prediction" in said


def test_predictions_are_listed_newest_first_and_shown(
    seedream_emulator: Emulator, json_of: Json, tmp_path: Path
) -> None:
    model = "bytedance/seedream-v4/sequential"
    first = json_of("generate", "a fox", "--yes", "--folder", str(tmp_path / "1"))["prediction_id"]
    second = json_of("generate", "a fox", "--yes", "--model", model, "--folder", str(tmp_path / "2"))[
        "prediction_id"
    ]
    listed = json_of("predictions", "list")
    assert [each["id"] for each in listed] == [second, first]
    assert {each["status"] for each in listed} == {"completed"}
    assert [each["id"] for each in json_of("predictions", "list", "--model", model)] == [second]
    assert json_of("predictions", "list", "--hours", "0.000001") == []
    shown = json_of("predictions", "show", first)
    assert len(shown.pop("images")) == 1
    assert shown.items() >= listed[1].items()


def test_a_failed_prediction_is_shown_with_its_reason(seedream_emulator: Emulator, json_of: Json) -> None:
    seedream_emulator.faults.add("submit", faults.FailPrediction(1200, "blocked"))
    assert main(["generate", "a fox", "--yes"]) == 3
    shown = json_of("predictions", "show", seedream_emulator.predictions[0]["id"])
    assert (shown["status"], shown["code"], shown["error"]) == ("failed", 1200, "blocked")


def test_a_prediction_that_is_not_there_is_a_mistake(
    seedream_emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = ended(capsys, "predictions", "show", "0123456789abcdef")
    assert (code, said.count("\n")) == (1, 1)


CANARY = "canary-7f3a9d51-key"


@pytest.mark.parametrize(
    ("route", "fault"),
    [
        ("nothing", None),
        ("submit", faults.Status(401, body={"message": f"unknown key {CANARY}"})),
        ("submit", faults.DropAfter()),
        ("submit", faults.FailPrediction(1200, f"{CANARY} was blocked")),
        ("result", faults.Status(401, body={"message": f"unknown key {CANARY}"})),
        ("list", faults.FlatError(403, f"key {CANARY} may not")),
        ("balance", faults.EnvelopeCode(403, f"role of {CANARY}")),
    ],
    ids=lambda each: type(each).__name__ if each else "-",
)
def test_the_key_is_printed_nowhere(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    route: str,
    fault: Any,
) -> None:
    with Emulator(api_key=CANARY, median_seconds=0.1) as emulator:
        monkeypatch.setenv("AIRFLOW_CONN_SEEDREAM_DEFAULT", emulator.airflow_connection())
        if fault is not None:
            emulator.faults.add(route, fault)
        commands = [
            ["balance"],
            ["price", "a fox", "--api"],
            ["generate", *SCENES, "--yes", "--folder", str(tmp_path)],
            ["predictions", "list"],
        ]
        codes = [main(each) for each in commands]
        assert (codes == [0, 0, 0, 0]) is (fault is None)
    assert CANARY not in "".join([*capfd.readouterr(), caplog.text])


def test_fetching_a_set_again_keeps_its_names_its_page_and_what_its_manifest_knows(
    seedream_emulator: Emulator, json_of: Json, tmp_path: Path
) -> None:
    folder = tmp_path / "fox"
    made = json_of("generate", *SCENES, "--yes", "--folder", str(folder), "--page")
    before = {each.name: each.read_bytes() for each in folder.iterdir()}
    again = json_of("generate", "--prediction", made["prediction_id"], "--folder", str(folder))
    assert again["files"] == json_of("publish", made["prediction_id"], str(folder))["files"] == made["files"]
    after = {each.name: each.read_bytes() for each in folder.iterdir()}
    assert after.keys() == before.keys()
    assert all(after[name] == before[name] for name in before if name.endswith((".png", ".jpg", ".jpeg")))
    old, new = (json.loads(each["manifest.json"]) for each in (before, after))
    assert [new[key] for key in ("prompt", "requested", "size", "cost_usd")] == [
        old[key] for key in ("prompt", "requested", "size", "cost_usd")
    ]


def test_the_last_day_of_a_forecast_counts_as_a_whole_day() -> None:
    arguments = parser().parse_args(["forecast", "d", "--from", "2026-12-01", "--to", "2026-12-31"])
    assert (arguments.first.isoformat(), arguments.last.isoformat()) == (
        "2026-12-01T00:00:00+00:00",
        "2026-12-31T23:59:59.999999+00:00",
    )
