"""The two ways of uploading a reference picture (API reference 10), and the way back out."""

from __future__ import annotations

import dataclasses
import uuid
from contextlib import ExitStack
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.web_request import FileField

from airflow_provider_seedream.emulator.requests_in import json_object
from airflow_provider_seedream.emulator.site import SITE
from airflow_provider_seedream.emulator.uploads import BIGGEST, PATH, Upload
from airflow_provider_seedream.emulator.wire import failure, success


def dead(request: web.Request, url: str) -> bool:
    """Whether no picture can be fetched: no URL, or one of this CDN without a file. Other hosts are taken on trust.

    So are ``data:`` URIs, which some clients send and no page documents (API reference 2.6).
    """
    site = request.app[SITE]
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return True
    if parts.scheme not in ("http", "https"):
        return parts.scheme != "data"
    if port != site.cdn_port or not parts.path.startswith(PATH):
        return False
    upload = site.uploads.get(parts.path.split("/")[2], site.clock.now() - site.settings.retention)
    return upload is None or upload.content is None


async def ticket(request: web.Request) -> web.Response:
    """``POST /api/v3/media/uploads``: where to PUT a file, and where it will be."""
    site = request.app[SITE]
    body = await json_object(request)
    filename, size = body.get("filename"), body.get("size")
    if not isinstance(filename, str) or not filename or type(size) is not int or size < 0:
        return failure(400, "filename and size are required")
    if size > BIGGEST:
        return failure(413, f"files larger than {BIGGEST} bytes are not accepted")
    kind = str(body.get("content_type") or "application/octet-stream")
    upload = Upload(uuid.uuid4().hex, filename.rpartition("/")[2], kind, site.clock.now())
    site.uploads.put(upload)
    url = site.cdn_origin(request) + upload.path
    instruction = {"method": "PUT", "url": url, "headers": {"Content-Type": kind}}
    return success({"download_url": url, "upload": instruction})


async def binary(request: web.Request) -> web.Response:
    """``POST /api/v3/media/upload/binary``: a form with the field ``file``."""
    site = request.app[SITE]
    try:
        form = await request.post()
    except web.HTTPRequestEntityTooLarge:
        return failure(413, f"files larger than {BIGGEST} bytes are not accepted")
    with ExitStack() as opened:
        for part in form.values():
            if isinstance(part, FileField):
                opened.callback(part.file.close)
        field = form.get("file")
        if not isinstance(field, FileField):
            return failure(400, "the form field 'file' is required")
        content = field.file.read()
    upload = Upload(uuid.uuid4().hex, field.filename, field.content_type, site.clock.now(), content)
    site.uploads.put(upload)
    return success(
        {
            "type": field.content_type.partition("/")[0],
            "download_url": site.cdn_origin(request) + upload.path,
            "filename": field.filename,
            "size": len(content),
        }
    )


async def receive(request: web.Request) -> web.Response:
    """``PUT`` on the CDN: the file of a ticket, without a key."""
    site = request.app[SITE]
    upload = site.uploads.get(request.match_info["upload_id"], site.clock.now() - site.settings.retention)
    if upload is None:
        return web.Response(status=403, text="<Error/>", content_type="application/xml")
    site.uploads.put(dataclasses.replace(upload, content=await request.read()))
    return web.Response()


async def send(request: web.Request) -> web.Response:
    """``GET`` on the CDN: the file again, until it expires."""
    site = request.app[SITE]
    upload = site.uploads.get(request.match_info["upload_id"], site.clock.now() - site.settings.retention)
    if upload is None or upload.content is None:
        return web.Response(status=404, text="<Error/>", content_type="application/xml")
    return web.Response(body=upload.content, content_type=upload.content_type)
