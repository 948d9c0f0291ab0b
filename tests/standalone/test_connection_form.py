"""A connection made and tested as a person does it, in Airflow's own form."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_seedream.emulator import Emulator
from tests.chromium import Page, chromium
from tests.standalone.conftest import KEY, WRONG_KEY
from tests.standalone.rest import Airflow
from tests.standalone.standalone import Standalone

SCREENSHOTS = Path(__file__).parents[2] / "test-output" / "screenshots"
DIALOG = "document.querySelector('[role=dialog]')"
STILL = """document.getAnimations().every(each =>
    each.playState !== 'running' || each.effect.getComputedTiming().endTime === Infinity)"""
HELP = (
    "Model of every image set that names none",
    "How long a connection to the API may take to open. Empty means 10.",
    "How long one answer of the API may take. Empty means 60.",
    "An image set that costs more is refused before anything is paid.",
    "Nothing is submitted that would take what the account spends in a day (UTC) over this.",
    "Send the API key without TLS to a host other than this machine.",
)


@pytest.fixture
def browser(airflow: Airflow, standalone: Standalone, tmp_path: Path) -> Iterator[Page]:
    with chromium(tmp_path / "chromium") as page:
        page.call("Network.setCookie", name="_token", value=airflow.token, url=standalone.url)
        page.emulate(width=1280, height=1300)
        yield page


def button(words: str) -> str:
    return f"[...document.querySelectorAll('button')].find(each => each.innerText.trim() === {json.dumps(words)})"


def field(name: str) -> str:
    return f"{DIALOG}?.querySelector('input[name={name}]')"


def add_connection(browser: Page, url: str, connection_id: str, *, port: int, key: str) -> None:
    """Fill in the form from its top, up to the button that saves."""
    browser.call("Page.navigate", url=f"{url}/connections")
    browser.wait_for(button("Add Connection"))
    browser.click(button("Add Connection"))
    browser.wait_for(field("connection_id"))
    browser.write(field("connection_id"), connection_id)
    browser.write(f"{DIALOG}.querySelector('input[aria-autocomplete]')", "Seedream")
    browser.wait_for("document.querySelector('[role=option]')")
    browser.press("Enter")
    browser.wait_for(field("host"))
    browser.write(field("host"), "http://127.0.0.1")
    browser.write(field("port"), str(port))
    browser.write(field("password"), key)


def press_test(browser: Page) -> dict[str, Any]:
    """Press the button that tests the only connection of the list, and give what the page was answered."""
    browser.events.clear()
    browser.click("document.querySelector('[aria-label=\"Test Connection\"]')")
    browser.wait_for("/Test Connection (Successful|Failed)/.test(document.body.innerText)")
    (sent,) = (
        event["requestId"]
        for name, event in browser.events
        if name == "Network.responseReceived" and event["response"]["url"].endswith("/connections/test")
    )
    answer: dict[str, Any] = json.loads(browser.call("Network.getResponseBody", requestId=sent)["body"])
    return answer


def test_a_person_adds_a_connection_and_its_test_button_says_that_the_key_is_accepted(
    airflow: Airflow, standalone: Standalone, emulator: Emulator, browser: Page
) -> None:
    add_connection(browser, standalone.url, "by_hand", port=int(emulator.url.rpartition(":")[2]), key=KEY)
    assert browser.evaluate(f"{field('password')}.type") == "password"
    words = browser.evaluate(f"{DIALOG}.innerText")
    assert "API origin" in words
    assert "API key" in words
    browser.click(button("Extra Fields"))
    browser.wait_for(f"{DIALOG}.innerText.includes('Allow http://')")
    browser.wait_for(STILL)
    browser.keep(SCREENSHOTS / "connection-form.png")
    words = browser.evaluate(f"{DIALOG}.innerText")
    assert [each for each in HELP if each not in words] == []
    assert "the default" in words
    assert "null" not in words
    browser.click(button("Save"))
    browser.wait_for(f"!{DIALOG} && document.body.innerText.includes('by_hand')")
    try:
        assert KEY not in json.dumps(airflow.get("connections/by_hand"))
        assert KEY not in browser.evaluate("document.documentElement.outerHTML")
        answer = press_test(browser)
        assert answer["status"] is True
        assert answer["message"].startswith(f"{emulator.url} accepts the key. Balance: $")
        browser.wait_for(f"document.body.innerText.includes({json.dumps(answer['message'])})")
        browser.keep(SCREENSHOTS / "connection-accepted.png")
    finally:
        airflow.delete("connections/by_hand")


def test_a_wrong_key_is_named_as_such_by_the_test_button(
    airflow: Airflow, standalone: Standalone, emulator: Emulator, browser: Page
) -> None:
    add_connection(
        browser, standalone.url, "by_mistake", port=int(emulator.url.rpartition(":")[2]), key=WRONG_KEY
    )
    browser.click(button("Save"))
    browser.wait_for(f"!{DIALOG} && document.body.innerText.includes('by_mistake')")
    try:
        answer = press_test(browser)
        assert answer["status"] is False
        words = "answered 401: Unauthorized: invalid or missing API key. Check the API key, the password of the connection."
        assert answer["message"].endswith(words)
        browser.wait_for(f"document.body.innerText.includes({json.dumps(words)})")
        browser.keep(SCREENSHOTS / "connection-refused.png")
    finally:
        airflow.delete("connections/by_mistake")
