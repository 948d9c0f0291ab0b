#!/usr/bin/env bash
# What requests gives where a server answers 413 after the headers of an upload and closes: over plain HTTP, and over TLS.
# Needs python3 (3.11 to 3.13) with venv, and openssl; no network but the package index; half a minute.
set -euo pipefail
PYTHON=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$PYTHON" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check requests==2.34.2 urllib3==2.7.0
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost \
    -keyout "$folder/key.pem" -out "$folder/cert.pem" 2>/dev/null
for name in $(env | cut -d= -f1 | grep -iE '^(https?|all|no)_proxy$|_CA_BUNDLE$' || true); do unset "$name"; done
cat > "$folder/early.py" <<'PYTHON'
import contextlib
import importlib.metadata
import socket
import ssl
import sys
import threading

import requests

cert, key = sys.argv[1:]
TRIES = 6
BODY = b"x" * 24_000_000  # an image of this size is nothing unusual
ANSWER = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(cert, key)


def serve(listener, tls):
    while True:
        connection, _ = listener.accept()
        with contextlib.suppress(OSError):
            connection = context.wrap_socket(connection, server_side=True) if tls else connection
            head = b""
            while b"\r\n\r\n" not in head:
                head += connection.recv(4096)
            connection.sendall(ANSWER)
        connection.close()


def outcome(url):
    try:
        return f"status {requests.post(url, data=BODY, verify=cert, timeout=20).status_code}"
    except requests.RequestException as error:
        return type(error).__name__


seen = {}
for scheme in ("http", "https"):
    listener = socket.create_server(("localhost", 0))
    threading.Thread(target=serve, args=(listener, scheme == "https"), daemon=True).start()
    url = f"{scheme}://localhost:{listener.getsockname()[1]}/"
    seen[scheme] = [outcome(url) for _ in range(TRIES)]
print("versions:", *(f"{name} {importlib.metadata.version(name)}" for name in ("requests", "urllib3")), ssl.OPENSSL_VERSION)
print("the server answers 413 after the headers and closes; requests gives", seen)
assert set(seen["http"]) == {"status 413"}, seen
assert not any(each.startswith("status") for each in seen["https"]), seen
print("Over plain HTTP the answer is read. Over TLS it is lost: the caller sees a failed connection, which looks as if it")
print("were worth another upload. urllib3 reads the answer after a broken pipe, and not after an error of the TLS layer.")
PYTHON
"$folder/venv/bin/python" "$folder/early.py" "$folder/cert.pem" "$folder/key.pem"
