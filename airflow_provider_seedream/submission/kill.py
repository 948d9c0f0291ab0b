"""What a kill of the task finds, and whether one came."""

from __future__ import annotations

from dataclasses import dataclass

NOTHING_SENT = "Nothing was sent that pays"


@dataclass(slots=True)
class Kill:
    """Shared by a task, whose ``on_kill`` runs in the middle of whatever the task does, and by what pays.

    :param came: whether the task was killed. From then on nothing is sent that pays.
    :param finds: what was and what was not sent at this moment, for the log.
    """

    came: bool = False
    finds: str = NOTHING_SENT
