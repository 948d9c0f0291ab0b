"""What publishing costs: its throughput beside curl's, and its memory for the largest set.

``python -m benchmarks.publish``; images come from a server on this machine, in a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import io
import multiprocessing as mp
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

SETS, IMAGES, CONCURRENCY = 100, 4, 4
LARGEST = 15
MADE: dict[str, dict[str, Any]] = {
    "images alone": {},
    "with page, renditions and contact sheet": {
        "storyboard_page": True,
        "renditions": {"webp": [640, 1280]},
        "contact_sheet": True,
    },
}


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--sets", type=int, default=SETS)
    arguments.add_argument("--rounds", type=int, default=3)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-publish-") as folder:
        for name in [name for name in os.environ if name.startswith("AIRFLOW_")]:
            del os.environ[name]  # another Airflow's database and connections
        os.environ["AIRFLOW_HOME"] = f"{folder}/airflow"
        os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "ERROR"
        small, large = _image(2048, "JPEG"), _image(4096, "PNG")
        here, there = mp.get_context("spawn").Pipe()
        server = mp.get_context("spawn").Process(
            target=_serve, args=(there, {"small.jpg": small, "large.png": large}), daemon=True
        )
        server.start()
        url = f"http://127.0.0.1:{here.recv()}"
        print(f"{given.sets} sets of {IMAGES} JPEGs of 2048x2048, {len(small) / 1e6:.2f} MB each:")
        _throughput(url, Path(folder), given.sets, given.rounds, decoding=False)
        print(f"The same with Pillow, which decodes each image; {max(1, given.sets // 10)} sets:")
        _throughput(url, Path(folder), max(1, given.sets // 10), 1, decoding=True)
        print(f"One set of {LARGEST} PNGs of 4096x4096, {len(large) / 1e6:.1f} MB each:")
        for name, options in MADE.items():
            before, peak, seconds = _apart(_publish_largest, url, f"{folder}/{len(name)}", options)
            print(f"  {name}: {peak - before:.0f} MB above the {before:.0f} MB of Airflow; {seconds:.1f} s")
        server.terminate()


def _throughput(url: str, folder: Path, sets: int, rounds: int, *, decoding: bool) -> None:
    ratios = []
    for each in range(rounds):
        curl = _curl(url, folder / f"curl-{each}", sets * IMAGES)
        ours = _apart(_publish_many, url, str(folder / f"ours-{each}"), sets, decoding)
        ratios.append(ours / curl)
        rate = sets * IMAGES / ours
        print(
            f"  curl --parallel {curl:.2f} s, publish {ours:.2f} s ({rate:.0f} images/s): {ours / curl:.2f}x"
        )
        for name in ("curl", "ours"):
            shutil.rmtree(folder / f"{name}-{each}")
    print(
        f"  median ratio: {sorted(ratios)[len(ratios) // 2]:.2f}x the time of curl, digests and checks included"
    )


def _curl(url: str, folder: Path, count: int) -> float:
    """Seconds that curl takes for as many images, as many at a time."""
    folder.mkdir()
    config = folder / "config"
    config.write_text(
        "".join(f'url = "{url}/{each}/small.jpg"\noutput = "{folder}/{each}.jpg"\n' for each in range(count))
    )
    command = [
        "curl",
        "--silent",
        "--show-error",
        "--fail",
        "--parallel",
        "--parallel-max",
        str(CONCURRENCY),
        "--no-progress-meter",
    ]
    began = time.monotonic()
    subprocess.run([*command, "--config", str(config)], check=True)
    return time.monotonic() - began


def _apart(work: Any, *arguments: Any) -> Any:
    """Run a function in a fresh process, whose memory is its own."""
    with ProcessPoolExecutor(1, mp_context=mp.get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def _publish_many(url: str, folder: str, sets: int, decoding: bool) -> float:
    if not decoding:
        sys.modules["PIL"] = None  # type: ignore[assignment]  # as where the extra is not installed
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    from airflow_provider_seedream.publishing.publish import publish

    _publish_once(url, f"{folder}-first")  # imports
    shutil.rmtree(f"{folder}-first")
    began = time.monotonic()
    for each in range(sets):
        links = [f"{url}/{each * IMAGES + index}/small.jpg" for index in range(IMAGES)]
        publish(
            _image_set(f"p{each}", links, 2048),
            ObjectStoragePath(f"file://{folder}/{each}"),
            concurrency=CONCURRENCY,
        )
    return time.monotonic() - began


def _publish_largest(url: str, folder: str, options: Mapping[str, Any]) -> tuple[float, float, float]:
    """Megabytes before, megabytes at the most, seconds."""
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    from airflow_provider_seedream.publishing.publish import publish

    _publish_once(url, f"{folder}-first")
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts from here
    before = _memory("VmRSS")
    links = [f"{url}/{index}/large.png" for index in range(LARGEST)]
    began = time.monotonic()
    publish(_image_set("p", links, 4096), ObjectStoragePath(f"file://{folder}"), **options)
    seconds = time.monotonic() - began
    shutil.rmtree(folder)
    return before, _memory("VmHWM"), seconds


def _publish_once(url: str, folder: str) -> None:
    """Publish something small, which imports all that the measured publish needs."""
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    from airflow_provider_seedream.publishing.publish import publish

    links = [f"{url}/0/small.jpg"]
    publish(_image_set("first", links, 2048), ObjectStoragePath(f"file://{folder}"))


def _image_set(prediction_id: str, links: list[str], side: int) -> Any:
    from airflow_provider_seedream.wavespeed.image_set import GeneratedImage, ImageSet

    images = tuple(GeneratedImage(link) for link in links)
    return ImageSet(prediction_id, "m", "a fox", f"{side}*{side}", len(links), images, 0.035 * len(links))


def _memory(line: str) -> float:
    """Megabytes, from the kernel's account of this process."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{line}:")[2].split()[0]) / 1024


def _image(side: int, output_format: str) -> bytes:
    """An image that compresses about as a drawn one does."""
    from PIL import Image

    noise = Image.frombytes("RGB", (side // 4, side // 4), random.Random(0).randbytes(3 * (side // 4) ** 2))
    out = io.BytesIO()
    noise.resize((side, side), Image.Resampling.BICUBIC).save(out, output_format)
    return out.getvalue()


def _serve(pipe: Connection, files: Mapping[str, bytes]) -> None:
    from aiohttp import web

    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=files[request.match_info["file"]])

    async def run() -> None:
        app = web.Application()
        app.router.add_get("/{number}/{file}", answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        pipe.send(runner.addresses[0][1])
        await asyncio.Event().wait()

    asyncio.run(run())


if __name__ == "__main__":
    main()
