#!/usr/bin/env bash
# What a proxy that makes a tunnel to an HTTPS server hears of the headers of a client's session: requests, httpx and aiohttp.
# Needs python3 (3.11 to 3.13) with venv; no network but the package index; half a minute.
set -euo pipefail
PYTHON=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$PYTHON" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check requests==2.34.2 httpx==0.28.1 aiohttp==3.14.5
for name in $(env | cut -d= -f1 | grep -iE '^(https?|all|no)_proxy$' || true); do unset "$name"; done
cat > "$folder/heard.py" <<'PYTHON'
import asyncio
import contextlib
import importlib.metadata
import socket
import threading

import aiohttp
import httpx
import requests

HEADERS = {"Authorization": "Bearer for-the-server-alone", "X-Of-The-Session": "yes"}
URL = "https://api.example/balance"
heard = []


def refuse(listener):
    """A proxy that refuses each tunnel, and keeps what it was asked."""
    while True:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            asked = b""
            while b"\r\n\r\n" not in asked:
                asked += connection.recv(4096)
            heard.append(asked.decode().lower())
            connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")


listener = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=refuse, args=(listener,), daemon=True).start()
proxy = f"http://127.0.0.1:{listener.getsockname()[1]}"


def by_requests():
    with requests.Session() as session:
        session.headers.update(HEADERS)
        session.get(URL, proxies={"https": proxy}, timeout=10)


def by_httpx():
    with httpx.Client(headers=HEADERS, proxy=proxy) as client:
        client.get(URL)


def by_aiohttp(of_the_session, of_the_request):
    async def get():
        async with aiohttp.ClientSession(headers=of_the_session) as session:
            await session.get(URL, proxy=proxy, headers=of_the_request)

    asyncio.run(get())


ways = {
    "requests, header of the session": by_requests,
    "httpx, header of the client": by_httpx,
    "aiohttp, header of the session": lambda: by_aiohttp(HEADERS, {}),
    "aiohttp, header of the request": lambda: by_aiohttp({}, HEADERS),
}
seen = {}
for way, get in ways.items():
    heard.clear()
    with contextlib.suppress(requests.RequestException, httpx.HTTPError, aiohttp.ClientError):
        get()
    (asked,) = heard
    assert asked.startswith("connect api.example:443"), asked
    lines = asked.split("\r\n")[1:]
    seen[way] = {
        "the key": any("for-the-server-alone" in line for line in lines),
        "as": next((line.partition(":")[0] for line in lines if "for-the-server-alone" in line), None),
        "the other header": any(line.startswith("x-of-the-session") for line in lines),
    }
print("versions:", *(f"{name} {importlib.metadata.version(name)}" for name in ("requests", "httpx", "aiohttp")))
for way, what in seen.items():
    print(f"{way}: the proxy hears {what}")
assert seen.pop("aiohttp, header of the session") == {
    "the key": True, "as": "proxy-authorization", "the other header": True,
}, "aiohttp gives the proxy no header of the session any more"
assert all(what == {"the key": False, "as": None, "the other header": False} for what in seen.values()), seen
print("aiohttp sends the headers of a session to the proxy as well, in clear, and Authorization as Proxy-Authorization. The same")
print("headers given with the request go to the server alone; requests and httpx keep both apart.")
PYTHON
"$folder/venv/bin/python" "$folder/heard.py"
