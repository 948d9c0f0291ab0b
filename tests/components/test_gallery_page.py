"""The gallery in a real browser, against the answers of Airflow's REST API in their true shapes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from airflow_provider_seedream.wavespeed.image_set import GeneratedImage, MissingImage
from airflow_provider_seedream.wavespeed.prompt import ImageSetPrompt
from airflow_provider_seedream.wavespeed.prompt_parsing import scenes_of
from tests.canned_airflow import BASE, DAG, RUN, CannedAirflow, canned_airflow
from tests.cdn import Cdn, body, picture
from tests.chromium import Page, chromium
from tests.gallery_page import (
    HOSTILE,
    PATIENCE,
    SCENES,
    add,
    add_waiting,
    facts,
    fox,
    show,
    strangers,
    texts,
    wait_for,
)

EXPIRED = "The link of this image has expired: links of the API live seven days."


@pytest.fixture
def airflow() -> Iterator[CannedAirflow]:
    with canned_airflow() as airflow:
        yield airflow


@pytest.fixture(scope="module")
def cdn() -> Iterator[Cdn]:
    with Cdn() as cdn:
        for number in (1, 2, 3):
            cdn.paths[f"/{number}.png"] = body(picture("PNG", 64, 36, number), Content_Type="image/png")
        yield cdn


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with chromium(tmp_path_factory.mktemp("chromium")) as page:
        yield page


def test_a_finished_task_shows_its_images_in_order_with_all_that_is_known(
    browser: Page, airflow: CannedAirflow, cdn: Cdn
) -> None:
    add(airflow, fox(cdn))
    folder = "s3://bucket/fox"
    published = {
        "path": folder,
        "manifest": f"{folder}/manifest.json",
        "files": [f"{folder}/0{number}-fox.png" for number in (1, 2, 3)],
        "prediction_id": fox(cdn).prediction_id,
        "images": 3,
        "bytes": 3000,
        "contact_sheet": None,
        "storyboard_page": "https://cdn.example/fox/index.html",
    }
    airflow.add("publish", "success", operator="SeedreamPublishOperator", return_value=published)
    show(browser, airflow.task_page("draw"))
    assert texts(browser, "h1") == ["3 images · $0.105"]
    assert texts(browser, ".state") == ["Success"]
    assert texts(browser, "figcaption .number") == ["1", "2", "3"]
    assert texts(browser, "figcaption .scene") == list(SCENES)
    wait_for(browser, "[...document.images].every(image => image.naturalWidth === 64)")
    assert browser.evaluate("[...document.images].map(image => image.alt)") == list(SCENES)
    wait_for(browser, "document.querySelectorAll('.places')[2].textContent.includes('03-fox.png')")
    shown = facts(browser)
    assert shown["Price"] == "$0.105"
    assert shown["Requested"] == shown["Delivered"] == "3 images"
    assert shown["Size"] == "2848 × 1600"
    assert shown["Model"] == "bytedance/seedream-v5.0-lite/sequential"
    assert shown["Model ran"] == "4.8 s"
    assert shown["Prediction"] == f"{fox(cdn).prediction_id}Copy"
    assert shown["Published to"] == folder
    assert shown["Storyboard"] == published["storyboard_page"]
    assert texts(browser, ".prompt .whole") == [fox(cdn).prompt]
    assert browser.complaints() == []
    assert strangers(browser, airflow) == {"Image"}
    assert {headers.get("Referer") for _, headers in cdn.requests} == {None}


def test_links_lead_to_originals_and_published_pages_and_tell_nobody_where_they_came_from(
    browser: Page, airflow: CannedAirflow, cdn: Cdn
) -> None:
    add(airflow, fox(cdn))
    show(browser, airflow.task_page("draw"))
    links = browser.evaluate(
        "[...document.links].map(each => [each.href, each.rel, each.target, each.referrerPolicy])"
    )
    assert {href for href, *_ in links} == {f"{cdn.url}/{number}.png" for number in (1, 2, 3)}
    assert {tuple(rest) for _, *rest in links} == {("noreferrer noopener", "_blank", "no-referrer")}


def test_the_prompt_and_the_prediction_id_are_copied(browser: Page, airflow: CannedAirflow, cdn: Cdn) -> None:
    add(airflow, fox(cdn))
    show(browser, airflow.task_page("draw"))
    browser.evaluate(
        "Object.defineProperty(navigator, 'clipboard', {value: {writeText: async text => { window.copied = text; }}})"
    )
    for label, text in (
        ("Copy the prompt", fox(cdn).prompt),
        ("Copy the prediction id", fox(cdn).prediction_id),
    ):
        browser.evaluate(f"document.querySelector('[aria-label=\"{label}\"]').click()")
        wait_for(browser, "window.copied")
        assert browser.evaluate("window.copied") == text


def test_a_waiting_task_shows_its_images_once_they_are_there_and_asks_nothing_unseen(
    browser: Page, airflow: CannedAirflow, cdn: Cdn
) -> None:
    ordered = fox(cdn, images=(), completed_at=None, inference_ms=None)
    task = add_waiting(airflow, ordered)
    show(browser, airflow.task_page("draw"))
    assert texts(browser, "h1") == ["Waiting for 3 images · $0.105"]
    assert texts(browser, ".state") == ["Deferred"]
    assert texts(browser, ".elapsed")[0].startswith("Running for ")
    assert facts(browser)["Prediction"].startswith(ordered.prediction_id)
    assert "Delivered" not in facts(browser)

    browser.evaluate(
        "Object.defineProperty(document, 'hidden', {value: true, configurable: true}); document.dispatchEvent(new Event('visibilitychange'))"
    )
    time.sleep(0.3)
    asked = len(airflow.asked)
    time.sleep(6.5)
    assert len(airflow.asked) <= asked + 1, "at most what was under way"

    task |= {"state": "success", "end_date": "2026-11-28T11:18:10Z"}
    airflow.tasks[0] = task
    airflow.xcoms["draw", -1, "return_value"] = fox(cdn).to_json()
    airflow.xcoms["draw", -1, "image_urls"] = []
    browser.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
    wait_for(browser, "document.images.length === 3", 5)
    assert texts(browser, ".state") == ["Success"]
    assert texts(browser, "[role=status]") == ["draw: Success"]
    time.sleep(1)
    asked = len(airflow.asked)
    time.sleep(6)
    assert len(airflow.asked) == asked, "a task that has ended is not asked for again"
    assert browser.complaints() == []


@pytest.mark.parametrize("task_id", ["publish", "review"])
def test_a_task_that_publishes_a_set_or_shows_it_to_a_person_shows_that_set(
    browser: Page, airflow: CannedAirflow, cdn: Cdn, task_id: str
) -> None:
    other, made = fox(cdn, prediction_id="another", cost_usd=9.0), fox(cdn)
    add(airflow, other, "other")
    add(airflow, made)
    result = {"prediction_id": made.prediction_id, "manifest": "m", "path": "s3://b/fox", "files": []}
    airflow.add("publish", "success", operator="SeedreamPublishOperator", return_value=result)
    airflow.add(
        "review",
        "awaiting_input",
        operator="SeedreamReviewOperator",
        shown_prediction_id=made.prediction_id,
        shown_image_urls=[image.url for image in made.images],
    )
    show(browser, airflow.task_page(task_id))
    assert texts(browser, "h1") == ["3 images · $0.105"]
    assert facts(browser)["Prediction"] == f"{made.prediction_id}Copy"
    wait_for(browser, "document.body.innerText.includes('s3://b/fox')")
    assert browser.complaints() == []


def test_a_failed_task_says_why_and_what_it_paid(browser: Page, airflow: CannedAirflow, cdn: Cdn) -> None:
    ordered = fox(cdn, images=(), completed_at=None, inference_ms=None)
    airflow.add("draw", "failed", ordered_image_set=ordered.to_json(), spent_usd=0.21)
    airflow.logs["draw"] = [
        {"event": "::group::Log message source details"},
        {"timestamp": "2026-11-28T11:17:35Z", "event": "an earlier trouble", "level": "error"},
        {
            "timestamp": "2026-11-28T11:17:49Z",
            "event": "Task failed with exception",
            "level": "error",
            "error_detail": [
                {
                    "exc_type": "AirflowFailException",
                    "exc_value": f"Content moderation refused it. {HOSTILE}",
                },
                {"exc_type": "PredictionFailedError", "exc_value": "its cause"},
            ],
        },
        {"timestamp": "2026-11-28T11:17:50Z", "event": "::endgroup::", "level": "info"},
    ]
    show(browser, airflow.task_page("draw"))
    wait_for(browser, "!document.querySelector('.words').textContent.startsWith('Reading')")
    assert texts(browser, "h1") == ["No images · $0.105"]
    assert texts(browser, ".words") == [f"Content moderation refused it. {HOSTILE}"]
    assert "Paid, or may be paid: $0.21." in texts(browser, ".trouble")[0]
    assert facts(browser)["Paid, earlier tries included"] == "$0.21"
    assert browser.complaints() == []


@pytest.mark.parametrize("state", ["failed", "success"])
def test_images_that_came_are_shown_even_if_the_task_gave_no_result(
    browser: Page, airflow: CannedAirflow, cdn: Cdn, state: str
) -> None:
    """It failed while it published them, or pushes no result (``do_xcom_push=False``)."""
    add(airflow, fox(cdn))
    del airflow.xcoms["draw", -1, "return_value"]
    airflow.tasks[0]["state"] = state
    airflow.logs["draw"] = [{"event": "The folder is taken.", "level": "error"}]
    show(browser, airflow.task_page("draw"))
    assert texts(browser, "h1") == ["3 images · $0.105"]
    assert texts(browser, "figcaption .scene") == list(SCENES)
    if state == "failed":
        wait_for(browser, "document.querySelector('.words').textContent === 'The folder is taken.'")


def test_what_is_missing_or_flagged_stands_at_its_place(
    browser: Page, airflow: CannedAirflow, cdn: Cdn
) -> None:
    reason = "The output image may contain sensitive information."
    made = fox(
        cdn,
        images=(GeneratedImage(f"{cdn.url}/1.png", True, 1), GeneratedImage(f"{cdn.url}/3.png", None, 3)),
        missing=(MissingImage(2, SCENES[1], reason),),
    )
    add(airflow, made)
    show(browser, airflow.task_page("draw"))
    assert texts(browser, "h1") == ["2 of 3 images · $0.105"]
    places = texts(browser, ".images > li")
    assert "Flagged" in places[0]
    assert places[1] == f"Image 2 is missing{SCENES[1]}{reason}"
    assert SCENES[2] in places[2]
    assert "Flagged" not in places[2]
    assert browser.complaints() == []


def test_a_mapped_task_has_a_row_for_each_instance_and_asks_for_those_in_sight(
    browser: Page, airflow: CannedAirflow, cdn: Cdn
) -> None:
    for place in range(200):
        add(airflow, fox(cdn, prediction_id=f"prediction-{place}"), map_index=place)
    show(browser, airflow.task_page("draw"))
    assert texts(browser, "h1") == ["200 instances"]
    wait_for(browser, "document.querySelectorAll('.card').length === 200")
    assert texts(browser, ".card h2")[:2] == ["0 · 3 images · $0.105", "1 · 3 images · $0.105"]
    time.sleep(0.5)
    assert len(airflow.asked) < 40, "what is out of sight is not asked for"
    browser.evaluate("document.querySelectorAll('.card')[150].scrollIntoView()")
    wait_for(browser, "document.querySelectorAll('.card')[150].querySelectorAll('img').length === 3")
    assert len(airflow.asked) < 120
    assert browser.complaints() == []

    show(browser, airflow.task_page("draw", 7))
    assert texts(browser, "h1") == ["3 images · $0.105"]
    assert facts(browser)["Prediction"] == "prediction-7Copy"


def test_a_run_whose_first_tasks_are_not_ours_shows_the_set_that_comes_after_them(
    browser: Page, airflow: CannedAirflow, cdn: Cdn
) -> None:
    """The page asks for the first dozen, then for the rest."""
    for place in range(30):
        airflow.add("plain", "success", place, operator="_PythonDecoratedOperator")
    add(airflow, fox(cdn))
    show(browser, airflow.page(dag_id=DAG, run_id=quote(RUN), task_id="{TASK_ID}"))
    wait_for(browser, "document.images.length === 3")
    assert texts(browser, "h2") == ["draw · 3 images · $0.105"]
    assert browser.complaints() == []


def test_an_airflow_that_filters_nothing_shows_one_instance_where_there_is_one(
    browser: Page, airflow: CannedAirflow, cdn: Cdn
) -> None:
    """3.1 leaves out filters that it does not know; the instance is not among the first."""
    airflow.unknown_filters = {"task_id", "map_index"}
    for place in range(30):
        airflow.add("plain", "success", place, operator="_PythonDecoratedOperator")
    add(airflow, fox(cdn))
    show(browser, airflow.task_page("draw"))
    assert texts(browser, "h1") == ["3 images · $0.105"]
    assert texts(browser, ".card") != []
    assert browser.complaints() == []


def test_a_task_that_is_not_ours_has_one_quiet_line(browser: Page, airflow: CannedAirflow) -> None:
    airflow.add("plain", "success", operator="_PythonDecoratedOperator", return_value={"images": [HOSTILE]})
    show(browser, airflow.task_page("plain"))
    assert browser.evaluate("document.body.innerText").strip() == "This task has no image set."
    assert len(airflow.asked) == 2
    assert not any("return_value" in each for each in airflow.asked), "what others gave is not read"


def test_a_run_id_that_airflow_3_1_does_not_encode_is_read_as_it_is(
    browser: Page, airflow: CannedAirflow, cdn: Cdn
) -> None:
    add(airflow, fox(cdn))
    show(browser, airflow.page(dag_id=DAG, run_id=RUN, task_id="draw", map_index="{MAP_INDEX}"))
    assert texts(browser, "h1") == ["3 images · $0.105"]


def test_hostile_texts_stay_texts(browser: Page, airflow: CannedAirflow, cdn: Cdn) -> None:
    turned = "\u202egnp.exe \u2066around"
    made = fox(
        cdn,
        prediction_id=HOSTILE,
        model=HOSTILE,
        prompt=ImageSetPrompt(scenes=(HOSTILE, turned, "x" * 20_000)).render(),
        images=(
            GeneratedImage("javascript:alert(3)", None, 1),
            GeneratedImage(f"{cdn.url}/2.png?{HOSTILE}", None, 2),
            GeneratedImage(f"data:text/html,{HOSTILE}", None, 3),
        ),
    )
    add(airflow, made)
    airflow.tasks[0]["rendered_fields"]["output_path"] = HOSTILE
    show(browser, airflow.task_page("draw"), width=390)
    wait_for(browser, "document.images.length === 1 && document.images[0].naturalWidth === 64")
    scenes = texts(browser, "figcaption .scene")
    assert scenes == [HOSTILE, "gnp.exe around", "x" * 20_000]
    assert facts(browser)["Prediction"] == f"{HOSTILE}Copy"
    wait_for(browser, "document.body.innerText.includes('Published to')")
    assert facts(browser)["Published to"] == HOSTILE
    found = "document.querySelectorAll('main script, main iframe, [onerror], [style]').length"
    assert browser.evaluate(found) == 0
    assert browser.evaluate("[...document.links].every(each => each.protocol === 'http:')")
    assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert browser.complaints() == []
    assert strangers(browser, airflow) == {"Image"}


@pytest.mark.parametrize(
    ("copies", "expected"),
    [
        (None, EXPIRED),
        (
            ["s3://bucket/1.png"] * 3,
            f"{EXPIRED} It was published to a store that a browser cannot read.",
        ),
        ("the cdn", None),
    ],
)
def test_an_expired_link_gives_way_to_the_published_copy_or_to_words(
    browser: Page, airflow: CannedAirflow, cdn: Cdn, copies: Any, expected: str | None
) -> None:
    gone = tuple(GeneratedImage(f"{cdn.url}/gone/{number}.png", None, number) for number in (1, 2, 3))
    old = "2026-01-01T00:00:00.000+00:00"
    made = fox(cdn, images=gone, submitted_at=old, completed_at=old)
    add(airflow, made)
    if copies:
        files = [f"{cdn.url}/{number}.png" for number in (1, 2, 3)] if copies == "the cdn" else copies
        result = {"prediction_id": made.prediction_id, "manifest": "m", "path": "p", "files": files}
        airflow.add("publish", "success", operator="SeedreamPublishOperator", return_value=result)
    show(browser, airflow.task_page("draw"))
    if expected:
        wait_for(browser, "document.querySelectorAll('.instead').length === 3")
        assert texts(browser, ".instead") == [expected] * 3
    else:
        wait_for(browser, "[...document.images].every(image => image.naturalWidth === 64)")
        assert texts(browser, ".instead") == []


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, "You are not signed in"), (403, "You may not see"), (500, "could not be asked")],
)
def test_who_may_not_see_a_dag_sees_nothing_of_it(
    browser: Page, airflow: CannedAirflow, cdn: Cdn, status: int, words: str
) -> None:
    add(airflow, fox(cdn))
    airflow.status = status
    show(browser, airflow.task_page("draw"))
    seen = browser.evaluate("document.body.innerText")
    assert words in seen
    assert SCENES[0] not in seen


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_theme_is_that_of_airflows_own_switch(
    browser: Page, airflow: CannedAirflow, cdn: Cdn, theme: str
) -> None:
    """Against what the system prefers; also when the switch is used."""
    add(airflow, fox(cdn))
    page = quote(airflow.task_page("draw"), safe="")
    browser.call("Page.navigate", url=f"{airflow.url}{BASE}/around?theme={theme}&href={page}")
    scheme = {"name": "prefers-color-scheme", "value": "light" if theme == "dark" else "dark"}
    browser.call("Emulation.setEmulatedMedia", features=[scheme])
    inner = "document.querySelector('iframe')?.contentDocument"
    wait_for(browser, f"{inner}?.querySelector('h1')")
    colour = f"getComputedStyle({inner}.body).color"
    ink = {"light": "rgb(27, 31, 36)", "dark": "rgb(236, 236, 237)"}
    assert browser.evaluate(colour) == ink[theme]
    other = "dark" if theme == "light" else "light"
    browser.evaluate(f"document.documentElement.className = '{other}'")
    assert browser.evaluate(colour) == ink[other]


def test_a_link_opens_beside_airflow_although_its_frame_may_open_no_window(
    browser: Page, airflow: CannedAirflow, cdn: Cdn
) -> None:
    add(airflow, fox(cdn))
    page = quote(airflow.task_page("draw"), safe="")
    browser.call("Page.navigate", url=f"{airflow.url}{BASE}/around?theme=light&href={page}")
    inner = "document.querySelector('iframe')?.contentDocument"
    wait_for(browser, f"{inner}?.querySelector('.places a')")
    before = {each["targetId"] for each in browser.call("Target.getTargets")["targetInfos"]}
    click = f"{inner}.querySelector('.places a').click()"
    browser.call("Runtime.evaluate", expression=click, userGesture=True)
    give_up = time.monotonic() + PATIENCE
    while not (
        opened := [
            each
            for each in browser.call("Target.getTargets")["targetInfos"]
            if each["targetId"] not in before
        ]
    ):
        assert time.monotonic() < give_up
        time.sleep(0.05)
    assert opened[0]["url"] in (f"{cdn.url}/1.png", "about:blank", "")
    browser.call("Target.closeTarget", targetId=opened[0]["targetId"])
    assert browser.evaluate(f"{inner}.querySelector('h1').textContent") == "3 images · $0.105"


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_fits_and_the_keyboard_reaches_all_that_acts(
    browser: Page, airflow: CannedAirflow, cdn: Cdn, width: int
) -> None:
    add(airflow, fox(cdn))
    show(browser, airflow.task_page("draw"), width=width)
    assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
    reached = []
    for _ in range(9):
        browser.press("Tab")
        reached.append(browser.evaluate("document.activeElement.tagName"))
        assert browser.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert sorted(reached) == ["A"] * 6 + ["BUTTON"] * 2 + ["SUMMARY"]


def test_a_run_shows_all_its_sets_and_what_they_cost_together(
    browser: Page, airflow: CannedAirflow, cdn: Cdn
) -> None:
    add(airflow, fox(cdn))
    for place in (0, 1):
        add(airflow, fox(cdn, prediction_id=f"p{place}"), "many", place)
    airflow.add("plain", "success", operator="_PythonDecoratedOperator", return_value=1)
    airflow.add("cost", "success", operator="SeedreamCostSummaryOperator", return_value={})
    show(browser, airflow.page(dag_id=DAG, run_id=quote(RUN), task_id="{TASK_ID}"))
    wait_for(browser, "document.querySelector('main > [role=status] .facts')")
    shown = browser.evaluate(
        "[...document.querySelector('main > [role=status] .facts').children].map(each => each.innerText)"
    )
    assert shown == ["Paid, or may be paid\n$0.315", "Image sets\n3 sets"]
    titles = ["draw · 3 images · $0.105", "many [0] · 3 images · $0.105", "many [1] · 3 images · $0.105"]
    wait_for(browser, "document.images.length === 9")
    assert texts(browser, "h2") == titles
    assert browser.complaints() == []


def test_the_navigation_page_lists_the_latest_sets_and_draws_what_each_day_cost(
    browser: Page, airflow: CannedAirflow, cdn: Cdn
) -> None:
    for place in range(30):
        add(airflow, fox(cdn, prediction_id=f"p{place}"), map_index=place)
    show(browser, airflow.page())
    assert texts(browser, "h1") == ["Image sets"]
    assert len(texts(browser, ".card")) == 20
    assert texts(browser, ".card h2")[0] == f"{DAG} · draw [0] · 3 images · $0.105"
    browser.evaluate("document.querySelector('.more').click()")
    wait_for(browser, "document.querySelectorAll('.card').length === 30")
    wait_for(browser, "document.querySelector('.legend')")
    assert texts(browser, ".legend li") == [f"{DAG} $3.15"]
    assert texts(browser, "#dag option") == ["All DAGs", DAG]
    browser.evaluate(
        f"document.querySelector('#dag').value = '{DAG}'; document.querySelector('#dag').dispatchEvent(new Event('change'))"
    )
    wait_for(browser, "document.querySelectorAll('.card').length === 20")
    assert any(each.startswith(f"dags/{DAG}/dagRuns/~/") for each in airflow.asked)
    link = browser.evaluate("document.querySelector('.card h2 a').href")
    assert link.startswith(f"{airflow.url}{BASE}/dags/{DAG}/runs/")
    assert link.endswith("/tasks/draw/mapped/0/plugin/seedream")
    assert browser.complaints() == []


PROMPTS = (
    ImageSetPrompt(scenes=SCENES, characters="a fox", style="ink", palette="blue").render(),
    ImageSetPrompt(scenes=("Only one",)).render(),
    ImageSetPrompt(scenes=tuple(f"Scene {number}: what? ..." for number in range(15))).render(),
    ImageSetPrompt(scenes=(HOSTILE, 'She said "First, we eat." Then they slept')).render(),
    "a fox at dawn",
    "3 images of a teapot, morning to evening",
    "2 images. First, a fox. Third, an owl.",
    "First, a fox. Second, an owl.",
    "2 images. First: a fox\nSecond: an owl in … snow",
)


def test_scenes_are_read_from_a_prompt_as_publishing_reads_them(
    browser: Page, airflow: CannedAirflow
) -> None:
    show(browser, airflow.page())
    for prompt in PROMPTS:
        scenes = scenes_of(prompt)
        code = (
            f"import('{BASE}/seedream/scenes.js').then(module => module.scenesOf({json.dumps(prompt)}, "
            f"{len(scenes) or 2}))"
        )
        assert browser.evaluate(code) == list(scenes), prompt
