"""The storyboard page in a real browser: whole, readable, and deaf to whatever a prompt says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_seedream.publishing.publish import publish
from airflow_provider_seedream.wavespeed.image_set import GeneratedImage, ImageSet
from airflow_provider_seedream.wavespeed.prompt import ImageSetPrompt
from airflow_provider_seedream.wavespeed.prompt_parsing import scenes_of
from tests.cdn import picture
from tests.chromium import Page, chromium

SCENES = ("A fox wakes in deep snow", "The fox meets an owl", "Both sleep by the fire")
HOSTILE = (
    "<script>alert(document.domain)</script><img src=x onerror=alert(1)><iframe src=https://example.com>",
    "\"><svg onload=alert(1)> ' onmouseover='alert(1)' </figcaption></style></title><style>*{display:none}</style>",
    "\u202egnp.exe \u202dturns\u2066 everything around",
    "ثعلب أحمر يجلس في الثلج عند الفجر & <b>ينام</b>",
    "🦊👩‍👩‍👧‍👦🏳️‍🌈 a family of emoji",
    "the fox is " + "very " * 3997 + "old",
    "x" * 20_000,
    "abc ]]> --> &amp; &#x3c; {{ 7*7 }}",
)


def published(folder: Path, scenes: tuple[str, ...]) -> Path:
    """The page of a set, published with renditions."""
    prompt = ImageSetPrompt(scenes=scenes).render()
    assert len(scenes_of(prompt)) == len(scenes)
    pictures = tuple(GeneratedImage("", index == 1) for index in range(len(scenes)))
    sources: list[str | bytes] = [picture("PNG", 640, 360, seed=index) for index in range(len(scenes))]
    image_set = ImageSet(
        "<p>&", "m<", prompt, "640*360", len(scenes), pictures, 0.035, created_at="2026-01-02T03:04:05Z"
    )
    target = ObjectStoragePath(f"file://{folder}")
    publish(
        image_set,
        target,
        sources=sources,
        storyboard_page=True,
        renditions={"webp": [160, 320], "jpeg": [320]},
    )
    return folder / "index.html"


@pytest.fixture(scope="module")
def normal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return published(tmp_path_factory.mktemp("normal"), SCENES)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return published(tmp_path_factory.mktemp("hostile"), HOSTILE)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with chromium(tmp_path_factory.mktemp("chromium")) as page:
        yield page


@pytest.mark.parametrize("name", ["normal", "hostile"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_is_whole_in_chromium_and_asks_for_nothing_but_its_pictures(
    browser: Page, request: pytest.FixtureRequest, name: str, width: int
) -> None:
    page: Path = request.getfixturevalue(name)
    browser.open(page.as_uri(), width=width, dark=width == 390)
    count = {"normal": len(SCENES), "hostile": len(HOSTILE)}[name]
    assert browser.evaluate("document.querySelectorAll('ol.scenes > li').length") == count
    assert browser.evaluate("document.images.length") == count
    assert browser.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
    assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert (
        browser.evaluate("document.querySelectorAll('script, iframe, svg, b, [onload], [onerror]').length")
        == 0
    )
    assert browser.evaluate("getComputedStyle(document.querySelector('figcaption')).display") == "grid"
    assert all(url.startswith(f"{page.parent.as_uri()}/") for url in browser.requests())
    assert browser.complaints() == []
    # What fits beside the number of a scene is what is shown: nothing lies over anything else.
    tops = "[...document.querySelectorAll('li > figure')].map(figure => figure.getBoundingClientRect())"
    assert browser.evaluate(
        f"{tops}.every(box => box.left >= 0 && box.right <= innerWidth && box.height > 100)"
    )


def test_the_browser_takes_the_smallest_picture_that_is_sharp_enough(browser: Page, normal: Path) -> None:
    browser.open(normal.as_uri(), width=390)
    assert browser.evaluate("document.images[0].currentSrc").endswith(
        "/01-a-fox-wakes-in-deep-snow-w320.webp"
    )


def test_the_keyboard_reaches_the_scenes_and_their_pictures(browser: Page, normal: Path) -> None:
    browser.open(normal.as_uri(), width=1280)
    focused = []
    for _ in range(4):
        browser.press("Tab")
        focused.append(browser.evaluate("document.activeElement.getAttribute('href')"))
        assert browser.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert focused == [
        "#scenes",
        "01-a-fox-wakes-in-deep-snow.png",
        "02-the-fox-meets-an-owl.png",
        "03-both-sleep-by-the-fire.png",
    ]


def test_a_scene_keeps_its_words_and_its_own_direction(browser: Page, hostile: Path) -> None:
    browser.open(hostile.as_uri(), width=1280)
    texts = browser.evaluate(
        "[...document.querySelectorAll('figcaption > .text')].map(each => each.textContent)"
    )
    assert texts[0] == HOSTILE[0]
    assert texts[2] == "gnp.exe turns everything around"
    assert texts[3] == HOSTILE[3]
    assert texts[4] == HOSTILE[4]
    assert len(texts[5]) < 300
    assert texts[7] == "abc ]]> --> &amp; &#x3c; {{ 7*7 }}"
    directions = (
        "[...document.querySelectorAll('figcaption > .text')].map(each => getComputedStyle(each).direction)"
    )
    assert browser.evaluate(directions) == ["ltr", "ltr", "ltr", "rtl", "ltr", "ltr", "ltr", "ltr"]
    wholes = browser.evaluate(
        "[...document.querySelectorAll('figcaption .whole')].map(each => each.textContent)"
    )
    assert HOSTILE[5] in wholes
    assert HOSTILE[6] in wholes


def test_every_picture_is_described_and_every_scene_has_a_heading(normal: Path) -> None:
    seen: list[tuple[str, dict[str, str | None]]] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            seen.append((tag, dict(attrs)))

    Reader().feed(normal.read_text())
    assert [attributes["alt"] for tag, attributes in seen if tag == "img"] == list(SCENES)
    assert [tag for tag, _ in seen if tag in ("h1", "h2", "h3")] == ["h1", "h2", "h2", "h2"]
    assert next(attributes for tag, attributes in seen if tag == "html")["lang"] == "en"
    assert not [
        attributes for tag, attributes in seen if {"style", "onclick"} & attributes.keys() or tag == "script"
    ]


def test_the_style_is_the_one_that_the_policy_names_and_nothing_is_loaded_from_elsewhere(
    normal: Path,
) -> None:
    text = normal.read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'; img-src 'self' file:; style-src 'sha256-")
    assert "unsafe" not in policy[1]
    # Microdata: words of two vocabularies, which no browser fetches.
    words = r'itemtype="https://schema\.org/ImageObject"|<link itemprop="digitalSourceType" href="[^"]+">'
    assert len(re.findall(words, text)) == 2 * text.count("<figure")
    assert re.findall(r"https?://|url\(|@import", re.sub(words, "", text)) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(scheme: str) -> None:
    style = (Path(publish.__globals__["__file__"]).parent / "storyboard.css").read_text()
    light, dark = re.findall(r":root \{([^}]+)\}", style)
    colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", light if scheme == "light" else dark))
    for ink in ("ink", "muted", "accent"):
        for ground in ("ground", "card"):
            assert contrast(colours[ink], colours[ground]) >= 4.5


def contrast(one: str, other: str) -> float:
    """Contrast ratio (WCAG 2, section 1.4.3)."""

    def luminance(colour: str) -> float:
        parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)
