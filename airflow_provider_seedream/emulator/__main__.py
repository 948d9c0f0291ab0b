"""``python -m airflow_provider_seedream.emulator``: the emulator as a program."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import logging
import signal
import sys
from collections.abc import Sequence
from decimal import Decimal
from importlib.util import find_spec
from typing import Any

from airflow_provider_seedream.emulator.server import Server
from airflow_provider_seedream.emulator.settings import TIERS, Settings


def switch(text: str) -> tuple[str, Any]:
    """Read ``name=value``; a value that is no JSON is taken as text."""
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
    line.add_argument("--cdn-port", type=int, default=8766, help="port of the pictures; 0 takes a free one")
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


def banner(server: Server, *, control: bool) -> str:
    """What to tell whoever started it."""
    api, key = f"http://{server.host}:{server.port}", server.site.api_key
    connection = json.dumps({"conn_type": "seedream", "host": api, "password": key})
    lines = [
        "Seedream emulator: listens, draws, charges nothing.",
        "",
        f"  API       {api}",
        f"  Pictures  http://{server.host}:{server.site.cdn_port}",
        f"  Key       {key}",
        f"  Balance   ${server.site.tasks.balance:f}",
    ]
    if control:
        lines.append(f"  Control   {api}/_emulator/stats")
    return "\n".join([*lines, "", f"export AIRFLOW_CONN_SEEDREAM_DEFAULT='{connection}'", ""])


async def serve(options: argparse.Namespace, settings: Settings) -> None:
    """Run until SIGINT or SIGTERM."""
    server = Server(
        settings=settings,
        seed=options.seed,
        api_key=options.api_key,
        balance=options.balance,
        state=options.state,
        host=options.host,
        port=options.port,
        cdn_port=options.cdn_port,
        with_control=options.control,
    )
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, over.set)
    try:
        await server.start()
        sys.stdout.write(banner(server, control=options.control) + "\n")
        sys.stdout.flush()
        await over.wait()
    finally:
        await server.stop()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    line = parser()
    options = line.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stdout)
    if find_spec("PIL") is None:
        sys.stderr.write("Pillow is missing: pip install 'airflow-provider-seedream[emulator]'\n")
        return 1
    known = {"median_seconds": options.median_seconds, "spread": options.spread, "tier": options.tier}
    try:
        settings = Settings(**{**known, **dict(options.set)})
    except ValueError as trouble:
        line.error(str(trouble))
    try:
        asyncio.run(serve(options, settings))
    except OSError as trouble:
        sys.stderr.write(f"Cannot start: {trouble}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
