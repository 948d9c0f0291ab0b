"""The same commands as a group of ``airflow``, where Airflow takes commands of providers (tried on 3.3)."""

from __future__ import annotations

import argparse
import sys

from airflow.cli.cli_config import ActionCommand, Arg, CLICommand, GroupCommand

from airflow_provider_seedream.cli.arguments import COMMANDS, NO_PREFIX, Command
from airflow_provider_seedream.cli.main import EMULATOR, run


class _Arguments(Arg):
    """All arguments of one command, where Airflow wants one."""

    def __init__(self, command: Command) -> None:
        super().__init__(flags=("arguments",))  # type: ignore[no-untyped-call]
        self.command = command

    def add_to_parser(self, parser: argparse.ArgumentParser) -> None:
        if self.command.run == EMULATOR:
            parser.prefix_chars = NO_PREFIX
        self.command.add(parser)
        parser.set_defaults(run=self.command.run)


def get_commands() -> list[CLICommand]:
    """The group ``airflow seedream``, named by the key ``cli`` of the provider's info. Every ``airflow`` command asks for it."""
    commands = [
        ActionCommand(name=name, help=command.help, func=_run, args=(_Arguments(command),))
        for name, command in COMMANDS.items()
    ]
    return [GroupCommand(name="seedream", help="Image sets of ByteDance Seedream", subcommands=commands)]


def _run(arguments: argparse.Namespace) -> None:
    sys.exit(run(arguments))
