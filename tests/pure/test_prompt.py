"""Prompts: scenes into the vendor's convention and back."""

from __future__ import annotations

import json
from unittest.mock import ANY

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_seedream.wavespeed.counting import NamedCount, named_count
from airflow_provider_seedream.wavespeed.errors import InvalidInputError
from airflow_provider_seedream.wavespeed.prompt import ImageSetPrompt, Scene
from airflow_provider_seedream.wavespeed.prompt_parsing import prompt_text, read_answer, scenes_of
from airflow_provider_seedream.wavespeed.request import ImageSetRequest

plain_words = st.lists(
    st.sampled_from(["a fox", "an owl", "by", "the river", "at dawn,", "in mist", "— slowly"]), min_size=1
).map(" ".join)
# Other control characters and lone surrogates are refused.
sendable = st.characters(exclude_categories=["Cc", "Cs"]) | st.sampled_from("\n\t\r")
described = st.text(sendable, min_size=1).filter(str.strip)
prompts = st.builds(
    ImageSetPrompt,
    scenes=st.lists(described.map(Scene), min_size=1, max_size=15).map(tuple),
    characters=st.text(sendable),
    style=st.text(sendable),
    palette=st.text(sendable),
)


def test_scenes_become_the_vendors_convention():
    prompt = ImageSetPrompt.of(["a fox wakes", Scene("It hunts."), {"text": "it\n sleeps!"}])
    assert prompt.render() == "3 images. First, a fox wakes. Second, It hunts. Third, it sleeps!"


def test_characters_and_style_are_said_in_every_scene_and_the_palette_once():
    prompt = ImageSetPrompt(
        (Scene("she runs"), Scene("she rests")),
        characters="a princess in a torn dress",
        style="fantasy art, cinematic",
        palette="teal and gold",
    )
    assert prompt.render() == (
        "2 images. Palette: teal and gold. "
        "First, she runs. Characters: a princess in a torn dress. Style: fantasy art, cinematic. "
        "Second, she rests. Characters: a princess in a torn dress. Style: fantasy art, cinematic."
    )


def test_fifteen_scenes_have_fifteen_ordinals():
    rendered = ImageSetPrompt.of([f"fox {number}" for number in range(1, 16)]).render()
    assert rendered.startswith("15 images. First, fox 1. Second, fox 2. ")
    assert rendered.endswith(" Fourteenth, fox 14. Fifteenth, fox 15.")


@given(prompts)
def test_a_rendered_prompt_names_as_many_images_as_it_has_scenes(prompt):
    assert named_count(prompt.render()) == NamedCount(len(prompt.scenes), ANY, certain=True)


@given(prompts)
def test_a_prompt_survives_json(prompt):
    assert ImageSetPrompt.from_json(json.loads(json.dumps(prompt.to_json()))) == prompt


@given(st.lists(plain_words, min_size=1, max_size=15), plain_words, plain_words)
def test_the_scenes_of_a_rendered_prompt_are_found_again(scenes, characters, style):
    prompt = ImageSetPrompt.of({"scenes": scenes, "characters": characters, "style": style, "palette": "red"})
    assert scenes_of(prompt.render()) == tuple(scenes)


@given(prompts)
def test_scenes_are_found_all_or_none(prompt):
    assert len(scenes_of(prompt.render())) in (0, len(prompt.scenes))


@given(st.text())
def test_any_text_can_be_asked_for_its_scenes(text):
    assert all(scenes_of(text))


@pytest.mark.parametrize(
    ("text", "scenes"),
    [
        (
            "2 images. First, a young princess in a dark castle… Second, the princess riding at dawn…",
            ("a young princess in a dark castle…", "the princess riding at dawn…"),
        ),
        ("First, a fox. Second: an owl", ("a fox", "an owl")),
        ("Two images.\n\nFirst, a fox\nSecond, an owl\n", ("a fox", "an owl")),
        ("2 images. first, a fox; second, an owl.", ("a fox;", "an owl")),
        ("1 image. First, a fox.", ("a fox",)),
    ],
)
def test_scenes_in_the_vendors_convention_are_told_apart(text, scenes):
    assert scenes_of(text) == scenes


