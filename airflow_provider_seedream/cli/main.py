"""Runs one command: its exit code, its errors in a line each, and its result alone on standard output."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import sys
from collections.abc import Sequence

from airflow_provider_seedream.cli.arguments import parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name, and give its exit code.

    :param arguments: without the program's name; default: the process's own.
    :raises SystemExit: with 2 for wrong usage, with 0 after ``--help``.
    """
    return run(parser().parse_args(arguments))


def run(arguments: argparse.Namespace) -> int:
    """Run the command of parsed arguments, and give its exit code.

    Airflow takes seconds to import, so no module that needs it is imported before a command is known to need it.
    """
    if arguments.run == EMULATOR:
        emulator = importlib.import_module("airflow_provider_seedream.emulator.__main__")
        return int(emulator.main(arguments.arguments))
    result = sys.stdout
    # Airflow, while it is imported and later, logs to what it finds as standard output.
    with contextlib.redirect_stdout(sys.stderr):
        session = importlib.import_module("airflow_provider_seedream.cli.session")
        return int(session.run(arguments, result))


EMULATOR = "emulator:main"
"""The one command that is a server: it has its own log on standard output, and needs no Airflow."""
