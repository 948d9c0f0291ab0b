"""A process that publishes in children of its own, each of which kills itself (-9) before a given operation.

Started once, because importing Airflow takes longer than a publish: ``python -m tests.publish_and_die`` reads one job
as JSON in each line, and answers with the child's exit code in a line.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any

# The rest is imported here so that no child has to.
import jsonschema  # noqa: F401
import requests.adapters  # noqa: F401
import tenacity  # noqa: F401
from airflow.providers.common.compat.sdk import ObjectStoragePath
from PIL import Image

from airflow_provider_seedream.publishing import manifest
from airflow_provider_seedream.publishing.download import _Attempt
from airflow_provider_seedream.publishing.publish import publish
from airflow_provider_seedream.wavespeed.image_set import ImageSet

OPERATIONS = frozenset({"os.rename", "os.remove", "os.link", "os.mkdir", "socket.connect", "tests.piece"})
"""Audit events that change the folder or the network, and each piece of a picture that arrives."""


def main() -> None:
    Image.init()
    ObjectStoragePath("file:///").fs  # noqa: B018
    manifest.schema()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # logs
    for line in sys.stdin:
        child = os.fork()
        if not child:
            code = 1
            try:
                _publish(json.loads(line))
                code = 0
            finally:
                os._exit(code)
        answers.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")


def _publish(job: dict[str, Any]) -> None:
    left = job["operations"]
    pieces = _Attempt._pieces

    def heard(self: _Attempt, response: Any) -> Iterator[bytes]:
        for piece in pieces(self, response):
            sys.audit("tests.piece")
            yield piece

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        if event in OPERATIONS or (event == "open" and _writes(job["folder"], *arguments)):
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1

    _Attempt._pieces = heard  # type: ignore[method-assign]
    folder = ObjectStoragePath(f"file://{job['folder']}")
    image_set = ImageSet.from_json(job["image_set"])
    sys.addaudithook(count)
    publish(image_set, folder, **job["options"])


def _writes(folder: str, path: object, mode: object, flags: int) -> bool:
    inside = isinstance(path, str | os.PathLike) and os.fspath(path).startswith(folder)
    return inside and bool(flags & (os.O_WRONLY | os.O_RDWR))


if __name__ == "__main__":
    main()
