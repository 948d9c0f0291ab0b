"""A rewritten prompt is sent only if it asks for the same images in the same order."""

from __future__ import annotations

import random
from unittest.mock import ANY

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_seedream.wavespeed import (
    ImageSetPrompt,
    ImageSetRequest,
    InvalidInputError,
    UnusableEnhancementError,
)
from airflow_provider_seedream.wavespeed.counting import NamedCount, named_count
from airflow_provider_seedream.wavespeed.optimizer import EnhancementRequest, reconciled
from airflow_provider_seedream.wavespeed.prompt_parsing import scenes_of

FOX = ImageSetRequest.build(
    prompt=["A fox wakes in its den", "It hunts by the river", "It sleeps in moonlight"]
)
GOOD = (
    "3 images. First, a russet fox waking in a mossy den. Second, the fox hunting along a misty river. "
    "Third, the fox asleep under moonlight."
)
scene_lists = st.lists(
    st.sampled_from(
        ["castle knight", "harbour sailor", "desert camel", "orchard beekeeper", "glacier mammoth"]
    ),
    min_size=2,
    max_size=5,
    unique=True,
)


@pytest.mark.parametrize(
    ("enhanced", "text"),
    [
        (GOOD, GOOD),
        (f"Sure! Here is the enhanced prompt:\n\n{GOOD}", GOOD),
        (GOOD.removeprefix("3 images. "), GOOD),
        (
            "1. A russet fox waking in its den\n2. The fox hunting by a river\n3. The fox asleep in moonlight",
            ImageSetPrompt(
                ["A russet fox waking in its den", "The fox hunting by a river", "The fox asleep in moonlight"]
            ).render(),
        ),
        (
            '```json\n["fox waking in a den", "fox hunting, river", "fox asleep, moonlight"]\n```',
            "3 images. First, fox waking in a den. Second, fox hunting, river. Third, fox asleep, moonlight.",
        ),
    ],
)  # fmt: skip
def test_what_takes_no_guess_is_put_right(enhanced, text):
    assert reconciled(FOX, enhanced) == text


@pytest.mark.parametrize(
    ("enhanced", "why"),
    [
        ("", "it is empty"),
        (" \n", "it is empty"),
        ("A cinematic russet fox through a whole day and night", "the 3 scenes cannot be separated"),
        (GOOD.replace("3 images", "4 images"), "names 4 images"),
        ("3 images. First, a fox waking. Second, a fox hunting.", "cannot be separated"),
        ("1. A fox waking\n2. A fox hunting", "names 2 images"),
        ("First, a fox waking. Second, a fox hunting.", "tells 2 scenes"),
        (
            "Moody fox pictures:\n- waking\n- hunting\n- sleeping",
            "may belong to the scenes of its list, or not",
        ),
        (
            "3 images. First, a fox asleep in moonlight. Second, it hunts by the river. Third, it wakes in its den.",
            "tells the scenes in another order",
        ),
    ],
)
def test_what_takes_a_guess_is_refused(enhanced, why):
    with pytest.raises(UnusableEnhancementError, match=why):
        reconciled(FOX, enhanced)


def test_a_prompt_without_scenes_needs_only_its_count():
    one, several = ImageSetRequest.build(prompt="a fox"), ImageSetRequest.build(prompt="4 images of a fox")
    assert reconciled(one, "A majestic fox, golden hour") == "A majestic fox, golden hour"
    assert reconciled(several, "A majestic fox, golden hour") == "4 images. A majestic fox, golden hour"
    with pytest.raises(UnusableEnhancementError, match="names 2 images"):
        reconciled(one, "2 images of a majestic fox")


@given(scene_lists, st.randoms(use_true_random=False))
def test_any_order_but_the_first_is_noticed(scenes: list[str], luck: random.Random):
    original = ImageSetRequest.build(prompt=scenes)
    shuffled = luck.sample(scenes, len(scenes))
    enhanced = ImageSetPrompt([f"a luminous {scene}, richly detailed" for scene in shuffled]).render()
    if shuffled == scenes:
        assert reconciled(original, enhanced) == enhanced
    else:
        with pytest.raises(UnusableEnhancementError, match="another order"):
            reconciled(original, enhanced)


PIECES = [
    "3 images. ",
    "2 images. ",
    "First, ",
    "Second, ",
    "Third, ",
    "a fox. ",
    "an owl. ",
    "1. ",
    "2. ",
    "- ",
    "\n",
]


@given(scene_lists, st.text() | st.lists(st.sampled_from(PIECES)).map("".join))
def test_whatever_is_let_through_asks_for_the_same_images(scenes, enhanced):
    original = ImageSetRequest.build(prompt=scenes)
    try:
        text = reconciled(original, enhanced)
    except UnusableEnhancementError:
        return
    assert named_count(text) == NamedCount(len(scenes), ANY, certain=True)
    assert len(scenes_of(text)) == len(scenes)


def test_the_request_is_billed_by_all_that_changes_its_answer():
    request = EnhancementRequest.build(text="a fox")
    assert request.inputs() == {"text": "a fox", "mode": "image", "style": "default"}
    others = [
        EnhancementRequest.build(text="an owl"),
        EnhancementRequest.build(text="a fox", mode="video"),
        EnhancementRequest.build(text="a fox", style="anime"),
    ]
    fingerprints = [each.fingerprint("c") for each in (request, *others)] + [request.fingerprint("d")]
    assert len(set(fingerprints)) == 5


@pytest.mark.parametrize(("field", "choice"), [("mode", "images"), ("style", "animé")])
def test_a_choice_that_the_optimizer_does_not_have_is_refused_with_the_closest(field, choice):
    with pytest.raises(InvalidInputError, match=rf'^enhancement_{field}=.* Did you mean "(image|anime)"'):
        EnhancementRequest.build(text="a fox", **{field: choice})


@pytest.mark.parametrize("odd", ["\x00", "\x07", "\ud800"])
def test_a_text_that_no_database_stores_is_not_sent_to_be_enhanced(odd):
    with pytest.raises(InvalidInputError, match=r"prompt=.*character 6 is .*U\+"):
        EnhancementRequest.build(text=f"a fox{odd}")
