"""The gallery in Airflow's UI. The app that serves it loads at first use: FastAPI costs other processes than the API server
seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_seedream._lazy import attach

if TYPE_CHECKING:
    from airflow_provider_seedream.plugins.app import gallery_app

__all__ = ["gallery_app"]

__getattr__, __dir__ = attach(__name__, {"gallery_app": "app"})
