"""What happens after a publication: a DAG that starts by itself when the campaign's asset changes.

When to use it: where somebody else's work begins with your images (a shop, a newsletter, a review) and need not know the
DAG that made them. The events that started the run carry all there is to know in ``extra``: the prediction, the counts,
the cost, the folder and its manifest. Publications that come close together may start one run; so it handles a list. Started
by hand, there is no event, and it finds nothing to do.

Goes with ``example_seedream_campaign.py``.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

from airflow.providers.common.compat.sdk import DAG, Asset, ObjectStoragePath, task

CAMPAIGN = Asset("seedream://campaign/weekly")

with DAG(
    dag_id="example_seedream_on_published",
    description="Starts when images of the campaign are published.",
    doc_md=__doc__,
    schedule=[CAMPAIGN],
    start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    catchup=False,
    tags=["example", "seedream"],
) as dag:

    @task
    def read_events(**context: Any) -> list[dict[str, Any]]:
        """The ``extra`` of every publication that started this run."""
        # An Airflow 2 calls assets datasets.
        events = context.get("triggering_asset_events") or context.get("triggering_dataset_events") or {}
        return [dict(event.extra) for happened in events.values() for event in happened]

    @task
    def list_images(published: list[dict[str, Any]]) -> list[str]:
        """The images, by their manifests: a place to send them on from."""
        images = []
        for extra in published:
            manifest = json.loads(ObjectStoragePath(extra["manifest"]).read_text())
            print(f"{extra['prediction_id']}: {extra['images']} images, ${extra['cost_usd']:g}")
            images += [f"{extra['path']}/{image['file']}" for image in manifest["images"]]
        return images

    list_images(read_events())
