"""The app that serves the pages of the gallery. Only the API server builds it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.staticfiles import StaticFiles

PAGES = Path(__file__).with_name("static")

HEADERS = {
    # What Airflow gives is text and never markup; images are wherever the vendor or a store keeps them.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' https: http:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # Asked for again each time, and answered by 304 where nothing changed: a new version is seen at once.
    "Cache-Control": "no-cache",
}


@cache
def gallery_app() -> FastAPI:
    """The static pages, with a policy that allows them nothing but Airflow's API and images.

    No route gives data, so none asks who is there.
    """
    app = FastAPI(title="Seedream gallery", docs_url=None, redoc_url=None, openapi_url=None)

    @app.middleware("http")
    async def add_headers(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await call_next(request)
        response.headers.update(HEADERS)
        return response

    app.mount("/", StaticFiles(directory=PAGES))
    return app