@pytest.mark.parametrize(
    "text",
    [
        "a fox at dawn",
        "3 images of a fox",
        "First, a fox.",
        "3 images. First, a fox. Second, an owl.",
        "2 images. First, a fox. Third, an owl.",
        "2 images. First, a fox. First, an owl.",
        "2 images. Second, a fox. First, an owl.",
        "2 images. The First, and the Second, are foxes",
        "First, 2 images of a fox. Second, 3 images of an owl.",
    ],
)
def test_scenes_that_cannot_be_told_apart_are_not_guessed(text):
    assert scenes_of(text) == ()


@pytest.mark.parametrize("value", [None, "", "  \n", [], (), {"scenes": []}])
def test_an_empty_prompt_is_refused(value):
    with pytest.raises(InvalidInputError, match=r"prompt=.* is refused: .* (Describe|Give)"):
        prompt_text(value)


@pytest.mark.parametrize(
    "value", [["a fox", " "], [""], [{"text": ""}], [{}], [None], [3], {"scenes": ["a", None]}]
)
def test_a_blank_scene_is_refused(value):
    with pytest.raises(InvalidInputError, match=r"a scene must be text that describes an image"):
        prompt_text(value)


@pytest.mark.parametrize("value", [7, True, b"a fox", {"a fox"}, object()])
def test_a_prompt_of_another_type_is_refused(value):
    with pytest.raises(InvalidInputError, match=r"it must be text, a list of scenes, or an ImageSetPrompt"):
        prompt_text(value)


@pytest.mark.parametrize("scenes", ["a fox", {"text": "a fox"}, b"a fox", 3])
def test_scenes_that_are_no_list_are_refused(scenes):
    with pytest.raises(InvalidInputError, match="scenes must be a list"):
        ImageSetPrompt(scenes=scenes)


def test_sixteen_scenes_are_refused():
    with pytest.raises(InvalidInputError, match=r"16 scenes, and a set has 1-15 images. Split it"):
        prompt_text(["a fox"] * 16)


@pytest.mark.parametrize(
    ("mapping", "closest"),
    [
        ({"scene": ["a fox"]}, "scenes"),
        ({"scenes": ["a fox"], "styles": "noir"}, "style"),
        ({"scenes": [{"txt": "a fox"}]}, "text"),
    ],
)
def test_an_unknown_key_of_a_prompt_is_refused_with_the_closest_known_one(mapping, closest):
    with pytest.raises(InvalidInputError, match=f'Did you mean "{closest}"'):
        ImageSetPrompt.from_json(mapping)


def test_a_prompt_mapping_without_scenes_is_refused():
    with pytest.raises(InvalidInputError, match='it has no "scenes"'):
        prompt_text({"style": "noir"})


@pytest.mark.parametrize("part", ["characters", "style", "palette"])
def test_a_part_that_is_no_text_is_refused(part):
    with pytest.raises(InvalidInputError, match=f"^{part}="):
        ImageSetPrompt.from_json({"scenes": ["a fox"], part: ["red"]})


@pytest.mark.parametrize(
    "value",
    [
        '["a fox", "an owl"]',
        '[{"text": "a fox"}, "an owl"]',
        '{"scenes": ["a fox", {"text": "an owl"}]}',
        '```json\n["a fox", "an owl"]\n```',
        ImageSetPrompt((Scene("a fox"), Scene("an owl"))),
        ("a fox", "an owl"),
    ],
)
def test_scenes_are_read_in_every_form_a_template_can_leave_them_in(value):
    assert prompt_text(value) == "2 images. First, a fox. Second, an owl."


