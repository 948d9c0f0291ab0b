"""The ``airflow`` command line without a start for each command: one interpreter has Airflow imported, and forks.

Importing Airflow takes seconds, most commands a fraction of one. A command still gets a process of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended, and everything that it printed."""

    returncode: int
    output: str


class AirflowCli:
    """Runs ``airflow`` commands in forks of one interpreter.

    :param env: added to the environment of the interpreter; nothing of the caller's Airflow is in it.
    """

    def __init__(self, cwd: Path, env: Mapping[str, str]) -> None:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by close()
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            env={**inherited, **env},
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )

    def run(self, *arguments: str, env: Mapping[str, str] | None = None) -> Done:
        """Run one command.

        :param env: added to its environment.
        :raises AssertionError: the interpreter could not start.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with tempfile.NamedTemporaryFile("r", errors="replace") as output:
            command = {"arguments": arguments, "env": dict(env or {}), "output": output.name}
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(json.dumps(command) + "\n")
                self._process.stdin.flush()
            if not (answer := self._process.stdout.readline()):
                self._log.seek(0)
                raise AssertionError(f"Airflow could not be imported:\n{self._log.read()[-3000:]}")
            return Done(int(answer), output.read())

    def close(self) -> None:
        """End the interpreter."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=20)
        self._process.stdout.close()
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def serve() -> None:
    """Import what commands need, then fork for each line of standard input."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what Airflow prints while it is imported is no answer
    from airflow.cli import cli_parser
    from airflow.cli.commands import dag_command  # noqa: F401 - most commands need it

    if version("apache-airflow").startswith("3.2."):
        _keep_the_api_open()
    parser = cli_parser.get_parser()
    for line in sys.stdin:
        command = json.loads(line)
        child = os.fork()
        if child == 0:
            sys.exit(_run(parser, command))  # as a command ends, with all that Airflow does at its end
        _, status = os.waitpid(child, 0)
        answers.write(f"{os.waitstatus_to_exitcode(status)}\n")
        answers.flush()


def _keep_the_api_open() -> None:
    """Keep the API that ``dags test`` has in its process: Airflow 3.2 drops what holds it open, does not wait until it has
    started, and each task fails that asks a closed one.
    """
    begin, kept = asyncio.run_coroutine_threadsafe, []

    def begin_and_keep(coroutine: Any, loop: Any) -> Any:
        if coroutine.__name__ != "start_lifespan":
            return begin(coroutine, loop)
        kept.append(dict(coroutine.cr_frame.f_locals))
        future = begin(coroutine, loop)
        future.result()
        return future

    asyncio.run_coroutine_threadsafe = begin_and_keep


def _run(parser: Any, command: dict[str, Any]) -> int:
    import traceback

    output = os.open(command["output"], os.O_WRONLY)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.update(command["env"])
    sys.argv = ["airflow", *command["arguments"]]
    code = 0
    try:
        arguments = parser.parse_args(command["arguments"])
        arguments.func(arguments)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - as the interpreter does with what nobody caught
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code


if __name__ == "__main__":
    serve()
