"""Whatever bad bytes come instead of a picture: refused with a clear error, and nothing of them is left."""

from __future__ import annotations

import socket
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_seedream.publishing.download import DownloadLimits
from airflow_provider_seedream.publishing.errors import ImageError, ImageFault
from airflow_provider_seedream.publishing.publish import publish
from airflow_provider_seedream.wavespeed.image_set import GeneratedImage, ImageSet
from tests.cdn import Cdn, Serve, body, far_cdn, picture, redirect

GOOD = picture("PNG")


def png(width: int, height: int, inflated: int) -> bytes:
    """A PNG of black pixels that announces one size and inflates to another."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    squeezer = zlib.compressobj(9)
    pixels = b"".join(squeezer.compress(bytes(2**20)) for _ in range(inflated // 2**20)) + squeezer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def cut(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(GOOD)))
    handler.end_headers()
    handler.wfile.write(GOOD[:4000])
    handler.wfile.flush()
    handler.connection.shutdown(socket.SHUT_RDWR)


def endless(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Connection", "close")
    handler.end_headers()
    handler.wfile.write(GOOD[:100])
    while True:
        handler.wfile.write(bytes(65536))


BAD: dict[str, tuple[Serve, ImageFault, str]] = {
    "cut off": (cut, ImageFault.TRUNCATED, "broke off"),
    "truncated": (body(GOOD[:-20]), ImageFault.TRUNCATED, "ends in the middle"),
    "one wrong byte": (
        body(GOOD[:99] + b"?" + GOOD[100:]),
        ImageFault.DAMAGED,
        "pixel data cannot be inflated",
    ),
    "another type": (body(picture("GIF"), Content_Type="image/png"), ImageFault.NOT_AN_IMAGE, "GIF8"),
    "another type than asked for": (body(picture("JPEG")), ImageFault.WRONG_FORMAT, "image/jpeg of 64x48"),
    "a page": (
        body(b"<!doctype html><title>Sign in</title>", Content_Type="text/html"),
        ImageFault.NOT_AN_IMAGE,
        "text/html starting",
    ),
    "nothing": (body(b""), ImageFault.TRUNCATED, "got nothing: it is empty"),
    "wrong size": (body(picture("PNG", width=65)), ImageFault.WRONG_SIZE, "65x48"),
    "endless": (endless, ImageFault.TOO_LARGE, "more than 1,048,576 bytes"),
    "bomb in a small frame": (body(png(64, 48, 2**25)), ImageFault.DAMAGED, "more than its pixels"),
    "bomb in a large frame": (
        body(png(50_000, 50_000, 2**20)),
        ImageFault.TOO_LARGE,
        "50000x50000 pixels, and 67,108,864 are the most",
    ),
    "packed": (
        body(b"packed?" + GOOD, Content_Encoding="gzip"),
        ImageFault.TRUNCATED,
        "not packed as its Content-Encoding",
    ),
    "a private address": (
        redirect("https://10.0.0.1/a?Signature=s"),
        ImageFault.UNSAFE_ADDRESS,
        "one to 10.0.0.1",
    ),
    "a private address in disguise": (
        redirect("https://[::ffff:169.254.169.254]/a"),
        ImageFault.UNSAFE_ADDRESS,
        "one to ::ffff:169.254.169.254",
    ),
    "a name of a private address": (
        lambda handler: redirect(f"https://elsewhere.test:{handler.server.server_port}/good")(handler),  # type: ignore[attr-defined]
        ImageFault.UNSAFE_ADDRESS,
        "one to 127.0.0.1",
    ),
}


@pytest.fixture
def cdn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cdn]:
    with far_cdn(tmp_path, monkeypatch) as server:
        server.paths["/good"] = body(GOOD)
        yield server


@pytest.fixture(params=["local", "object store"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A folder, with a way to list every file that a publish left, temporary ones included."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    if request.param == "local":
        out = tmp_path / "out"
        yield (
            ObjectStoragePath(f"file://{out}"),
            lambda: sorted(each.name for each in (*out.iterdir(), *temporary.iterdir())),
        )
        return
    from fsspec.implementations.memory import MemoryFileSystem

    try:
        from airflow.sdk.io import attach
    except ImportError:
        from airflow.io.store import attach

    store = MemoryFileSystem()
    attach("memory", fs=store)
    yield (
        ObjectStoragePath("memory://bucket/story"),
        lambda: sorted(
            [Path(each).name for each in store.ls("/bucket/story", detail=False)]
            + [each.name for each in temporary.iterdir()]
        ),
    )
    store.rm("/bucket", recursive=True)


@pytest.mark.parametrize("case", BAD)
def test_bad_bytes_are_refused_with_a_clear_error_and_nothing_of_them_is_left(
    cdn: Cdn, folder: tuple[Any, Callable[[], list[str]]], case: str
) -> None:
    serve, fault, told = BAD[case]
    cdn.paths["/bad"] = serve
    links = (GeneratedImage(f"{cdn.url}/good"), GeneratedImage(f"{cdn.url}/bad?Signature=canary"))
    image_set = ImageSet("p1", "m", "two foxes", "64*48", 2, links, 0.07)
    target, left = folder
    check_size: Any = case == "bomb in a large frame" or "fail"
    limits = DownloadLimits(max_bytes=2**20, attempts=1)
    with pytest.raises(ImageError) as caught:
        publish(image_set, target, output_format="png", check_size=check_size, limits=limits)
    assert caught.value.fault is fault
    assert told in str(caught.value)
    assert str(caught.value).startswith("Image at cdn.test/bad: expected ")
    assert "canary" not in str(caught.value)
    assert left() == ["01-picture.png", "manifest.json.partial"]
