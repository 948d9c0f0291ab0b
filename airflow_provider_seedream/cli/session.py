"""What every command that needs Airflow stands on: its log, its connections, and what each error means."""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from airflow.providers.common.compat.sdk import AirflowException
from airflow.utils.session import create_session
from sqlalchemy import inspect
from sqlalchemy.exc import SQLAlchemyError

from airflow_provider_seedream.cli.output import MayBeSpentError, Output, RefusedError, say
from airflow_provider_seedream.wavespeed.errors import WaveSpeedError

DONE, REFUSED, MAY_BE_SPENT = 0, 1, 3

_CONTEXT = "_AIRFLOW_PROCESS_CONTEXT"
"""The variable by which Airflow 3 knows a process that may read connections from the database, as ``airflow connections``
does."""


def run(arguments: argparse.Namespace, stream: TextIO) -> int:
    """Run a command.

    :param arguments: parsed.
    :param stream: takes the result.
    :return: the exit code.
    """
    module, _, name = arguments.run.partition(":")
    try:
        with _quiet(), _connections():
            command = getattr(importlib.import_module(f"airflow_provider_seedream.cli.{module}"), name)
            command(arguments, Output(arguments.output, stream))
    except MayBeSpentError as error:
        say(str(error))
        return MAY_BE_SPENT
    except (RefusedError, WaveSpeedError, AirflowException) as error:
        say(str(error))
        return REFUSED
    except KeyboardInterrupt:
        say("Interrupted.")
        return REFUSED
    return DONE


@contextmanager
def _connections() -> Iterator[None]:
    """Let connections be read from Airflow's database, if it has them: a database without tables has none."""
    before = os.environ.get(_CONTEXT)
    if before is None and _has_connections():
        os.environ[_CONTEXT] = "server"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(_CONTEXT, None)


def _has_connections() -> bool:
    try:
        with create_session() as session:
            return bool(inspect(session.connection()).has_table("connection"))
    except SQLAlchemyError:
        # There may be some, and the hook must say that they cannot be read.
        return True


@contextmanager
def _quiet() -> Iterator[None]:
    """Show what the package warns of, a line each."""
    log, handler = logging.getLogger("airflow_provider_seedream"), logging.StreamHandler(sys.stderr)
    level, propagates = log.level, log.propagate
    log.addHandler(handler)
    log.propagate = False
    log.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            # Of Python code, which is not the person's.
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
        log.propagate = propagates
        log.removeHandler(handler)
