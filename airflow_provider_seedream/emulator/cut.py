"""Answers that break off: what the network does to a server's good intentions."""

from __future__ import annotations

from aiohttp import web


def disconnect(request: web.Request) -> web.Response:
    """Cut the TCP connection. The response returned goes nowhere."""
    if request.transport is not None:
        request.transport.close()
    return web.Response(status=500)


async def half_of(request: web.Request, answer: web.Response, share: float = 0.5) -> web.StreamResponse:
    """Announce the whole of an answer, send a share of it, then cut the connection."""
    whole = answer.body if isinstance(answer.body, bytes) else b""
    part = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.headers["Content-Type"]})
    part.content_length = len(whole)
    await part.prepare(request)
    await part.write(whole[: int(len(whole) * share)])
    disconnect(request)
    return part
