"""``make demo``: the storyboard DAG, through all of Airflow, in one process and one command.

Draws on the emulator and costs nothing, unless ``WAVESPEED_API_KEY`` is set: then it says the price and pays it.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from airflow_provider_seedream.emulator import Emulator

DAGS = Path(__file__).resolve().parent
PROJECT = DAGS.parent
HOME = PROJECT / ".airflow" / "demo"
OUTPUT = PROJECT / "demo-output"
OF_ANOTHER_AIRFLOW = ("AIRFLOW_", "_AIRFLOW_", "OPENLINEAGE_")
MEDIAN_SECONDS = 6.0
"""How long the emulator takes to draw, about as long as the real one."""


def main() -> int:
    """Run it and give the exit code: 0 only if every task succeeded and everything is in its place."""
    began = time.monotonic()
    prepare_airflow()
    with contextlib.ExitStack() as stack:
        emulator = None if os.environ.get("WAVESPEED_API_KEY", "").strip() else stack.enter_context(drawing())
        print("Starting Airflow", flush=True)
        from airflow.utils import db

        warnings.simplefilter("ignore")  # Airflow's import switches on its own, which concern nobody here
        db.upgradedb()
        from example_seedream_storyboard import SCENES, SIZE, dag, storyboard_prompt

        from airflow_provider_seedream.wavespeed import ImageSetRequest

        price = ImageSetRequest.build(prompt=storyboard_prompt(SCENES), size=SIZE)
        print(
            f"Drawing {price.max_images} images of {price.size} for ${price.cost_usd:g}"
            + (" of the emulator's money" if emulator else ", paid with WAVESPEED_API_KEY"),
            flush=True,
        )
        keep_what_was_paid_for()
        run = dag.test(run_conf={"folder": f"file://{OUTPUT.parent}", "name": OUTPUT.name})
        succeeded = str(run.state) == "success"
        show_tasks(run)
        if succeeded:
            show_images()
        if emulator:
            print(f"\nOn the emulator: {emulator.paid_tasks} paid task, {emulator.polls()} poll(s)")
    print(f"{'Done' if succeeded else 'Failed'} after {time.monotonic() - began:.0f} s.")
    return 0 if succeeded else 1


def prepare_airflow() -> None:
    """A fresh home for Airflow. Its settings are read at its first import, so they stand before that."""
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir(parents=True)
    leave_other_airflows_alone()
    os.environ |= {
        "AIRFLOW_HOME": str(HOME),
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
        "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(os.urandom(32)).decode(),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }


def leave_other_airflows_alone() -> None:
    """Forget what the shell says about another Airflow: its database, its connections, where its lineage goes."""
    for name in [name for name in os.environ if name.startswith(OF_ANOTHER_AIRFLOW)]:
        del os.environ[name]


@contextlib.contextmanager
def drawing() -> Iterator[Emulator]:
    """An emulator, and the default connection leading to it."""
    from airflow_provider_seedream.emulator import Emulator

    with Emulator(median_seconds=MEDIAN_SECONDS) as emulator:
        os.environ["AIRFLOW_CONN_SEEDREAM_DEFAULT"] = emulator.airflow_connection()
        print(f"No WAVESPEED_API_KEY, so the emulator draws: {emulator.url}", flush=True)
        yield emulator


def keep_what_was_paid_for() -> None:
    """Move the folder of an earlier run aside if real money was paid for its images; else remove what that run made.

    ``make ui`` publishes to folders within, and you may have put files there: nothing but that set is removed.
    """
    from airflow_provider_seedream.publishing.manifest import Manifest

    manifest = OUTPUT / "manifest.json"
    if not manifest.is_file():
        return
    earlier = Manifest.from_bytes(manifest.read_bytes())
    if all(urlsplit(image.url).hostname == "127.0.0.1" for image in earlier.image_set.images):
        for name in (manifest.name, *earlier.files):
            (OUTPUT / name).unlink(missing_ok=True)
        return
    aside = OUTPUT.with_name(f"{OUTPUT.name}-{earlier.image_set.prediction_id}")
    OUTPUT.rename(aside)
    print(f"Images paid for earlier are now in {aside}", flush=True)


def show_tasks(run: Any) -> None:
    """The state of each task, in the order they ran."""
    print()
    for task in sorted(run.get_task_instances(), key=lambda task: task.start_date or task.run_id):
        print(f"  {task.task_id:<14}{task.state}")


def show_images() -> None:
    """What is in the folder, read from the folder."""
    manifest = json.loads((OUTPUT / "manifest.json").read_text())
    print(f"\n  prediction    {manifest['prediction_id']}")
    print(f"  price         ${manifest['cost_usd']:g} for {manifest['requested']} image(s)")
    if manifest["inference_ms"]:
        print(f"  time          {manifest['inference_ms'] / 1000:.1f} s to draw")
    print(f"\n{OUTPUT}")
    for image in manifest["images"]:
        print(f"  {image['file']:<58} {image['width']} x {image['height']}  {image['bytes'] / 1024:,.0f} KiB")
    for name in ("contact-sheet.jpg", "index.html", "manifest.json"):
        print(f"  {name:<58} {(OUTPUT / name).stat().st_size / 1024:,.0f} KiB")


if __name__ == "__main__":
    sys.exit(main())
