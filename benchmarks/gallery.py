"""What the gallery costs a browser: the tab of a task with 3 image sets, and of one with 200, in a whole Airflow that runs
beside it on the same machine.

``python -m benchmarks.gallery``; needs Chromium. The image sets are made up, as XComs of real mapped task instances; each image
is a file of the size that the API delivers, which a server on this machine sends.
"""

from __future__ import annotations

import argparse
import multiprocessing as mp
import os
import statistics
import sys
import tempfile
import time
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.chromium import Page, chromium
from tests.standalone.rest import Airflow, Run
from tests.standalone.standalone import Standalone

FEW, MANY = 3, 200
DAG = '''
import datetime as dt
from airflow.sdk import DAG, task

with DAG("sets_{count}", schedule=None, max_active_tasks=8):

    @task(max_active_tis_per_dagrun=8)
    def draw(place, **context):
        """What SeedreamSequentialOperator leaves behind."""
        now = dt.datetime.now(dt.timezone.utc)
        scenes = ("A fox wakes in deep snow", "The fox meets an owl", "Both sleep by the fire")
        ordered = {{
            "prediction_id": f"{{place:032x}}", "model": "bytedance/seedream-v5.0-lite/sequential",
            "prompt": "3 images. " + " ".join(
                f"{{word}}, {{scene}}." for word, scene in zip(("First", "Second", "Third"), scenes)),
            "size": "2848*1600", "requested": 3, "images": [], "missing": [], "cost_usd": 0.105, "inference_ms": 4800,
            "submitted_at": (now - dt.timedelta(seconds=20)).isoformat(), "completed_at": now.isoformat(),
        }}
        images = [
            {{"url": f"{images}/{{number}}.jpg?set={{place}}", "flagged": False, "index": number}} for number in (1, 2, 3)]
        pushed = {{"prediction_id": ordered["prediction_id"], "spent_usd": 0.105, "ordered_image_set": ordered,
            "image_urls": [image["url"] for image in images]}}
        for key, value in pushed.items():
            context["ti"].xcom_push(key=key, value=value)
        return {{**ordered, "images": images}}

    draw.expand(place=list(range({count})))
'''
FRAME = "document.querySelector('iframe')?.contentDocument"
TAB = "document.querySelector('a[href$=\"/plugin/seedream\"]')"
FIRST_IMAGE = f"""new Promise(done => {{
    const began = performance.now();
    {TAB}.click();
    const look = () => [...({FRAME}?.images ?? [])].some(image => image.complete && image.naturalWidth)
        ? requestAnimationFrame(() => done(performance.now() - began)) : requestAnimationFrame(look);
    look();
}})"""
SCROLL = f"""new Promise(done => {{
    const inner = document.querySelector('iframe').contentWindow, page = {FRAME}.documentElement, frames = [];
    const began = performance.now(), far = page.scrollHeight - inner.innerHeight, lasts = Math.min(10, far / 1500) * 1000;
    let before = began;
    const step = now => {{
        frames.push(now - before);
        before = now;
        inner.scrollTo(0, far * Math.min(1, (now - began) / lasts));
        now - began < lasts ? inner.requestAnimationFrame(step) : done({{frames: frames.slice(1), far}});
    }};
    inner.requestAnimationFrame(step);
}})"""


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--sets", type=int, default=MANY)
    arguments.add_argument("--rounds", type=int, default=5)
    given = arguments.parse_args()
    here, there = mp.get_context("spawn").Pipe()
    server = mp.get_context("spawn").Process(target=_serve, args=(there,), daemon=True)
    server.start()
    images = f"http://127.0.0.1:{here.recv()}"
    with tempfile.TemporaryDirectory(prefix="bench-gallery-") as folder:
        files = []
        for count in (FEW, given.sets):
            files.append(Path(folder) / f"sets_{count}.py")
            files[-1].write_text(DAG.format(count=count, images=images))
        standalone = Standalone(Path(folder) / "home", dag_files=files, env={})
        print("Starting Airflow, and running the tasks: some minutes", flush=True)
        with standalone.running():
            airflow = Airflow(standalone)
            runs = {count: airflow.trigger(f"sets_{count}") for count in (FEW, given.sets)}
            for run in runs.values():
                assert run.wait(timeout=1200) == "success", run.states()
            with chromium(Path(folder) / "chromium") as page:
                page.call("Network.setCookie", name="_token", value=airflow.token, url=standalone.url)
                page.emulate(width=1280)
                _report(
                    {
                        count: _measured(page, standalone, run, count, given.rounds)
                        for count, run in runs.items()
                    }
                )
            airflow.close()


