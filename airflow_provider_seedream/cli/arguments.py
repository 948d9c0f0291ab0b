"""What each command takes. Read for ``--help`` and by each ``airflow`` command, so it imports next to nothing."""

from __future__ import annotations

import argparse
import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

PROGRAM = "python -m airflow_provider_seedream"
NO_PREFIX = "\0"
"""Of a parser that hands everything to another one: with it, no argument counts as an option."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    :param help: what it does, in a line.
    :param run: where its function is, ``module:function`` within this room. It takes the parsed arguments, and gives the exit
        code, or None for 0.
    :param add: adds its arguments to a parser.
    """

    help: str
    run: str
    add: Callable[[argparse.ArgumentParser], None]


def parser() -> argparse.ArgumentParser:
    """The parser of ``python -m airflow_provider_seedream``."""
    whole = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Image sets of ByteDance Seedream from the shell.",
        epilog="Exit codes: 0 done; 1 refused, nothing was paid; 2 wrong usage; 3 money may be spent without a result.",
    )
    commands = whole.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        if name == "emulator":
            one = commands.add_parser(name, help=command.help, add_help=False, prefix_chars=NO_PREFIX)
        else:
            one = commands.add_parser(name, help=command.help, description=command.help)
        command.add(one)
        one.set_defaults(run=command.run)
    return whole


def _balance(parser: argparse.ArgumentParser) -> None:
    _everywhere(parser)


def _price(parser: argparse.ArgumentParser) -> None:
    _image_set(parser)
    parser.add_argument("--api", action="store_true", help="ask the API instead of the table (free)")
    _everywhere(parser)


def _forecast(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dag_id", metavar="DAG_ID", help="the DAG")
    parser.add_argument(
        "--from", dest="first", type=_day, metavar="DATE", help="first logical date of a backfill"
    )
    parser.add_argument("--to", dest="last", type=_last_day, metavar="DATE", help="its last one, included")
    parser.add_argument(
        "--mapped",
        action="append",
        default=[],
        type=_counted,
        metavar="TASK=N",
        help="instances of a mapped task, or of a mapped task group, whose number only a run knows; may be repeated",
    )
    parser.add_argument(
        "--dags", metavar="PATH", help="file or folder to read DAGs from; default: as Airflow does"
    )
    _everywhere(parser, connection=False)


def _predictions(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listed = actions.add_parser("list", help="the account's predictions, newest first")
    listed.add_argument("--model", help="of this model only; default: all")
    listed.add_argument(
        "--hours", type=_positive, default=24.0, metavar="N", help="created in the last N hours; default 24"
    )
    _everywhere(listed)
    shown = actions.add_parser("show", help="one prediction")
    shown.add_argument("prediction_id", metavar="ID", help="its id")
    _everywhere(shown)


def _generate(parser: argparse.ArgumentParser) -> None:
    _image_set(parser)
    parser.add_argument(
        "--prediction", metavar="ID", help="fetch this image set, which is paid; pays nothing"
    )
    parser.add_argument("--max-cost", metavar="USD", help="refuse a set that costs more")
    parser.add_argument("--yes", action="store_true", help="pay without being asked")
    parser.add_argument(
        "--timeout", type=_positive, default=3600.0, metavar="SECONDS", help="how long to wait; default 3600"
    )
    parser.add_argument(
        "--folder",
        metavar="PATH",
        help="where to write to, local or in an object store; default: seedream-<prediction id> here",
    )
    _published(parser)
    _everywhere(parser)


def _publish(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "image_set",
        metavar="SOURCE",
        help="a file with the JSON of an image set, - for standard input, or a prediction id",
    )
    parser.add_argument("folder", metavar="FOLDER", help="where to write to, local or in an object store")
    _published(parser)
    _everywhere(parser)


def _emulator(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="see: emulator --help")


def _everywhere(parser: argparse.ArgumentParser, *, connection: bool = True) -> None:
    if connection:
        parser.add_argument(
            "--conn-id",
            default="seedream_default",
            metavar="ID",
            help="the Airflow connection; default seedream_default, in whose place WAVESPEED_API_KEY may stand",
        )
    parser.add_argument("--output", choices=("table", "json"), default="table", help="form of the result")


def _image_set(parser: argparse.ArgumentParser) -> None:
    """The arguments of a request, as of :class:`.ImageSetRequest`."""
    parser.add_argument("prompt", nargs="?", metavar="PROMPT", help="the whole prompt; or give scenes")
    parser.add_argument(
        "--scene",
        dest="scenes",
        action="append",
        metavar="TEXT",
        help="what one image shows; once for each image",
    )
    parser.add_argument("--characters", metavar="TEXT", help="who appears in every image; with scenes")
    parser.add_argument("--style", metavar="TEXT", help="how every image looks; with scenes")
    parser.add_argument("--palette", metavar="TEXT", help="the colours of the set; with scenes")
    parser.add_argument(
        "--max-images", metavar="N", help="images to make, 1 to 15; default: as the prompt says"
    )
    parser.add_argument("--size", help='"W*H", or a preset such as 16:9; default 2048*2048')
    parser.add_argument("--resolution", help="2K, 3K or 4K, with a preset")
    parser.add_argument("--model", help="a sequential Seedream model; default: the connection's")
    parser.add_argument("--output-format", metavar="FORMAT", help="jpeg or png; default: the API's choice")
    parser.add_argument(
        "--image",
        dest="images",
        action="append",
        metavar="LINK",
        help="a reference image: a link, or a file to upload; may be repeated",
    )


def _published(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--page", action="store_true", help="also write index.html")
    parser.add_argument("--contact-sheet", action="store_true", help="also draw contact-sheet.jpg")
    parser.add_argument(
        "--replace",
        action="store_true",
        help="delete the image set that is in the folder, and write over files",
    )


def _day(text: str) -> dt.datetime:
    """A date, or a time, in UTC unless it says otherwise."""
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no date; write it like 2026-01-31") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def _last_day(text: str) -> dt.datetime:
    """The same; a date without a time means all of its day."""
    moment = _day(text)
    dated = len(text) <= len("2026-01-31")
    return moment + dt.timedelta(days=1, microseconds=-1) if dated else moment


def _counted(text: str) -> tuple[str, int]:
    name, _, number = text.rpartition("=")
    if not name or not number.isdecimal() or len(number) > 6:
        raise argparse.ArgumentTypeError(f"{text!r} is not TASK=N, a task and its number of instances")
    return name, int(number)


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < 1e7:
        raise argparse.ArgumentTypeError(f"{text!r} is no number over 0")
    return number


COMMANDS = {
    "balance": Command("The account's balance.", "account:balance", _balance),
    "price": Command("What an image set costs. Pays nothing.", "account:price", _price),
    "forecast": Command("What a run of a DAG, or a backfill, will cost.", "forecast:forecast", _forecast),
    "predictions": Command("What the account had made.", "predictions:predictions", _predictions),
    "generate": Command(
        "Make an image set without a DAG. Pays, after asking.", "generate:generate", _generate
    ),
    "publish": Command("Write a paid image set into a folder.", "publish:publish", _publish),
    "emulator": Command("Run a local stand-in for the API.", "emulator:main", _emulator),
}
