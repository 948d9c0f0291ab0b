"""Reading what arrives: the key, the JSON body, the fields of a list request."""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from airflow_provider_seedream.emulator.wire import failure


class RefusedError(Exception):
    """A request that is answered with an error, carried up to the route that answers.

    :param answer: what to send.
    """

    def __init__(self, answer: web.Response) -> None:
        super().__init__(answer.status)
        self.answer = answer


def authorized(request: web.Request, api_key: str) -> bool:
    """Whether the request carries exactly ``Bearer <key>`` (API reference 1)."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    return scheme == "Bearer" and hmac.compare_digest(key.encode(), api_key.encode())


async def json_object(request: web.Request) -> dict[str, Any]:
    """The body as a JSON object; an empty body counts as an empty object.

    :raises RefusedError: when it is none.
    """
    raw = await request.read()
    try:
        body = json.loads(raw) if raw else {}
    except ValueError:
        raise RefusedError(failure(400, "request body is not valid JSON")) from None
    if not isinstance(body, dict):
        raise RefusedError(failure(400, "request body must be a JSON object"))
    return body


def page_of(body: Mapping[str, Any], *, default_size: int | None) -> slice:
    """The part of a list that ``page`` and ``page_size`` (1-100) ask for.

    :param default_size: where the page may be left out; None: both are required (API reference 4).
    :raises RefusedError: for a page that is missing or out of range.
    """
    page = body.get("page", 1 if default_size else None)
    size = body.get("page_size", default_size)
    if type(page) is not int or page < 1:
        raise RefusedError(failure(400, "page is required and must be an integer from 1"))
    if type(size) is not int or not 1 <= size <= 100:
        raise RefusedError(failure(400, "page_size is required and must be an integer from 1 to 100"))
    return slice((page - 1) * size, page * size)
