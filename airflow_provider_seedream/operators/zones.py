"""Where images may be fetched from besides the public internet: where the connection's own host is."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from airflow.providers.common.compat.sdk import AirflowNotFoundException

from airflow_provider_seedream.wavespeed.errors import WaveSpeedError

if TYPE_CHECKING:
    from airflow_provider_seedream.hooks.seedream import SeedreamHook
    from airflow_provider_seedream.publishing.addresses import Zone, Zones


def zones_of_connection(hook: SeedreamHook) -> Zones:
    """The zones of the host that a connection names: the emulator is on this machine, a gateway in a private network.

    Asked only where a link leads to an address that is not public. Without a connection there are none.
    """

    @functools.cache
    def zones() -> frozenset[Zone]:
        from airflow_provider_seedream.publishing.addresses import no_zones, zones_of

        try:
            origin = hook.settings.endpoint.origin
        except (WaveSpeedError, AirflowNotFoundException):
            return no_zones()
        return zones_of(urlsplit(origin).hostname or "")

    return zones
