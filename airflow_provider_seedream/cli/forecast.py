"""``forecast``: what a run of a DAG, or a backfill, will cost. Reads the DAG; asks and pays nothing."""

from __future__ import annotations

import argparse
import datetime as dt
from decimal import Decimal
from functools import cache

from airflow.providers.common.compat.sdk import AirflowNotFoundException

from airflow_provider_seedream.cli.costs import TaskCost, costs_of, mapped_in, total
from airflow_provider_seedream.cli.dags import dag_named, runs_between
from airflow_provider_seedream.cli.output import Output, RefusedError, facts, table, usd
from airflow_provider_seedream.hooks.seedream import SeedreamHook
from airflow_provider_seedream.hooks.settings import ConnectionSettings
from airflow_provider_seedream.wavespeed.request import DEFAULT_MODEL
from airflow_provider_seedream.wavespeed.validation import suggest


def forecast(arguments: argparse.Namespace, output: Output) -> None:
    """Print what each paying task of a DAG costs, the sum, and what is not known."""
    first, last = arguments.first, arguments.last
    if (first is None) is not (last is None):
        raise RefusedError("A backfill has two ends. Give both --from and --to, or neither for one run.")
    dag = dag_named(arguments.dag_id, arguments.dags)
    counts, mapped = dict(arguments.mapped), mapped_in(dag)
    for name in counts:
        if name not in mapped:
            raise RefusedError(
                f"--mapped {name}: DAG {dag.dag_id} has no such mapped task. {suggest(name, mapped)}"
            )
    runs = 1 if first is None else runs_between(dag, first, last)
    absent: list[str] = []

    @cache
    def settings(conn_id: str) -> ConnectionSettings | None:
        try:
            return SeedreamHook(conn_id).settings
        except AirflowNotFoundException:
            absent.append(conn_id)
            return None

    costs = costs_of(dag, counts, settings)
    assumed = [f"connection {each} is not known here: its model is {DEFAULT_MODEL}" for each in absent]
    _show(arguments.dag_id, (first, last), runs, costs, assumed, output)


def _show(
    dag_id: str,
    dates: tuple[dt.datetime | None, dt.datetime | None],
    runs: int,
    costs: list[TaskCost],
    assumed: list[str],
    output: Output,
) -> None:
    least, most = total(costs, runs)
    one_least, one_most = total(costs, 1)
    unknown = [{"task_id": each.task_id, "reason": each.unknown} for each in costs if each.unknown]
    refused = [{"task_id": each.task_id, "reason": each.refused} for each in costs if each.refused]
    document = {
        "dag_id": dag_id,
        "from": dates[0].isoformat() if dates[0] else None,
        "to": dates[1].isoformat() if dates[1] else None,
        "runs": runs,
        "tasks": [
            {
                "task_id": each.task_id,
                "instances": each.instances,
                "images": each.images,
                "least_usd": float(each.least),
                "most_usd": None if each.unknown else float(each.most),
            }
            for each in costs
        ],
        "unknown": unknown,
        "refused": refused,
        "assumed": assumed,
        "run_usd": {"least": one_least, "most": None if unknown else one_most},
        "cost_usd": {"least": least, "most": None if unknown else most},
    }
    rows = [
        (each.task_id, each.instances, each.images, _span(each.least, each.most, bool(each.unknown)))
        for each in costs
    ]
    summary = {"runs": runs, "a run": _span(one_least, one_most, bool(unknown))}
    summary |= {"all runs": _span(least, most, bool(unknown))} if runs > 1 else {}
    for name, notes in (("not known", unknown), ("refused", refused)):
        if notes:
            summary[name] = [f"{each['task_id']}: {each['reason']}" for each in notes]
    summary |= {"assumed": assumed} if assumed else {}
    output.result(document, table(["task", "instances", "images", "cost of a run"], rows), facts(summary))


def _span(least: float | Decimal, most: float | Decimal, open_ended: bool) -> str:
    """An amount between two, for people."""
    span = usd(float(least)) if least == most else f"{usd(float(least))} to {usd(float(most))}"
    return f"at least {usd(float(least))}" if open_ended else span