def _measured(page: Page, standalone: Standalone, run: Run, count: int, rounds: int) -> dict[str, float]:
    """Medians of some rounds; before the first, the tab is opened once, so that caches are as warm as on a second visit."""
    taken = [_round(page, standalone, run, count) for _ in range(rounds + 1)][1:]
    return {name: statistics.median(each[name] for each in taken) for name in taken[0]}


def _round(page: Page, standalone: Standalone, run: Run, count: int) -> dict[str, float]:
    page.call("Page.navigate", url="about:blank")
    page.call("Page.navigate", url=f"{standalone.url}/dags/{run.dag_id}/runs/{quote(run.run_id)}/tasks/draw")
    page.wait_for(TAB)
    time.sleep(3)  # Airflow's own page is still asking
    page.events.clear()
    first = page.evaluate(FIRST_IMAGE)
    page.wait_for(f"!{FRAME}.querySelector('.card')?.ariaBusy")
    weight = _kilobytes(page)
    page.wait_for(f"{FRAME}.querySelectorAll('.card').length === {count}")
    scrolled = page.evaluate(SCROLL)
    frames = sorted(scrolled["frames"])
    return {
        "time to the first image, ms": first,
        "pages and scripts, kB": weight["/seedream/"],
        "answers of Airflow until then, kB": weight["/api/"],
        "height to scroll, pixels": scrolled["far"],
        "frames a second while scrolling": 1000 / statistics.fmean(frames),
        "frame, 95th percentile, ms": frames[int(len(frames) * 0.95)],
        "longest frame, ms": frames[-1],
    }


def _kilobytes(page: Page) -> dict[str, float]:
    """What has come over the wire for our page, by the beginning of the path."""
    urls: dict[str, tuple[str, str]] = {}
    for name, event in page.events:
        if name == "Network.requestWillBeSent":
            urls[event["requestId"]] = event["request"]["url"], event["documentURL"]
    found = {"/seedream/": 0.0, "/api/": 0.0}
    for name, event in page.events:
        url, document = urls.get(event.get("requestId", ""), ("", ""))
        if name == "Network.loadingFinished" and "/seedream/" in document:
            for part in found:
                found[part] += event["encodedDataLength"] / 1000 * (part in url.partition("?")[0])
    return found


def _report(found: dict[int, dict[str, float]]) -> None:
    few, many = found.values()
    counts = list(found)
    print(f"\n{'':36}{counts[0]:>6} sets{counts[1]:>8} sets   ratio")
    for name in few:
        ratio = many[name] / few[name] if few[name] else float("nan")
        print(f"{name:36}{few[name]:>11,.1f}{many[name]:>13,.1f}{ratio:>8.2f}")
    print(f"\nOn {os.cpu_count()} cores, with the Airflow beside it. {sys.version.split()[0]}")


def _serve(pipe: Connection) -> None:
    from airflow_provider_seedream.emulator.painter import Painter
    from airflow_provider_seedream.emulator.predictions import ImageSpec

    spec = partial(ImageSpec, "A fox, watercolour.", "A fox in snow", 1, width=2848, height=1600, form="jpeg")
    painted = {f"/{number}.jpg": Painter(spec(position=number)).paint() for number in (1, 2, 3)}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            image = painted[self.path.partition("?")[0]]
            self.send_response(200)
            self.send_header("Content-Type", "image/jpeg")
            self.send_header("Content-Length", str(len(image)))
            self.end_headers()
            self.wfile.write(image)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    pipe.send(server.server_port)
    server.serve_forever()


if __name__ == "__main__":
    main()
