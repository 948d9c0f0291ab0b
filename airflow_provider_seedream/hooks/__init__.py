"""The hook; how it reads its connection is loaded at first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_seedream._lazy import attach

if TYPE_CHECKING:
    from airflow_provider_seedream.hooks.settings import read_settings, read_settings_in_loop

__all__ = ["read_settings", "read_settings_in_loop"]

__getattr__, __dir__ = attach(__name__, {"read_settings": "settings", "read_settings_in_loop": "settings"})