@pytest.mark.parametrize(
    "text",
    [
        str(["a fox", "an owl"]),
        str(["a fox's den", "an owl"]),
        str([{"text": "a fox"}]),
        str({"scenes": ["a fox"]}),
        str(ImageSetPrompt((Scene("a fox"),))),
        str([Scene("a fox")]),
        str(("a fox", "an owl")),
        str({"scene": "a fox"}),
        "LazySelectSequence(['a fox'])",
        "<airflow.models.xcom_arg.PlainXComArg object at 0x7f0000>",
        "<generator object scenes at 0x7f0000>",
        "None",
        "null",
        "[]",
        "{}",
    ],
)
def test_the_repr_of_an_object_is_not_paid_for(text):
    with pytest.raises(InvalidInputError, match=r"a template leaves of an object.* \| tojson"):
        prompt_text(text)


@pytest.mark.parametrize("text", ["{{ params.prompt }}", "a mug that says {{ ds }}"])
def test_a_template_that_was_not_rendered_is_not_paid_for(text):
    with pytest.raises(
        InvalidInputError, match=r"holds \{\{ .* \}\}, which looks like a template that was not rendered"
    ):
        prompt_text(text)


@pytest.mark.parametrize("text", ["story.yaml", "stories/fox.md", "scenes.json"])
def test_the_name_of_a_file_is_not_paid_for(text):
    with pytest.raises(InvalidInputError, match=r"name of a file.*SeedreamPromptOperator"):
        prompt_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "[wide shot] a fox",
        '{"subject": "a fox", "style": "noir"}',
        "{a fox}",
        "[1, 2]",
        "Nonesuch palace",
        "<3 a fox in love>",
    ],
)
def test_brackets_and_json_of_other_shapes_are_prompts_like_any_other(text):
    assert prompt_text(f" {text}\n") == text


ODD = ["\x00", "\x07", "\x1b", "\x0b", "\x1c", "\x7f", "\x85", "\x9f", "\ud800", "\udfff"]


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize(
    ("prompt", "place"),
    [
        ("a fox{}", "prompt=.*character 6 is"),
        (["a fox", "an owl{}"], "prompt=.*character 7 of scene 2 is"),
        ({"scenes": ["a fox", {"text": "{}an owl"}]}, "prompt=.*character 1 of scene 2 is"),
        ({"scenes": ["a fox"], "characters": "Mo{}"}, "characters=.*character 3 is"),
        ({"scenes": ["a fox"], "style": "ink{}"}, "style=.*character 4 is"),
        ({"scenes": ["a fox"], "palette": "{}red"}, "palette=.*character 1 is"),
        ("1. a fox\n2. an {}owl", "prompt=.*character 16 is"),
    ],
)
def test_a_prompt_that_no_database_stores_is_refused_with_its_place(prompt, place, odd):
    def filled(value):
        if isinstance(value, str):
            return value.replace("{}", odd)
        if isinstance(value, list):
            return [filled(each) for each in value]
        return {name: filled(each) for name, each in value.items()}

    for read in (prompt_text, read_answer, lambda value: ImageSetRequest.build(prompt=value)):
        with pytest.raises(InvalidInputError, match=rf"(?s){place} .*U\+{ord(odd):04X}") as refused:
            read(filled(prompt))
        assert str(refused.value).isprintable()


@pytest.mark.parametrize("odd", ODD)
def test_the_json_of_a_prompt_hides_no_odd_character(odd):
    with pytest.raises(InvalidInputError, match="of scene 1"):
        prompt_text(json.dumps({"scenes": [f"a fox{odd}"]}))


def test_line_breaks_tabs_and_letters_of_all_the_world_may_be_sent():
    text = "a fox\r\n\tat dawn,\u3000狐\u2028\U0001f98a\u200d\ufe0f"
    assert ImageSetRequest.build(prompt=text).prompt == text


def test_a_prompt_that_takes_long_to_read_is_refused():
    with pytest.raises(InvalidInputError, match="100,001 characters; 100,000 is the most"):
        ImageSetRequest.build(prompt="a" * 100_001)
