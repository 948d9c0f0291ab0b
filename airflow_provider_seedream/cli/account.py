"""``balance`` and ``price``: what the account has, and what an image set would cost. Neither pays."""

from __future__ import annotations

import argparse

from airflow_provider_seedream.cli.asking import request_of
from airflow_provider_seedream.cli.output import Output, facts, usd
from airflow_provider_seedream.hooks.seedream import SeedreamHook


def balance(arguments: argparse.Namespace, output: Output) -> None:
    """Print the account's balance."""
    hook = SeedreamHook(arguments.conn_id)
    balance_usd = hook.balance()
    document = {
        "balance_usd": balance_usd,
        "account": hook.settings.source,
        "origin": hook.settings.endpoint.origin,
    }
    output.result(document, facts(document | {"balance_usd": usd(balance_usd)}))


def price(arguments: argparse.Namespace, output: Output) -> None:
    """Print the price of an image set; of a number of images where there is no prompt."""
    hook = SeedreamHook(arguments.conn_id)
    request = request_of(arguments, hook, without_prompt="an image")
    cost_usd = hook.price(request) if arguments.api else request.cost_usd
    document = {
        "model": request.model,
        "images": request.max_images,
        "size": str(request.size),
        "cost_usd": cost_usd,
        "source": "api" if arguments.api else "table",
    }
    output.result(document, facts(document | {"cost_usd": usd(cost_usd)}))
