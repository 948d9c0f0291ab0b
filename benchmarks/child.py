"""A process of the benchmark that talks in lines of JSON."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.plan import Plan

ROOT = Path(__file__).parents[1]


class ChildError(Exception):
    """A process of the benchmark itself broke down."""


class Child:
    """Runs ``python -m benchmarks.<module>``; killed on leaving.

    :param module: its name.
    :param arguments: for its command line; a plan arrives pickled, in base64.
    :param env: its environment; ``None`` for ours.
    :param log: where it writes what goes wrong, if anywhere but to our stderr.
    """

    def __init__(
        self,
        module: str,
        *arguments: str | Plan,
        env: Mapping[str, str] | None = None,
        log: Path | None = None,
    ) -> None:
        self._name, self._log = module, log
        words = [b64encode(pickle.dumps(a)).decode() if isinstance(a, Plan) else a for a in arguments]
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"benchmarks.{module}", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=env,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def hear(self) -> dict[str, Any]:
        """The next line it says.

        :raises ChildError: if it ends instead.
        """
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            said = self._log.read_text(errors="replace")[-3000:] if self._log and self._log.exists() else ""
            raise ChildError(f"benchmarks.{self._name} ended with code {self._process.wait()}.\n{said}")
        heard: dict[str, Any] = json.loads(line)
        return heard

    def tell(self, what: Mapping[str, Any]) -> None:
        """Say one line."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()

    def dismiss(self) -> dict[str, Any]:
        """Say that there is no more to come, and hear the last it says."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.stdin = None
        return self.hear()
