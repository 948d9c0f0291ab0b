#!/usr/bin/env bash
# A TLS handshake that never ends, met by requests and by aiohttp: which error, after how long, and does a request leave?
# Needs python3 with venv; loopback only; about half a minute.
set -euo pipefail
PYTHON=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$PYTHON" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    requests==2.34.2 urllib3==2.6.3 aiohttp==3.14.5
cat > "$folder/try.py" <<'PYTHON'
import asyncio, importlib.metadata, socket, threading, time

import aiohttp, requests

got = []
listening = socket.create_server(("127.0.0.1", 0))
port = listening.getsockname()[1]


def serve():
    while True:
        visitor, _ = listening.accept()
        threading.Thread(target=listen, args=(visitor,), daemon=True).start()


def listen(visitor):
    # Takes the client's first handshake record, and says nothing.
    got.append(visitor.recv(65536)[:1])
    time.sleep(20)


threading.Thread(target=serve, daemon=True).start()
url = f"https://127.0.0.1:{port}/"


def with_requests():
    requests.post(url, json={}, timeout=(1.5, 8))  # 1.5 s to connect, 8 s to read


def with_aiohttp():
    async def post():
        timeout = aiohttp.ClientTimeout(total=8, sock_connect=1.5)
        async with aiohttp.ClientSession(timeout=timeout) as session, session.post(url, json={}):
            pass

    asyncio.run(post())


print("versions:", *(f"{name} {importlib.metadata.version(name)}" for name in ("requests", "urllib3", "aiohttp")))
seen = {}
for name, send in (("requests", with_requests), ("aiohttp", with_aiohttp)):
    began = time.monotonic()
    try:
        send()
    except Exception as error:
        seen[name] = (type(error).__name__, round(time.monotonic() - began))
    print(f"{name}: {seen.get(name)}")
print("first byte that the server saw of each connection (0x16 is a handshake, no request):", got)
expected = {"requests": ("ReadTimeout", 2), "aiohttp": ("ConnectionTimeoutError", 2)}
assert got == [b"\x16", b"\x16"], got
assert {name: error for name, (error, _) in seen.items()} == {name: error for name, (error, _) in expected.items()}, seen
assert all(seconds < 5 for _, seconds in seen.values()), seen
print("requests says ReadTimeout, after the time that was allowed for connecting, though no request ever left.")
print("aiohttp says ConnectionTimeoutError. So a ReadTimeout of requests does not say that a server may have acted.")
PYTHON
"$folder/venv/bin/python" "$folder/try.py"
