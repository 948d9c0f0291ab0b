"""``publish``: a paid image set into a folder. Pays nothing."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from airflow_provider_seedream.cli.delivery import fetched, show, sources_of, written
from airflow_provider_seedream.cli.output import Output, RefusedError
from airflow_provider_seedream.hooks.seedream import SeedreamHook
from airflow_provider_seedream.wavespeed.image_set import read_image_set
from airflow_provider_seedream.wavespeed.validation import is_id

_TIMEOUT = 3600.0
"""Seconds to wait for a prediction that is not complete yet."""


def publish(arguments: argparse.Namespace, output: Output) -> None:
    """Publish an image set, given as JSON or by its prediction id."""
    hook, source = SeedreamHook(arguments.conn_id, inline_images=True), arguments.image_set
    if source != "-" and is_id(source) and not Path(source).exists():
        image_set, prediction = fetched(hook, source, timeout=_TIMEOUT)
        published = written(hook, image_set, arguments, sources=sources_of(prediction))
    else:
        published = written(hook, read_image_set(_text(source)), arguments)
    show(published, output)


def _text(source: str) -> str:
    try:
        return sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RefusedError(
            f"{source!r} is no prediction id, and no file that can be read ({type(error).__name__})."
        ) from None
