"""The check that the http provider's event trigger wants as a dotted path, and imports again for each poll."""

from __future__ import annotations

import requests


async def is_over(response: requests.Response) -> bool:
    """Whether the answer says that the job is over."""
    return bool(response.json()["status"] == "completed")
