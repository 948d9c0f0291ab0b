"""``predictions``: what the account had made, and which of it no record of this Airflow knows."""

from __future__ import annotations

import argparse
import datetime as dt
from typing import Any

from airflow_provider_seedream.cli.output import Output, facts, progress, table
from airflow_provider_seedream.cli.records import known_predictions
from airflow_provider_seedream.hooks.seedream import SeedreamHook
from airflow_provider_seedream.wavespeed.operations import CLOCK_SKEW
from airflow_provider_seedream.wavespeed.prediction import Prediction

_NO_RECORD = "no record"
_WITHOUT_DATE = dt.timedelta(days=8)
"""How far back records are searched for a prediction that names no time: the API keeps one for seven days."""


def predictions(arguments: argparse.Namespace, output: Output) -> None:
    """List predictions, or show one."""
    (show_all if arguments.action == "list" else show_one)(arguments, output)


def show_all(arguments: argparse.Namespace, output: Output) -> None:
    """List the account's predictions, newest first."""
    now, skew = dt.datetime.now(dt.UTC), dt.timedelta(seconds=CLOCK_SKEW)
    since = now - dt.timedelta(hours=arguments.hours)
    with progress("Reading the list"):
        found = SeedreamHook(arguments.conn_id).predictions(
            model=arguments.model, created_after=since, created_before=now + skew
        )
    known = known_predictions(since - skew)
    document = [_line(each, known) for each in found]
    columns = ["id", "model", "status", "created_at"]
    rows = [[*(each[name] for name in columns), _mark(each["known"])] for each in document]
    output.result(document, table([*columns, ""], rows))


def show_one(arguments: argparse.Namespace, output: Output) -> None:
    """Show one prediction."""
    found = SeedreamHook(arguments.conn_id, inline_images=True).prediction(arguments.prediction_id)
    created = dt.datetime.fromtimestamp(found.created, dt.UTC) if found.created else None
    since = (created or dt.datetime.now(dt.UTC) - _WITHOUT_DATE) - dt.timedelta(seconds=CLOCK_SKEW)
    document = {
        **_line(found, known_predictions(since)),
        "code": found.code,
        "error": found.error,
        "inference_ms": found.inference_ms,
        # An image that comes inside the answer is no text for a shell.
        "images": list(found.outputs) if found.has_links else ["inline"] * len(found.outputs),
        "missing": [f"{each.place}: {each.reason}" for each in found.missing],
    }
    shown = {
        name: value for name, value in document.items() if name != "known" and value not in (None, "", [])
    }
    output.result(document, facts(shown | ({"record": "none"} if document["known"] is False else {})))


def _line(prediction: Prediction, known: frozenset[str] | None) -> dict[str, Any]:
    return {
        "id": prediction.id,
        "model": prediction.model,
        "status": prediction.status_word,
        "created_at": prediction.created_at,
        "known": None if known is None else prediction.id in known,
    }


def _mark(known: bool | None) -> str:
    return _NO_RECORD if known is False else ""
