"""What a person sees who is asked about an image set."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from airflow_provider_seedream.operators.review_form import plain, review_form
from airflow_provider_seedream.wavespeed import GeneratedImage, ImageSet

SET = ImageSet(
    prediction_id="p",
    model="bytedance/seedream-v5.0-lite/sequential",
    prompt="2 images. First, a fox. Second, an owl.",
    size="2048*2048",
    requested=2,
    images=(
        GeneratedImage("https://cdn.example/1.jpg"),
        GeneratedImage("https://cdn.example/2.jpg", flagged=True),
    ),
    cost_usd=0.07,
)


MARKUP = [
    "<script>",
    "![x](https://e)",
    "[a](https://e)",
    "<https://e>",
    "**",
    "`",
    "~~",
    "\\",
    "# ",
    "> ",
    "- ",
]
MARKUP += ["1. ", "&lt;", "&#60;", "\n\n", "---"]


def html(markdown: str) -> str:
    """As a renderer of CommonMark shows it that escapes HTML."""
    return str(MarkdownIt("commonmark", {"html": False}).render(markdown))


def test_every_picture_is_shown_with_its_scene_and_its_flag() -> None:
    shown = html(review_form(SET, number=1, rounds=3, spent_usd=0.07))
    assert '<img src="https://cdn.example/1.jpg" alt="Image 1"' in shown
    assert '<img src="https://cdn.example/2.jpg" alt="Image 2"' in shown
    assert "1. a fox" in shown
    assert "2. an owl <strong>Flagged as unsafe by the vendor.</strong>" in shown


def test_the_form_says_what_was_paid_and_what_a_rejection_costs() -> None:
    form = review_form(SET, number=2, rounds=3, spent_usd=0.14)
    assert form.startswith(
        "**Round 2 of 3** cost $0.07, all rounds so far $0.14. "
        "Reject it to have 2 new images drawn for $0.07, changed by your note."
    )
    assert "$0.07" not in review_form(SET, number=3, rounds=3, spent_usd=0.21).split("It is the last one")[1]


def test_a_picture_without_a_web_link_is_not_shown_as_one() -> None:
    form = review_form(
        replace(SET, images=(GeneratedImage("file:///etc/passwd"), GeneratedImage("javascript:alert(1)"))),
        number=1,
        rounds=1,
        spent_usd=0.07,
    )
    assert "![" not in form


def test_a_link_cannot_leave_its_place() -> None:
    hostile = "https://cdn.example/1.jpg>) [here](https://evil.example"
    shown = html(
        review_form(
            replace(SET, images=(GeneratedImage(hostile), GeneratedImage("https://a/b"))),
            number=1,
            rounds=1,
            spent_usd=0,
        )
    )
    assert "<a " not in shown
    assert shown.count("<img") == 2


@given(
    st.one_of(
        st.text(max_size=300),
        st.lists(
            st.sampled_from(MARKUP),
            max_size=12,
        ).map(" ".join),
    )
)
def test_no_prompt_is_anything_but_text(text: str) -> None:
    shown = html(f"Prompt: {plain(text, 1000)}").strip()
    assert shown.startswith("<p>Prompt:")
    assert shown.endswith("</p>")
    assert "<" not in shown.removeprefix("<p>").removesuffix("</p>")


@pytest.mark.parametrize("length", [1, 10, 200])
def test_a_long_text_is_cut(length: int) -> None:
    assert len(plain("word " * 1000, length)) == length
