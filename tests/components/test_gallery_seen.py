"""Every view of the gallery as people see it: what axe-core says of it, and a picture that is kept.

The pictures are in ``test-output/screenshots/``, each by its view, light or dark, wide or phone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_seedream.emulator.painter import Painter
from airflow_provider_seedream.emulator.predictions import ImageSpec
from airflow_provider_seedream.wavespeed.image_set import GeneratedImage, ImageSet, MissingImage
from tests.axe import serious_findings
from tests.canned_airflow import DAG, RUN, CannedAirflow, canned_airflow
from tests.cdn import Cdn, body
from tests.chromium import Page, chromium
from tests.gallery_page import SCENES, add, add_waiting, fox, show, wait_for

SCREENSHOTS = Path(__file__).parents[2] / "test-output" / "screenshots"
WIDTHS = {"wide": 1280, "phone": 390}

PAINTED = """Promise.all([...document.images].map(image => image.decode().catch(() => null)))
    .then(() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(null)))))"""

View = tuple[str, str]
"""The address of a page, and the condition by which all of it is there."""


@pytest.fixture(scope="module")
def cdn() -> Iterator[Cdn]:
    """Serves what the emulator paints for the scenes."""
    prompt = "3 images. A young fox in a yellow coat, watercolour."
    with Cdn() as cdn:
        for number, scene in enumerate(SCENES, 1):
            painted = Painter(ImageSpec(prompt, scene, 1, number, 712, 400, "jpeg")).paint()
            cdn.paths[f"/{number}.png"] = body(painted, Content_Type="image/jpeg")
        yield cdn


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with chromium(tmp_path_factory.mktemp("chromium")) as page:
        yield page


@pytest.fixture
def airflow() -> Iterator[CannedAirflow]:
    with canned_airflow() as airflow:
        yield airflow


def add_waiting_since(airflow: CannedAirflow, ordered: ImageSet) -> None:
    """A task that waits for a set, 20 s after it started, and four earlier runs of it."""
    now = time.time()
    task = add_waiting(airflow, ordered)
    task["start_date"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - 20))
    airflow.stores["draw", -1] = {"seedream_submission": {"version": 1, "deadline": now + 3590}}
    airflow.earlier = [
        {**task, "dag_run_id": f"earlier-{took}", "state": "success", "duration": took}
        for took in (90.0, 31.4, 29.0, 33.0)
    ]


def finished(airflow: CannedAirflow, cdn: Cdn) -> View:
    add(airflow, fox(cdn))
    add_published(airflow, fox(cdn))
    return airflow.task_page("draw"), "document.body.innerText.includes('Published to')"


def add_published(airflow: CannedAirflow, made: ImageSet) -> None:
    folder = "https://cdn.example/stories/fox"
    result = {
        "path": folder,
        "manifest": f"{folder}/manifest.json",
        "files": [f"{folder}/0{number}-fox.jpg" for number in (1, 2, 3)],
        "prediction_id": made.prediction_id,
        "contact_sheet": f"{folder}/contact-sheet.jpg",
        "storyboard_page": f"{folder}/index.html",
    }
    airflow.add("publish", "success", operator="SeedreamPublishOperator", return_value=result)


def waiting(airflow: CannedAirflow, cdn: Cdn) -> View:
    add_waiting_since(airflow, fox(cdn, images=(), completed_at=None, inference_ms=None))
    return airflow.task_page("draw"), "document.body.innerText.includes('Deadline')"


def failed(airflow: CannedAirflow, cdn: Cdn) -> View:
    ordered = fox(cdn, images=(), completed_at=None, inference_ms=None)
    airflow.add("draw", "failed", ordered_image_set=ordered.to_json(), spent_usd=0.21)
    words = (
        "Prediction c81ad0203c7f4a2ea2ee1df26d5d4869 failed (code 1200): Content moderation refused it. "
        "Change the prompt, then clear the task, which draws and pays again."
    )
    airflow.logs["draw"] = [
        {"level": "error", "event": "Task failed", "error_detail": [{"exc_type": "E", "exc_value": words}]}
    ]
    return airflow.task_page("draw"), "document.body.innerText.includes('Content moderation')"


def mapped(airflow: CannedAirflow, cdn: Cdn) -> View:
    for place in range(3):
        add(airflow, fox(cdn, prediction_id=f"prediction-{place}"), map_index=place)
    return airflow.task_page("draw"), "document.images.length >= 6"


def partly_missing(airflow: CannedAirflow, cdn: Cdn) -> View:
    reason = "The output image may contain sensitive information."
    images = (GeneratedImage(f"{cdn.url}/1.png", True, 1), GeneratedImage(f"{cdn.url}/gone.png", None, 3))
    add(airflow, fox(cdn, images=images, missing=(MissingImage(2, SCENES[1], reason),)))
    return airflow.task_page("draw"), "document.querySelector('.instead')"


def dag_run(airflow: CannedAirflow, cdn: Cdn) -> View:
    add(airflow, fox(cdn))
    add(airflow, fox(cdn, prediction_id="another"), "draw_cover")
    page = airflow.page(dag_id=DAG, run_id=RUN.replace("+", "%2B"), task_id="{TASK_ID}")
    return page, "document.images.length >= 6 && document.body.innerText.includes('2 sets')"


def navigation(airflow: CannedAirflow, cdn: Cdn) -> View:
    for place in range(4):
        add(airflow, fox(cdn, prediction_id=f"p{place}"), map_index=place)
    return airflow.page(), "document.images.length >= 6 && document.querySelector('.legend')"


def approval(airflow: CannedAirflow, cdn: Cdn) -> View:
    made = fox(cdn)
    add(airflow, made)
    airflow.add(
        "review",
        "awaiting_input",
        operator="SeedreamReviewOperator",
        shown_prediction_id=made.prediction_id,
        shown_image_urls=[image.url for image in made.images],
    )
    return airflow.task_page("review"), "document.querySelector('.review a')"


VIEWS: tuple[Callable[[CannedAirflow, Cdn], View], ...] = (
    finished,
    waiting,
    failed,
    mapped,
    partly_missing,
    dag_run,
    navigation,
    approval,
)
EXPECTED_COMPLAINTS = {"partly_missing": 1}
"""The browser says of an image with a dead link that it cannot be loaded."""


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.__name__)
def test_a_view_has_no_serious_fault_light_and_dark_wide_and_on_a_phone(
    browser: Page, airflow: CannedAirflow, cdn: Cdn, view: Callable[[CannedAirflow, Cdn], View]
) -> None:
    url, condition = view(airflow, cdn)
    show(browser, url)
    wait_for(browser, condition)
    found: dict[str, Any] = {}
    for theme in ("light", "dark"):
        for screen, width in WIDTHS.items():
            browser.emulate(width=width, dark=theme == "dark")
            # As high as the page: what is out of sight is not painted.
            height = browser.evaluate("document.documentElement.scrollHeight")
            browser.emulate(width=width, height=height, dark=theme == "dark")
            wait_for(browser, "!document.querySelector('.card[aria-busy]')")
            browser.evaluate(PAINTED)
            browser.keep(SCREENSHOTS / f"gallery-{view.__name__}-{theme}-{screen}.png")
            found[f"{theme} {screen}"] = serious_findings(browser)
            assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth"), (theme, screen)
    assert found == {screen: [] for screen in found}
    assert len(browser.complaints()) == EXPECTED_COMPLAINTS.get(view.__name__, 0), browser.complaints()


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        ("document.images[0].removeAttribute('alt')", "image-alt"),
        ("document.querySelector('.scene').style.color = 'silver'", "color-contrast"),
        (
            "document.querySelector('.copy').removeAttribute('aria-label'); document.querySelector('.copy').textContent = ''",
            "button-name",
        ),
    ],
)
def test_a_fault_that_keeps_people_out_is_found(
    browser: Page, airflow: CannedAirflow, cdn: Cdn, fault: str, rule: str
) -> None:
    add(airflow, fox(cdn))
    show(browser, airflow.task_page("draw"))
    browser.evaluate(f"{fault}; undefined")
    assert any(f": {rule}: " in finding for finding in serious_findings(browser))


def test_a_waiting_task_says_how_long_it_took_before_and_until_when_it_waits(
    browser: Page, airflow: CannedAirflow, cdn: Cdn
) -> None:
    url, _ = waiting(airflow, cdn)
    show(browser, url)
    wait_for(browser, "document.body.innerText.includes('Deadline')")
    facts = "Object.fromEntries([...document.querySelectorAll('.facts > div')].map(each => [...each.children].map(part => part.innerText)))"
    shown = browser.evaluate(facts)
    assert shown["Expected"] == "about 33 s (median of 4 earlier runs)"
    assert " · in 59 min " in shown["Deadline"]
    assert browser.evaluate("document.querySelector('.elapsed').textContent").startswith("Running for 2")
    asked = [each for each in airflow.asked if "state-store" in each or "/~/taskInstances" in each]
    assert len(asked) == 2


def test_the_deadline_is_read_from_an_xcom_where_airflow_has_no_state_store(
    browser: Page, airflow: CannedAirflow, cdn: Cdn
) -> None:
    """Before 3.3. To ask for the store there would fill the console with errors."""
    url, _ = waiting(airflow, cdn)
    record = airflow.stores.pop(("draw", -1))["seedream_submission"]
    airflow.xcoms["draw", -1, "seedream_submission"] = {**record, "deadline": time.time() - 5}
    airflow.earlier = []
    show(browser, url)
    wait_for(browser, "document.body.innerText.includes('Deadline')")
    shown = browser.evaluate("document.querySelector('main').innerText")
    assert " · passed" in shown
    assert "Expected" not in shown
    assert not any("state-store" in each for each in airflow.asked)


@pytest.mark.parametrize(
    ("state", "words", "link"),
    [
        ("awaiting_input", "A person is asked about these images.", "Answer in Airflow's form"),
        ("deferred", "A person is asked about these images.", "Answer in Airflow's form"),
        ("success", "A person was asked about these images.", "See the form and its answer"),
    ],
)
def test_images_under_review_stand_beside_the_way_to_the_form(
    browser: Page, airflow: CannedAirflow, cdn: Cdn, state: str, words: str, link: str
) -> None:
    url, condition = approval(airflow, cdn)
    airflow.tasks[-1]["state"] = state
    show(browser, url)
    wait_for(browser, condition)
    assert browser.evaluate("document.querySelector('.review').textContent") == f"{words} {link}"
    address = browser.evaluate("document.querySelector('.review a').href")
    assert address.endswith("/tasks/review/required_actions")
    assert browser.evaluate("document.images.length") == 3
    assert "being made" not in browser.evaluate("document.body.innerText")


def test_a_review_shows_what_its_form_shows_also_once_the_set_is_gone(
    browser: Page, airflow: CannedAirflow, cdn: Cdn
) -> None:
    """Its drawing task was cleared, and draws another."""
    url, condition = approval(airflow, cdn)
    other = replace(fox(cdn), prediction_id="another")
    add(airflow, other)
    show(browser, url)
    wait_for(browser, condition)
    wait_for(browser, "document.images.length === 3")
    assert browser.evaluate("document.querySelector('.facts').innerText").startswith("Prediction\nc81ad0203c")
