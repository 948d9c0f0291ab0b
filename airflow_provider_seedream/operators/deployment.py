"""Who publishes, and from where: the task instance, its Airflow deployment, the host and the links of its connection.

Equal DAG and run ids in two deployments are two task instances.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import secrets
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from airflow.providers.common.compat.sdk import AirflowNotFoundException, Variable

from airflow_provider_seedream import publishing
from airflow_provider_seedream.wavespeed.errors import WaveSpeedError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_seedream.hooks.seedream import SeedreamHook

log = logging.getLogger(__name__)

VARIABLE = "seedream_deployment_id"
"""Airflow variable with the random id of this deployment; the first publish makes it."""

_DESCRIPTION = "Random, made by airflow-provider-seedream: tells what this deployment published from what another did. Keep it."
_SETTLED_AFTER = 1.0
"""Seconds after which of two workers that make the variable in the same instant both read the later one's id."""


def publisher(context: Context) -> publishing.TaskInstanceKey | None:
    """The task instance, as a manifest names it."""
    ti = context.get("ti")
    if ti is None:
        return None
    map_index = -1 if ti.map_index is None else ti.map_index
    return publishing.TaskInstanceKey(ti.dag_id, ti.run_id, ti.task_id, map_index, deployment())


def zones_of_connection(hook: SeedreamHook) -> publishing.Zones:
    """Where images may be fetched from besides the public internet: the zones of the host that a connection names.

    The emulator is on this machine, a gateway in a private network. Asked only where a link leads to an address that is
    not public. Without a connection there are none.
    """

    @functools.cache
    def zones() -> frozenset[publishing.Zone]:
        try:
            origin = hook.settings.endpoint.origin
        except (WaveSpeedError, AirflowNotFoundException):
            return publishing.no_zones()
        return publishing.zones_of(urlsplit(origin).hostname or "")

    return zones


def current_links(hook: SeedreamHook, prediction_id: str) -> Sequence[str] | None:
    """A prediction's links as the API gives them now, where earlier ones have expired; None where there are none to be had."""
    try:
        return hook.prediction(prediction_id).outputs
    except (WaveSpeedError, AirflowNotFoundException) as error:
        log.warning("Prediction %s: no new links are to be had: %s", prediction_id, error)
        return None


def deployment() -> str | None:
    """A digest of this deployment's id; None outside of a task, and blank where it cannot be read now.

    Nothing else that a worker sees on every version of Airflow is the same for all workers of a deployment and through
    every clear, and differs between deployments: times of the run change with a clear, URLs may be left at their
    defaults, and the database is out of a worker's reach.
    """
    try:
        # Airflow says "not found" where it could not ask, too: an id that exists must not be replaced for that.
        found = Variable.get(VARIABLE, None) or Variable.get(VARIABLE, None)
        if not found:
            Variable.set(VARIABLE, secrets.token_hex(16), description=_DESCRIPTION)
            time.sleep(_SETTLED_AFTER)
            found = Variable.get(VARIABLE, None)
    except ImportError:  # no task runs here, so there is no supervisor to ask
        log.debug("Outside of a task the deployment is not known.")
        return None
    except Exception as error:  # noqa: BLE001 - each version of Airflow has its own; a paid set is published all the same
        log.warning(
            "Variable %s could not be read or written (%s): whether earlier sets are this deployment's is not known.",
            VARIABLE,
            type(error).__name__,
        )
        return ""
    return "" if not found else hashlib.sha256(f"seedream {found}".encode()).hexdigest()[:32]
