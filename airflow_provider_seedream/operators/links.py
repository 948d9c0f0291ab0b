"""Buttons on a task instance's page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from airflow.providers.common.compat.sdk import BaseOperatorLink, XCom


class PublishedLink(BaseOperatorLink):
    """Leads to what a task published, where the web has an address for it: its storyboard page, else its folder.

    Airflow 3 asks on the worker, at the end of a try, and keeps the answer; Airflow 2 asks on its web server.
    """

    name = "Published images"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """The address, or an empty text, which shows no button.

        :param operator: what ran, or, in Airflow 2, its description.
        :param ti_key: the task instance.
        """
        if hasattr(operator, "published_to"):
            return address_of(operator.published_to)
        return address_of(XCom.get_value(key="return_value", ti_key=ti_key))


def address_of(result: Mapping[str, Any] | None) -> str:
    """Where a browser finds what a publishing task gave as its result; an empty text for stores without such an address.

    A bucket of Google has its place in Google's console, which asks people to sign in. Which address another store has,
    its URL does not say: ``s3://`` may be any provider's.
    """
    if not result:
        return ""
    page, folder = result.get("storyboard_page"), str(result.get("path") or "")
    for url in (page, folder):
        if isinstance(url, str) and url.startswith(("https://", "http://")):
            return url
    for scheme in ("gs://", "gcs://"):
        if folder.startswith(scheme):
            return f"https://console.cloud.google.com/storage/browser/{quote(folder.removeprefix(scheme))}"
    return ""
