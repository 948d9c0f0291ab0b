"""Stand-ins for object stores, on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.ports import free_ports


@contextmanager
def google_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The file system of a stand-in for Google Cloud Storage that has one bucket, ``bucket``."""
    # Else gcsfs asks by gRPC, which the stand-in does not speak, what kind of bucket it is.
    monkeypatch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    from gcp_storage_emulator.server import create_server
    from gcsfs import GCSFileSystem

    (port,) = free_ports(1)
    server = create_server("127.0.0.1", port, in_memory=True, default_bucket="bucket")
    server.start()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
    yield GCSFileSystem(token="anon", endpoint_url=f"http://127.0.0.1:{port}", project="p")
    server.stop()
