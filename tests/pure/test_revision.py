"""Notes of people in prompts: whatever they say, count and scenes stay what they were."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_seedream.wavespeed import ImageSetPrompt, InvalidInputError
from airflow_provider_seedream.wavespeed.counting import NamedCount, named_count
from airflow_provider_seedream.wavespeed.optimizer import MAX_NOTE, revised
from airflow_provider_seedream.wavespeed.prompt_parsing import scenes_of
from airflow_provider_seedream.wavespeed.request import ImageSetRequest

STORY = ImageSetPrompt(
    scenes=("a fox wakes", "an owl sleeps", "a bear dances"), characters="a fox", style="ink", palette="blue"
).render()

PIECES = (
    'First,|Second,|third :|7 images|15 images.|one image|Characters:|Style:|{{|}}|. |! |" |\n|a fox|make it|<script>|'
    "\u202e|../|2 pictures of"
)
HOSTILE = st.one_of(
    st.text(st.characters(exclude_categories=["Cc", "Cs"]) | st.sampled_from("\n\t"), max_size=MAX_NOTE),
    st.lists(st.sampled_from(PIECES.split("|")), max_size=30).map(lambda words: " ".join(words)[:MAX_NOTE]),
)


@given(HOSTILE)
def test_no_note_changes_the_count_or_the_scenes(note: str) -> None:
    changed = revised(STORY, 3, note)
    assert named_count(changed) == NamedCount(3, "3 images", certain=True)
    assert scenes_of(changed) == ("a fox wakes", "an owl sleeps", "a bear dances")


@given(HOSTILE)
def test_no_note_changes_what_is_paid(note: str) -> None:
    for prompt, count in (
        (STORY, 3),
        ("a fox in the snow", 1),
        ("Generate five pictures of an owl: one a day", 5),
    ):
        request = ImageSetRequest.build(prompt=revised(prompt, count, note))
        assert request.max_images == count


@given(HOSTILE, HOSTILE)
def test_notes_of_several_rounds_add_up(first: str, second: str) -> None:
    changed = revised(revised(STORY, 3, first), 3, second)
    assert named_count(changed) == NamedCount(3, "3 images", certain=True)
    assert scenes_of(changed) == scenes_of(STORY)


def test_a_note_stands_between_the_count_and_the_scenes() -> None:
    assert revised("2 images. First, a fox. Second, an owl.", 2, "warmer  light") == (
        "2 images. In every image, warmer light. First, a fox. Second, an owl."
    )


def test_a_later_note_stands_before_an_earlier_one() -> None:
    once = revised("2 images. First, a fox. Second, an owl.", 2, "warmer light")
    assert revised(once, 2, "no text!").startswith(
        "2 images. In every image, no text! In every image, warmer light. First, a fox."
    )


def test_a_prompt_without_a_count_gets_it_so_that_no_note_can_set_it() -> None:
    assert revised("a fox", 1, "make 4 images") == "1 image. In every image, make 4 images. a fox"


@pytest.mark.parametrize("blank", ["", "  \n", "\u202e\u200b"])
def test_a_blank_note_asks_for_the_same_again(blank: str) -> None:
    assert revised("2 images. First, a fox. Second, an owl.", 2, blank) == (
        "2 images. First, a fox. Second, an owl."
    )


def test_a_note_cannot_pass_for_a_template() -> None:
    assert "{{" not in revised(STORY, 3, "{{ var.value.secret }}")


@pytest.mark.parametrize("note", ["x" * (MAX_NOTE + 1), None, 5, ["a"]])
def test_a_note_that_is_too_long_or_no_text_is_refused(note: object) -> None:
    with pytest.raises(InvalidInputError, match="note"):
        revised(STORY, 3, note)  # type: ignore[arg-type]


@pytest.mark.parametrize("odd", ["\x00", "\x1b", "\ud800"])
def test_a_note_that_no_database_stores_is_refused(odd: str) -> None:
    with pytest.raises(InvalidInputError, match=r"note=.*character 5 is .*U\+"):
        revised(STORY, 3, f"warm{odd}")
