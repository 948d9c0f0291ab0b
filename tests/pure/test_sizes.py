"""Sizes: what is accepted, what is refused, and which size is told instead."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_seedream.wavespeed.errors import InvalidInputError
from airflow_provider_seedream.wavespeed.request import MODELS, ImageSetRequest
from airflow_provider_seedream.wavespeed.sizes import PRESETS, Size

any_side = st.integers(-10, 20_000)
some_side = st.integers(1, 20_000)


def follows_the_vendors_rules(width: int, height: int) -> bool:
    """Written out anew from the request table of the model page."""
    sides = 1440 <= width <= 4096 and 1440 <= height <= 4096
    return sides and 2560 * 1440 <= width * height <= 4096 * 4096


@given(any_side, any_side)
def test_exactly_the_sizes_within_both_rules_exist(width, height):
    if follows_the_vendors_rules(width, height):
        assert str(Size(width, height)) == f"{width}*{height}"
    else:
        with pytest.raises(InvalidInputError, match="size="):
            Size(width, height)


@given(any_side, any_side)
def test_the_nearest_size_is_always_valid(width, height):
    near = Size.nearest(width, height)
    assert follows_the_vendors_rules(near.width, near.height)


@given(any_side, any_side, st.sampled_from(sorted(MODELS)))
def test_every_model_has_its_rules_and_a_nearest_size_within_them(width, height, model):
    rules = MODELS[model].size_rules
    near = Size.nearest(width, height, rules)
    assert Size.parse(str(near), rules=rules) == near
    if follows_the_vendors_rules(width, height):
        assert near == Size(width, height)


@pytest.mark.parametrize(
    ("version", "size", "taken"),
    [
        ("v5.0-lite", "1024*4096", False),
        ("v4.5", "1024*4096", True),
        ("v4.5", "1024*1024", False),
        ("v4", "1024*1024", True),
        ("v4", "1000*1100", False),
        ("v4", "4096*4097", False),
    ],
)
@pytest.mark.parametrize("variant", ["sequential", "edit-sequential"])
def test_the_older_models_take_smaller_pictures(version, variant, size, taken):
    inputs = {"prompt": "a fox", "size": size, "model": f"bytedance/seedream-{version}/{variant}"}
    if variant.startswith("edit"):
        inputs["images"] = ["https://example.org/fox.png"]
    if taken:
        assert ImageSetRequest.build(**inputs).inputs()["size"] == size
    else:
        with pytest.raises(InvalidInputError, match="The nearest valid size is"):
            ImageSetRequest.build(**inputs)


@given(st.integers(1440, 4096), st.integers(1440, 4096))
def test_a_valid_size_is_its_own_nearest(width, height):
    if follows_the_vendors_rules(width, height):
        assert Size.nearest(width, height) == Size(width, height)


@given(some_side, some_side)
def test_the_nearest_size_keeps_the_aspect_ratio_where_a_valid_size_has_it(width, height):
    near = Size.nearest(width, height)
    ratio = Fraction(max(width, height), min(width, height))
    found = Fraction(near.width, near.height) if width >= height else Fraction(near.height, near.width)
    if ratio <= Fraction(4096, 1440):
        assert abs(found / ratio - 1) < Fraction(1, 1000)
    else:
        assert found == Fraction(4096, 1440)


@given(some_side, some_side)
def test_the_nearest_size_turns_with_the_sides(width, height):
    near, turned = Size.nearest(width, height), Size.nearest(height, width)
    assert (near.width, near.height) == (turned.height, turned.width)


@given(some_side, some_side)
def test_no_valid_size_of_the_same_ratio_lies_between_a_size_and_its_nearest(width, height):
    near = Size.nearest(width, height)
    if not follows_the_vendors_rules(width, height) and near.pixels > width * height and width >= height:
        shorter = near.height - 1
        assert not follows_the_vendors_rules(shorter * width // height, shorter)


@given(any_side, any_side)
def test_a_refusal_tells_a_size_that_is_accepted(width, height):
    if not follows_the_vendors_rules(width, height):
        with pytest.raises(InvalidInputError, match=r"The nearest valid size is") as refusal:
            Size.parse((width, height))
        assert Size.parse(refusal.value.way_out.split('"')[1])


@given(st.integers(1440, 4096), st.integers(1440, 4096), st.sampled_from(["*", "x", "X", "×", " * ", " x "]))
def test_every_way_to_write_a_size_gives_the_same_size(width, height, sign):
    if follows_the_vendors_rules(width, height):
        size = Size(width, height)
        assert Size.parse(f"{width}{sign}{height}") == size
        assert Size.parse((width, height)) == Size.parse([width, height]) == size
        assert Size.parse(f"({width}, {height})") == Size.parse([str(width), str(height)]) == size
        assert Size.of_sides(width, str(height)) == size
        assert Size.parse(size) == Size.parse(str(size)) == size


@pytest.mark.parametrize(
    ("preset", "two_k", "four_k"),
    [
        ("1:1", "2048*2048", "4096*4096"),
        ("16:9", "2848*1600", "4096*2304"),
        ("9:16", "1600*2848", "2304*4096"),
        ("4:3", "2304*1728", "4096*3072"),
        ("3:4", "1728*2304", "3072*4096"),
        ("3:2", "2496*1664", "4080*2720"),
        ("2:3", "1664*2496", "2720*4080"),
    ],
)
def test_a_preset_has_its_ratio_at_every_resolution(preset, two_k, four_k):
    assert str(Size.parse(preset)) == str(Size.parse(preset, "2K")) == two_k
    assert str(Size.parse(f" {preset} ", "4k")) == four_k
    width, height = map(int, preset.split(":"))
    for sizes in PRESETS.values():
        # The model's own 16:9 of 2K is 2848*1600.
        assert (
            abs(Fraction(sizes[preset].width, sizes[preset].height) / Fraction(width, height) - 1) < 1 / 700
        )


def test_there_are_exactly_the_presets_of_the_model_page():
    assert {resolution: set(sizes) for resolution, sizes in PRESETS.items()} == {
        resolution: {"1:1", "16:9", "9:16", "4:3", "3:4", "3:2", "2:3"} for resolution in ("2K", "3K", "4K")
    }


@pytest.mark.parametrize(
    ("size", "told"),
    [
        ("1000*1000", "1920*1920"),
        ("1440*1440", "1920*1920"),
        ("1280x720", "2560*1440"),
        ("5000*2000", "4096*1638"),
        ("8192*8192", "4096*4096"),
        ((1440, 2048), "1610*2290"),
        ("100000*1", "4096*1440"),
        ("0*0", "1920*1920"),
        ("21:9", "3360*1440"),
    ],
)
def test_a_size_outside_the_rules_is_refused_with_the_nearest_valid_one(size, told):
    with pytest.raises(InvalidInputError) as refusal:
        Size.parse(size)
    assert str(refusal.value).startswith(f"size={size!r} is refused: ")
    assert f'"{told}"' in refusal.value.way_out


def test_only_the_broken_rule_is_told():
    with pytest.raises(
        InvalidInputError, match=r"refused: the total must be 3,686,400-16,777,216 pixels"
    ) as total:
        Size.parse("1440*1440")
    assert "each side" not in str(total.value)
    with pytest.raises(InvalidInputError, match=r"refused: each side must be 1440-4096 pixels") as side:
        Size.parse("5000*2000")
    assert "total" not in str(side.value)


@pytest.mark.parametrize(
    "size",
    [
        "2048x",
        "x2048",
        "square",
        "",
        "  ",
        "2048",
        2048,
        "2048*2048*3",
        "-2048*2048",
        "2048.0*2048",
        "None",
        True,
        (2048,),
        (2048, 2048, 3),
        (2048.0, 2048),
        (True, 2048),
        {"width": 2048},
        "16:",
        "0:0",
        "9" * 5000 + "*1",
    ],
)
def test_what_is_no_size_is_refused_with_examples(size):
    with pytest.raises(
        InvalidInputError, match=r'1440-4096 pixels .* For example "2048\*2048" or "16:9"\.'
    ) as refusal:
        Size.parse(size)
    assert refusal.value.field == "size"


@pytest.mark.parametrize(
    ("width", "height", "field"),
    [
        (1000, 2000, "width"),
        (2000, 5000, "height"),
        (1440, 1440, "height"),
        ("wide", 2000, "width"),
        (2000, 1.5, "height"),
    ],
)
def test_a_refused_side_is_named(width, height, field):
    with pytest.raises(InvalidInputError, match=r"width=\d+, height=\d+\.$") as refusal:
        Size.of_sides(width, height)
    assert refusal.value.field == field


@pytest.mark.parametrize("resolution", ["1K", "5K", "8K", "", "high", 4, True])
def test_an_unknown_resolution_is_refused(resolution):
    with pytest.raises(InvalidInputError, match=r'resolution=.* must be 2K, 3K, 4K.*"4K"'):
        Size.parse("16:9", resolution)


@pytest.mark.parametrize("size", ["2048*2048", (2048, 2048), "21:9", "square"])
def test_a_resolution_without_a_preset_is_refused(size):
    with pytest.raises(InvalidInputError, match=r"resolution='4K' .* belongs to a preset.* 16:9"):
        Size.parse(size, "4K")
