"""Runs one command: its exit code, its errors in a line each, and its result alone on standard output."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
from collections.abc import Iterator, Sequence
from typing import TextIO

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
    # What Airflow logs of its own, such as each file that it reads, is no answer to what was asked. Read once, at its import.
    os.environ.setdefault("AIRFLOW__LOGGING__LOGGING_LEVEL", "CRITICAL")
    with _alone() as result:
        try:
            session = importlib.import_module("airflow_provider_seedream.cli.session")
        except KeyboardInterrupt:
            sys.stderr.write("Interrupted.\n")
            return 1
        return int(session.run(arguments, result))


@contextlib.contextmanager
def _alone() -> Iterator[TextIO]:
    """Standard output for the result alone: whatever else is written to it, by whichever object, goes to standard error."""
    sys.stdout.flush()
    with contextlib.ExitStack() as stack:
        result: TextIO = sys.stdout
        with contextlib.suppress(OSError):  # of a stream without a file, as in a test
            kept = os.dup(sys.stdout.fileno())
            result = stack.enter_context(os.fdopen(kept, "w", encoding="utf-8"))
            stack.callback(os.dup2, kept, sys.stdout.fileno())
            os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        with contextlib.redirect_stdout(sys.stderr):
            yield result


EMULATOR = "emulator:main"
"""The one command that is a server: it has its own log on standard output, and needs no Airflow."""
