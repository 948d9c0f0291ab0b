"""The pages of the gallery as tests open them, and the image sets that they show."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

from airflow_provider_seedream.wavespeed.image_set import GeneratedImage, ImageSet
from airflow_provider_seedream.wavespeed.prompt import ImageSetPrompt
from tests.canned_airflow import CannedAirflow
from tests.cdn import Cdn
from tests.chromium import Page

SCENES = ("A fox wakes in deep snow", "The fox meets an owl", "Both sleep by the fire")
HOSTILE = '<img src=x onerror="alert(1)"><script>alert(2)</script>'
PATIENCE = 20.0


def add_waiting(airflow: CannedAirflow, ordered: ImageSet) -> dict[str, Any]:
    """A task that is deferred until its set is there."""
    paid = {
        "prediction_id": ordered.prediction_id,
        "ordered_image_set": ordered.to_json(),
        "spent_usd": 0.105,
    }
    return airflow.add("draw", "deferred", **paid)


def fox(cdn: Cdn, **changes: Any) -> ImageSet:
    """A whole set of three images, made in 21 s until now."""
    began, moment = (
        time.strftime("%Y-%m-%dT%H:%M:%S.000+00:00", time.gmtime(time.time() - ago)) for ago in (21, 0)
    )
    made = ImageSet(
        prediction_id="c81ad0203c7f4a2ea2ee1df26d5d4869",
        model="bytedance/seedream-v5.0-lite/sequential",
        prompt=ImageSetPrompt(scenes=SCENES, style="watercolour").render(),
        size="2848*1600",
        requested=3,
        images=tuple(GeneratedImage(f"{cdn.url}/{number}.png", False, number) for number in (1, 2, 3)),
        cost_usd=0.105,
        inference_ms=4800,
        created_at=began,
        submitted_at=began,
        completed_at=moment,
    )
    return replace(made, **changes)


def add(airflow: CannedAirflow, made: ImageSet, task_id: str = "draw", map_index: int = -1) -> None:
    """A task that has made a set."""
    airflow.add(
        task_id,
        "success",
        map_index,
        prediction_id=made.prediction_id,
        ordered_image_set=replace(made, images=()).to_json(),
        spent_usd=made.cost_usd,
        image_urls=[image.url for image in made.images],
        return_value=made.to_json(),
    )


def wait_for(browser: Page, condition: str, patience: float = PATIENCE) -> None:
    give_up = time.monotonic() + patience
    while not browser.evaluate(f"Boolean({condition})"):
        assert time.monotonic() < give_up, (condition, browser.evaluate("document.body.innerText"))
        time.sleep(0.05)


def show(browser: Page, url: str, *, width: int = 1280, dark: bool = False) -> None:
    """Open a page, and wait until what is in sight is there."""
    browser.emulate(width=width, dark=dark)
    browser.call("Page.navigate", url="about:blank")
    browser.events.clear()
    browser.call("Page.navigate", url=url)
    wait_for(
        browser,
        "location.protocol != 'about:' && document.querySelector('main') && !document.querySelector('main[aria-busy]')"
        " && !(document.querySelector('.card') || document.body).ariaBusy",
    )


def texts(browser: Page, selector: str) -> list[str]:
    found: list[str] = browser.evaluate(
        f"[...document.querySelectorAll({json.dumps(selector)})].map(each => each.textContent)"
    )
    return found


def facts(browser: Page) -> dict[str, str]:
    return dict(
        browser.evaluate(
            "[...document.querySelectorAll('.facts > div')].map(each => [...each.children].map(part => part.textContent))"
        )
    )


def strangers(browser: Page, airflow: CannedAirflow) -> set[str]:
    """Types of the requests that went to other places than Airflow."""
    return {
        event["type"]
        for name, event in browser.events
        if name == "Network.requestWillBeSent" and not event["request"]["url"].startswith(airflow.url)
    }
