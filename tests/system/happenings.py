"""What happens to the deployment, one event after another."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from tests.standalone.rest import Airflow
from tests.system.deployment import DEFAULT, TRIGGERERS, WORKERS, Deployment

DOWN = 10.0
"""Seconds until a part that was killed is started again, as a supervisor does."""

STOPPED = 40.0
"""Seconds that a part is stopped: long enough for another to take over what it did."""

AWAY = 60.0
"""Seconds that the WaveSpeed API, or the secrets backend, is away."""

UNTIL_EDITED = 20.0
"""Seconds until the connection is edited after the old key has ended."""

Way = Literal["killed", "stopped and continued", "restarted"]

EACH = (*TRIGGERERS, *WORKERS, "scheduler", "API server", "Redis", "Postgres")


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happens while sets are in flight.

    :param name: for people.
    :param happen: returns once it is over and the part is back.
    :param when: what the sets of the wave do when it begins: none has begun, some submit and some wait, or all wait.
    :param small: whether the small run has it.
    """

    name: str
    happen: Callable[[Deployment, Airflow], None]
    when: Literal["triggered", "submitting", "waiting"] = "submitting"
    small: bool = False


def _part(name: str, way: Way, deployment: Deployment, _: Airflow) -> None:
    part = deployment.parts[name]
    match way:
        case "killed":
            part.kill()
            time.sleep(DOWN)
        case "stopped and continued":
            part.stop()
            time.sleep(STOPPED)
            part.go_on()
            return
        case "restarted":
            part.end()
    part.start()
    part.wait()


def _api_away(deployment: Deployment, _: Airflow) -> None:
    deployment.parts["WaveSpeed API"].kill()
    time.sleep(AWAY)
    deployment.start_api()


def _key_rotated(deployment: Deployment, airflow: Airflow) -> None:
    deployment.parts["WaveSpeed API"].end()
    deployment.key = f"key-{time.time():.0f}-of-the-account"
    deployment.start_api()
    time.sleep(UNTIL_EDITED)
    edited = {"connection_id": DEFAULT, "conn_type": "seedream", "password": deployment.key}
    airflow.patch(f"connections/{DEFAULT}?update_mask=password", edited)
    deployment.write_vault()


def _vault_away(deployment: Deployment, _: Airflow) -> None:
    deployment.vault_away(True)
    time.sleep(AWAY)
    deployment.vault_away(False)


_SMALL = {
    ("triggerer 1", "stopped and continued"),
    ("worker 1", "killed"),
    ("Redis", "restarted"),
}

EVENTS = (
    Event("nothing", lambda deployment, airflow: None),
    *(
        Event(f"{name} {way}", partial(_part, name, way), small=(name, way) in _SMALL)
        for way in ("killed", "stopped and continued", "restarted")
        for name in EACH
    ),
    Event(f"WaveSpeed API away for {AWAY:.0f} s", _api_away),
    Event("key rotated, then the connection edited", _key_rotated, when="waiting"),
    Event(f"secrets backend away for {AWAY:.0f} s", _vault_away, when="triggered"),
)
