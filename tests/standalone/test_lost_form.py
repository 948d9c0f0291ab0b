"""A lost submission asks a person, who decides by a click in Airflow's own page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from airflow_provider_seedream.emulator import Emulator
from airflow_provider_seedream.emulator.faults import DropAfter
from tests.chromium import Page, chromium
from tests.standalone.rest import Airflow
from tests.standalone.standalone import Standalone
from tests.standalone.watch import Watch

SCREENSHOTS = Path(__file__).parents[2] / "test-output" / "screenshots"


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Page]:
    with chromium(tmp_path / "chromium") as page:
        page.emulate(width=1400, height=1300)
        yield page


@pytest.mark.event("A lost submission asks a person")
def test_a_person_sees_the_images_of_the_lost_set_and_takes_it_by_a_click(
    airflow: Airflow, emulator: Emulator, standalone: Standalone, browser: Page
) -> None:
    with Watch(emulator, hold=False) as watch:
        emulator.faults.add("submit", DropAfter())
        run = airflow.trigger("asking")
        run.wait_for_state("draw", "awaiting_input", timeout=180)
        paid = emulator.predictions[-1]["id"]
        run.settle("draw")
        browser.call("Network.setCookie", name="_token", value=airflow.token, url=standalone.url)
        page = f"/dags/{run.dag_id}/runs/{quote(run.run_id)}/tasks/draw/required_actions"
        browser.call("Page.navigate", url=f"{standalone.url}{page}")
        take = f"[...document.querySelectorAll('button')].find(each => each.innerText.trim() === {json.dumps('Take ' + paid)})"
        browser.wait_for(take)
        browser.wait_for("document.body.innerText.includes('got no answer; it may have been accepted')")
        browser.wait_for(
            """[1, 2].every(each => document.querySelector(`img[alt="Image ${each}"]`)?.naturalWidth > 0)"""
        )
        browser.keep(SCREENSHOTS / "airflow-lost-form.png")
        browser.click(take)
        assert run.wait(timeout=180) == "success", run.log("draw")
        assert run.xcom("draw")["prediction_id"] == paid
        assert (watch.paid_tasks, watch.submissions) == (1, 1)
