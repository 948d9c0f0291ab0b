"""A CDN of the tests' own: what it serves is set by path, what it was asked is kept."""

from __future__ import annotations

import datetime as dt
import io
import ipaddress
import random
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import pytest
from PIL import Image

Serve = Callable[[BaseHTTPRequestHandler], None]


def picture(kind: str = "JPEG", width: int = 64, height: int = 48, seed: int = 0, **options: Any) -> bytes:
    """A real picture, always the same for the same arguments."""
    noise = random.Random(f"{seed} {width} {height}").randbytes(width * height * 3)
    out = io.BytesIO()
    Image.frombytes("RGB", (width, height), noise).save(out, kind, **options)
    return out.getvalue()


def body(data: bytes, status: int = 200, **headers: str) -> Serve:
    """Serve these bytes, with a length."""

    def serve(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(data)

    return serve


def redirect(location: str, status: int = 302) -> Serve:
    """Send the client elsewhere."""
    return body(b"", status, Location=location)


def in_turn(*serves: Serve) -> Serve:
    """Another answer to each request; the last one stays."""
    left = list(serves)
    return lambda handler: (left.pop(0) if len(left) > 1 else left[0])(handler)


class Cdn:
    """Serves on loopback until the ``with`` block ends.

    :param tls: serve https with this context.
    """

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[tuple[str, Mapping[str, str]]] = []
        self.paths: dict[str, Serve] = {}
        cdn = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                cdn.requests.append((self.path, dict(self.headers)))
                cdn.paths.get(self.path.partition("?")[0], body(b"gone", 404))(self)

            def log_message(self, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, request: object, client_address: object) -> None:
                pass  # clients that hang up are the point of some tests

        self._server = Server(("127.0.0.1", 0), Handler)
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def asked(self, path: str) -> int:
        """How often a path was asked for."""
        return sum(asked.partition("?")[0] == path for asked, _ in self.requests)


@contextmanager
def far_cdn(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cdn]:
    """A CDN reached by the public names ``cdn.test`` and ``elsewhere.test``, over TLS."""
    file = certificate(folder, "cdn.test", "elsewhere.test")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(file)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(file))
    resolve = socket.getaddrinfo

    def names(host: str, *args: Any, **kwargs: Any) -> Any:
        return resolve("127.0.0.1" if str(host).endswith(".test") else host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", names)
    with Cdn(tls=tls) as server:
        server.url = f"https://cdn.test:{server.port}"
        yield server


def certificate(folder: Path, *names: str) -> Path:
    """A certificate that signs itself, with its key, in one file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    now = dt.datetime.now(dt.UTC)
    alternatives = [
        *(x509.DNSName(each) for each in names),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    ]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    path.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return path
