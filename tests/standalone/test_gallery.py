"""The gallery within Airflow's own page, in a real browser, for those who may see a DAG and for those who may not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import requests

from airflow_provider_seedream.emulator import Emulator
from tests.chromium import Page, chromium
from tests.standalone.rest import Airflow, Run
from tests.standalone.standalone import STRANGER, Standalone
from tests.standalone.watch import Watch

SCREENSHOTS = Path(__file__).parents[2] / "test-output" / "screenshots"
FRAME = "document.querySelector('iframe')?.contentDocument"


@pytest.fixture(scope="module")
def story(airflow: Airflow, emulator: Emulator, scratch: Path) -> Run:
    """A finished run of the storyboard."""
    with Watch(emulator, hold=False):
        run = airflow.trigger("example_seedream_storyboard", folder=f"file://{scratch}/seen", name="fox")
        assert run.wait(timeout=150) == "success", run.states()
    return run


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Page]:
    with chromium(tmp_path / "chromium") as page:
        page.emulate(width=1400, height=1000)
        yield page


def path(run: Run) -> str:
    return f"/dags/{run.dag_id}/runs/{quote(run.run_id)}"


def test_the_images_are_seen_where_their_task_is_seen(
    airflow: Airflow, standalone: Standalone, story: Run, browser: Page
) -> None:
    browser.call("Network.setCookie", name="_token", value=airflow.token, url=standalone.url)
    browser.call("Page.navigate", url=f"{standalone.url}{path(story)}/tasks/draw")
    browser.wait_for("document.querySelector('a[href$=\"/plugin/seedream\"]')")
    browser.events.clear()
    browser.evaluate("document.querySelector('a[href$=\"/plugin/seedream\"]').click()")
    browser.wait_for(f"{FRAME}?.images.length === 3")
    browser.wait_for(f"[...{FRAME}.images].every(image => image.naturalWidth > 0)")
    assert browser.evaluate(f"{FRAME}.querySelector('h1').textContent") == "3 images · $0.105"
    seen = browser.evaluate(f"[...{FRAME}.images].map(image => image.getAttribute('src'))")
    assert seen == [image["url"] for image in story.xcom("draw")["images"]]
    browser.wait_for(f"{FRAME}.body.innerText.includes('/seen/fox')")
    browser.keep(SCREENSHOTS / "airflow-finished.png")
    own = [
        event["entry"]
        for name, event in browser.events
        if name == "Log.entryAdded" and "seedream/" in str(event)
    ]
    # Airflow's frame, which may run scripts of its own origin, earns a warning; nothing of ours does.
    assert [entry for entry in own if entry["level"] == "error"] == []

    browser.call("Page.navigate", url=f"{standalone.url}{path(story)}/plugin/seedream_run")
    browser.wait_for(f"{FRAME}?.querySelector('.facts')?.innerText.includes('$0.105')")


def test_a_waiting_task_names_its_deadline_and_how_long_it_took_before(
    airflow: Airflow, standalone: Standalone, story: Run, emulator: Emulator, scratch: Path, browser: Page
) -> None:
    with Watch(emulator):
        run = airflow.trigger("example_seedream_storyboard", folder=f"file://{scratch}/awaited", name="fox")
        run.wait_for_state("draw", "deferred", timeout=90)
        browser.call("Network.setCookie", name="_token", value=airflow.token, url=standalone.url)
        browser.call("Page.navigate", url=f"{standalone.url}{path(run)}/tasks/draw/plugin/seedream")
        browser.wait_for(f"{FRAME}?.body?.innerText.includes('Deadline')")
        words = browser.evaluate(f"{FRAME}.body.innerText")
        browser.keep(SCREENSHOTS / "airflow-waiting.png")
        emulator.clock.release()
        browser.wait_for(f"{FRAME}.images.length === 3")
        assert run.wait(timeout=120) == "success", run.states()
    assert "Running for " in words
    assert re.search(r"about [\d.]+ s \((median of )?\d+ earlier runs?\)\n", words), words
    assert re.search(r" · in 5\d min \d+ s\n", words), words


def test_a_review_shows_its_images_and_leads_to_its_form(
    airflow: Airflow, standalone: Standalone, emulator: Emulator, browser: Page
) -> None:
    with Watch(emulator, hold=False):
        run = airflow.trigger("example_seedream_approval")
        run.wait_for_state("approval.review_1", "awaiting_input", timeout=120)
    browser.call("Network.setCookie", name="_token", value=airflow.token, url=standalone.url)
    browser.call("Page.navigate", url=f"{standalone.url}{path(run)}/tasks/approval.review_1/plugin/seedream")
    browser.wait_for(f"{FRAME}?.images.length === 2")
    browser.wait_for(f"[...{FRAME}.images].every(image => image.naturalWidth > 0)")
    seen = browser.evaluate(f"[...{FRAME}.images].map(image => image.getAttribute('src'))")
    assert seen == [image["url"] for image in run.xcom("approval.draw_1")["images"]]
    browser.keep(SCREENSHOTS / "airflow-approval.png")
    # Not before the answer to this call, as the whole page gives way.
    browser.evaluate(f"setTimeout(() => {FRAME}.querySelector('.review a').click())")
    browser.wait_for("location.pathname.endsWith('/tasks/approval.review_1/required_actions')")
    browser.wait_for("document.body.innerText.includes('Do these postcards go to print?')")
    airflow.patch(f"dags/{run.dag_id}/dagRuns/{run.run_id}", {"state": "failed"})


def test_who_may_not_see_a_dag_sees_nothing_of_its_images(
    standalone: Standalone, story: Run, browser: Page
) -> None:
    stranger = Airflow(standalone, STRANGER)
    entry = (
        f"{standalone.url}/api/v2{path(story).replace('/runs/', '/dagRuns/')}/taskInstances/draw/xcomEntries"
    )
    for address in (entry, f"{entry}/return_value"):
        assert requests.get(address, timeout=30).status_code == 401
        signed_in = {"Authorization": f"Bearer {stranger.token}"}
        assert requests.get(address, headers=signed_in, timeout=30).status_code == 403
    browser.call("Network.setCookie", name="_token", value=stranger.token, url=standalone.url)
    page = f"dag_id={story.dag_id}&run_id={quote(story.run_id)}&task_id=draw"
    browser.call("Page.navigate", url=f"{standalone.url}/seedream/gallery.html?{page}")
    browser.wait_for("document.body?.innerText.includes('You may not see')")
    assert browser.evaluate("document.images.length") == 0
    assert story.xcom("draw")["prediction_id"] not in browser.evaluate("document.documentElement.outerHTML")
    stranger.close()
