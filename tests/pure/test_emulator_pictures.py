"""The emulator's pictures, without a server."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from airflow_provider_seedream.emulator.painter import Painter
from airflow_provider_seedream.emulator.predictions import ImageSpec, split
from airflow_provider_seedream.emulator.state import draw

PROMPT = "3 images. First, a fox wakes in the wood. Second, the fox sails. Third, the fox sleeps."


def spec(
    position: int = 1, *, prompt: str = PROMPT, size: tuple[int, int] = (320, 240), form: str = "png"
) -> ImageSpec:
    parts = split(prompt)
    scene = parts[position] if position < len(parts) else parts[0]
    return ImageSpec(prompt, scene, 1, position, *size, form)


def drawn(
    position: int = 1, *, prompt: str = PROMPT, size: tuple[int, int] = (320, 240), form: str = "png"
) -> bytes:
    return Painter(spec(position, prompt=prompt, size=size, form=form)).paint()


def test_a_prompt_is_split_at_its_ordinals_in_order() -> None:
    assert split(PROMPT) == ["3 images.", "a fox wakes in the wood.", "the fox sails.", "the fox sleeps."]


@pytest.mark.parametrize(
    "prompt", ["a hen", "", "Second, a hen. Third, a fox.", "the First Lady and her cat"]
)
def test_a_prompt_without_scenes_shows_its_own_words_in_every_picture(prompt: str) -> None:
    assert split(prompt) == [prompt]
    assert spec(1, prompt=prompt).scene == spec(4, prompt=prompt).scene == prompt


def test_the_same_picture_is_drawn_to_the_same_bytes_and_every_scene_to_others() -> None:
    assert drawn(1) == drawn(1)
    assert len({drawn(1), drawn(2), drawn(3), drawn(1, prompt="a hen")}) == 4


def test_a_set_shares_its_look_and_takes_its_character_from_the_words() -> None:
    one, other = Painter(spec(1)), Painter(spec(2))
    assert (one.tints, one.land, one.night) == (other.tints, other.land, other.night)
    assert one.character == other.character == "fox"
    princess = spec(prompt="2 images. First, a princess meets a bear. Second, they dance.")
    assert Painter(princess).character == "traveller"
    assert Painter(spec(prompt="a quiet night in the desert")).land == "dunes"


@pytest.mark.parametrize("size", [(1, 1), (16, 300), (300, 16), (301, 203)])
@pytest.mark.parametrize("form", ["png", "jpeg"])
def test_any_size_is_drawn_exactly(size: tuple[int, int], form: str) -> None:
    with Image.open(io.BytesIO(drawn(size=size, form=form))) as picture:
        picture.load()
        assert (picture.size, picture.format) == (size, form.upper())


@pytest.mark.parametrize("words", ["", "Ёлка çà “so” …", "一只猫", "🦊", "x" * 4000, "word " * 900])
def test_any_words_can_be_written(words: str) -> None:
    assert drawn(prompt=f"1 image. First, {words}")


def test_an_image_is_drawn_once_and_no_more_are_kept_than_may_be() -> None:
    draw.cache_clear()
    first = draw(spec(1, size=(16, 16)))
    assert draw(spec(1, size=(16, 16))) is first
    for width in range(17, 17 + draw.cache_parameters()["maxsize"]):
        draw(spec(2, size=(width, 16)))
    again = draw(spec(1, size=(16, 16)))
    assert again == first
    assert again is not first
