"""What a command says: its result on standard output, everything else on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

_WIDE = 200
"""Columns of a table that goes to a file or a pipe."""


class RefusedError(Exception):
    """A command does not do what a person asked for. Nothing is paid."""


class MayBeSpentError(Exception):
    """A command ends without images, and money is, or may be, spent."""


class Output:
    """Where the result of a command goes, and in which form.

    :param form: ``"table"`` or ``"json"``.
    :param stream: standard output.
    """

    def __init__(self, form: str, stream: TextIO) -> None:
        self.form = form
        self._stream = stream

    def result(self, document: object, *tables: Table) -> None:
        """Print the result, in one of its two forms.

        :param document: plain JSON.
        :param tables: the same for people.
        """
        if self.form == "json":
            self._stream.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
        else:
            console = _console(self._stream)
            for each in tables:
                console.print(each)
        self._stream.flush()


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, title: str | None = None) -> Table:
    """Rows under columns; None becomes an empty cell."""
    drawn = Table(*columns, title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for row in rows:
        drawn.add_row(*("" if each is None else str(each) for each in row))
    return drawn


def facts(document: Mapping[str, Any]) -> Table:
    """One thing, a line for each of its properties."""
    drawn = Table(show_header=False, box=None, pad_edge=False)
    for name, value in document.items():
        lines = value if isinstance(value, list) else [value]
        drawn.add_row(
            name.removesuffix("_usd").replace("_", " "),
            "\n".join("" if each is None else str(each) for each in lines),
        )
    return drawn


def usd(amount: float) -> str:
    """An amount of money for people."""
    return f"${amount:g}"


def say(text: str) -> None:
    """Print a line for a person on standard error."""
    sys.stderr.write(" ".join(text.split()) + "\n")
    sys.stderr.flush()


@contextmanager
def progress(what: str) -> Iterator[None]:
    """Show that something takes long, and for how long it has, where standard error is a terminal.

    How far a prediction is, the API does not say.
    """
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TimeElapsedColumn(),
    )
    console = _console(sys.stderr)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as shown:
        shown.add_task(what, total=None)
        yield


def _console(stream: TextIO) -> Console:
    # Texts of the API and of DAGs are no markup.
    return Console(
        file=stream,
        width=None if stream.isatty() else _WIDE,
        markup=False,
        highlight=False,
        emoji=False,
    )
