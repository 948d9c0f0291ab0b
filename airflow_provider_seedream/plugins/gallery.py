"""The gallery in Airflow's own UI: tabs of a task instance and of a DAG run, and a page in the navigation (Airflow 3.1+).

Every process of Airflow loads this module, so it only describes the views. The pages are static files, and their data
comes from Airflow's REST API with the rights of whoever looks.
"""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin

from airflow_provider_seedream import plugins

PREFIX = "/seedream"
"""Path of the pages, below the base path of Airflow."""


class _Apps:
    """``fastapi_apps``, made when the API server asks for it."""

    def __get__(self, instance: object, owner: type) -> list[dict[str, Any]]:
        return [{"app": plugins.gallery_app(), "url_prefix": PREFIX, "name": "Seedream gallery"}]


def _view(name: str, destination: str, route: str, *parameters: str) -> dict[str, str]:
    # Relative: the UI resolves it against the base path of Airflow.
    query = "&".join(f"{each}={{{each.upper()}}}" for each in parameters)
    return {
        "name": name,
        "icon": f"{PREFIX.lstrip('/')}/icon.svg",
        "icon_dark_mode": f"{PREFIX.lstrip('/')}/icon-dark.svg",
        "destination": destination,
        "url_route": route,
        "href": f"{PREFIX.lstrip('/')}/gallery.html?{query}".rstrip("?"),
    }


class SeedreamPlugin(AirflowPlugin):
    """Airflow finds it by the entry point ``seedream`` of the group ``airflow.plugins``."""

    name = "seedream"
    fastapi_apps = _Apps()
    external_views = [  # noqa: RUF012
        _view("Images", "task_instance", "seedream", "dag_id", "run_id", "task_id", "map_index"),
        _view("Images", "dag_run", "seedream_run", "dag_id", "run_id"),
        _view("Image sets", "nav", "seedream_sets"),
    ]
