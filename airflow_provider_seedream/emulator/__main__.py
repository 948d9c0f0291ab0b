"""``python -m airflow_provider_seedream.emulator``: the emulator as a program."""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import signal
import sys
import threading
from collections.abc import Sequence
from decimal import Decimal
from importlib.util import find_spec
from typing import Any

from airflow_provider_seedream.emulator.emulator import Emulator
from airflow_provider_seedream.emulator.settings import TIERS, Settings


def switch(text: str) -> tuple[str, Any]:
    """Read ``name=value``; a value that is no JSON counts as text."""
    name, equals, value = text.partition("=")
    if not equals or name not in {field.name for field in dataclasses.fields(Settings)}:
        raise argparse.ArgumentTypeError(f"{text!r} is no switch")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def parser() -> argparse.ArgumentParser:
    """The command line."""
    line = argparse.ArgumentParser(
        prog="python -m airflow_provider_seedream.emulator",
        description="A local stand-in for the WaveSpeedAI API. Nothing is charged.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    line.add_argument("--host", default="127.0.0.1", help="address to listen on")
    line.add_argument("--port", type=int, default=8765, help="port of the API; 0 takes a free one")
    line.add_argument("--cdn-port", type=int, default=8766, help="port of the images; 0 takes a free one")
    line.add_argument("--state", metavar="FILE", help="SQLite file that keeps everything across restarts")
    line.add_argument("--seed", type=int, default=0, help="fixes durations and the dice of faults")
    line.add_argument("--api-key", default="emulator-key", help="the key that is accepted")
    line.add_argument("--balance", type=Decimal, default=Decimal(100), help="US dollars on the account")
    line.add_argument("--median-seconds", type=float, default=8.0, help="median time a task takes")
    line.add_argument("--spread", type=float, default=0.3, help="spread of that time; 0: all alike")
    line.add_argument(
        "--tier", choices=list(TIERS), default="unlimited", help="account level, for the limits"
    )
    line.add_argument(
        "--set",
        action="append",
        default=[],
        type=switch,
        metavar="NAME=VALUE",
        help="any other switch, its value in JSON, as in list_input=true; may be repeated",
    )
    line.add_argument("--control", action="store_true", help="serve the control plane under /_emulator/")
    return line


def banner(emulator: Emulator, *, control: bool) -> str:
    """What whoever started it needs to know."""
    lines = [
        "Seedream emulator: listens, draws, charges nothing.",
        "",
        f"  API       {emulator.url}",
        f"  Images    {emulator.cdn_url}",
        f"  Key       {emulator.api_key}",
        f"  Balance   ${emulator.balance:.10g}",
    ]
    if control:
        lines.append(f"  Control   {emulator.url}/_emulator/stats")
    connection = f"export AIRFLOW_CONN_SEEDREAM_DEFAULT='{emulator.airflow_connection()}'"
    return "\n".join([*lines, "", connection, "", ""])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program until SIGINT or SIGTERM; returns its exit status."""
    line = parser()
    options = vars(line.parse_args(arguments))
    options |= dict(options.pop("set"))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stdout)
    if find_spec("PIL") is None:
        sys.stderr.write("Pillow is missing: pip install 'airflow-provider-seedream[emulator]'\n")
        return 1
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    try:
        emulator = Emulator(**options)
    except ValueError as problem:
        line.error(str(problem))
    try:
        with emulator:
            sys.stdout.write(banner(emulator, control=options["control"]))
            sys.stdout.flush()
            over.wait()
    except OSError as problem:
        sys.stderr.write(f"Cannot start: {problem}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
