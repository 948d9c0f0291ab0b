"""What language models and people write when asked for scenes is read, or refused, and never guessed."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_seedream.wavespeed import ImageSetPrompt, InvalidInputError, read_answer
from airflow_provider_seedream.wavespeed.prompt_parsing import prompt_text, scenes_of

SCENES = ["A fox wakes", "It hunts", "It sleeps"]
ORDINALS = ("First", "Second", "Third", "Fourth", "Fifth", "Sixth", "Seventh", "Eighth", "Ninth", "Tenth")

plain_scenes = st.lists(
    st.lists(
        st.sampled_from(["a fox", "an owl", "by the river", "at dawn,", "in 2 boats", "— slowly"]), min_size=1
    ).map(lambda words: "so " + " ".join(words)),
    min_size=1,
    max_size=10,
)
FORMS = {
    "JSON list": json.dumps,
    "JSON mapping": lambda scenes: json.dumps({"scenes": scenes}, indent=2),
    "fenced JSON": lambda scenes: f"```json\n{json.dumps(scenes)}\n```",
    "fenced JSON with talk": lambda scenes: f"Here you are!\n\n```json\n{json.dumps(scenes)}\n```\n\nAnything else?",
    "JSON after talk": lambda scenes: f"Here are your scenes:\n{json.dumps(scenes)}",
    "JSON with ordinals": lambda scenes: json.dumps([f"{o}, {s}" for o, s in zip(ORDINALS, scenes, strict=False)]),
    "numbers": lambda scenes: "\n".join(f"{at}. {scene}" for at, scene in enumerate(scenes, 1)),
    "brackets": lambda scenes: "\n\n".join(f"{at}) {scene}" for at, scene in enumerate(scenes, 1)),
    "names": lambda scenes: "\n".join(f"**Scene {at}:** {scene}" for at, scene in enumerate(scenes, 1)),
    "names on lines of their own": lambda scenes: "\n\n".join(f"Scene {at}:\n\n{scene}" for at, scene in enumerate(scenes, 1)),
    "bullets": lambda scenes: "\n".join(f"- {scene}" for scene in scenes),
    "a heading": lambda scenes: "# A fox's day\n\n" + "\n".join(f"* {scene}" for scene in scenes),
    "talk": lambda scenes: f"Sure! Here are the {len(scenes)} scenes:\n\n" + "\n".join(f"- {scene}" for scene in scenes),
    "a label": lambda scenes: "**Scenes:**\n" + "\n".join(f"• {scene}" for scene in scenes),
    "a fenced list": lambda scenes: "```\n" + "\n".join(f"- {scene}" for scene in scenes) + "\n```",
    "quotes": lambda scenes: "\n".join(f'- "{scene}"' for scene in scenes),
}  # fmt: skip


def told(answer):
    prompt = read_answer(answer)
    assert isinstance(prompt, ImageSetPrompt)
    return [scene.text for scene in prompt.scenes]


@pytest.mark.parametrize("form", FORMS)
@given(scenes=plain_scenes)
def test_scenes_are_read_in_every_form_they_are_written_in(form, scenes):
    assert told(FORMS[form](scenes)) == scenes


def test_what_goes_on_in_the_next_lines_belongs_to_its_scene():
    assert told("1. **Dawn**\n   A fox wakes.\n   - mist\n2. Dusk:\nit sleeps.") == [
        "Dawn A fox wakes. mist",
        "Dusk: it sleeps.",
    ]


def test_the_output_of_a_model_with_a_schema_is_read_as_it_is():
    answer = {"scenes": ["1. A fox", "2. An owl"], "style": "noir"}
    assert read_answer(answer) == ImageSetPrompt(("A fox", "An owl"), style="noir")


@pytest.mark.parametrize(
    ("text", "prompt"),
    [
        ("A fox at dawn", "A fox at dawn"),
        (
            "Sure! Here is your prompt:\n\n2 images. First, a fox. Second, an owl.",
            "2 images. First, a fox. Second, an owl.",
        ),
        ("Here: a fox", "Here: a fox"),
        ("Here they live:\nfoxes in snow", "Here they live:\nfoxes in snow"),
        ("A wide shot\n- quiet", "A wide shot\n- quiet"),
        ("[wide shot] a fox", "[wide shot] a fox"),
        ("3.5 metres of fox", "3.5 metres of fox"),
        ("A fox.\n\n```\nnot JSON\n```", "A fox.\n\n```\nnot JSON\n```"),
    ],
)
def test_a_text_without_a_list_is_a_prompt_as_it_stands(text, prompt):
    assert read_answer(text) == prompt


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("A fox with:\n- a hat\n- boots", "words that may belong to the scenes of its list, or not"),
        ("These three foxes live in snow:\n1. a fox\n2. an owl", "may belong to the scenes"),
        ("In the style of Van Gogh:\n1. a fox\n2. an owl", "may belong to the scenes"),
        ("1. a fox\n3. an owl", "numbered 1, 3"),
        ("2. a fox\n3. an owl", "numbered 2, 3"),
        ("1. a fox\n2. an owl\n\nMake them all blue.", "goes on with 'Make them all blue.'"),
        ("Here are four scenes:\n1. a fox\n2. an owl", "announces 4 scenes and lists 2"),
        ("```json\n[\"a fox\"]\n```\n```json\n[\"an owl\"]\n```", "2 fenced blocks"),
        ("```json\n[\"a fox\", \"an ow", "may be cut off"),
        ("```json\n[\"a fox\", oops]\n```", "no JSON of scenes"),
        ("```json\n{\"prompts\": [\"a fox\"]}\n```", "no JSON of scenes"),
        ('["a fox", "an ow', "may be cut off"),
        ('{"scenes": ["a fox", "an owl"', "may be cut off"),
        ('{"scenes": ["a fox", "an owl", "a bear",]}', "it is broken"),
        ('{"scenes": ["a fox", "an owl"]', "may be cut off"),
        ('{"scenes": ["a fox" "an owl"]}', "it is broken"),
        ('{"scenes": ["a fox", "say "hi" owl"]}', "it is broken"),
        ('{"scenes": [\n"a fox", // first\n"an owl"\n]}', "it is broken"),
        ('{"characters": "A fox", "scenes": ["a", "b",]}', "it is broken"),
        ('{"characters": "A fox", "sce', "may be cut off"),
        ('{ // of foxes\n"scenes": ["a fox"]}', "it is broken"),
        ("{scenes: ['a fox', 'an owl']}", "it is broken"),
        ("{'scenes': ['a fox', 'an owl']", "may be cut off"),
        ("{'scenes': ['a fox', 'an owl']}", "what a template leaves of an object"),
        ('[{"text": "a fox"}, {"text": "an owl"}', "may be cut off"),
        ('[{"text": "a fox"}, {"text": "an owl"},]', "what a template leaves of an object"),
        ('Here are the scenes:\n{"scenes": ["a fox", "an owl",]}', "it is broken"),
        ('Here are the scenes:\n["a fox", "an owl",]', "it is broken"),
        ("1. a fox\n2. an owl\nLet me know if you want changes!", "goes on with 'Let me know"),
        ("- a fox\n- an owl\nI hope these help", "goes on with 'I hope these help'"),
        ('{"prompts": ["a fox", "an owl"]}', "it is JSON, but not of scenes"),
        ('{"scenes": [{"description": "a fox"}]}', "no such key of a scene"),
        ({"prompts": ["a fox"]}, "no such key of a prompt"),
        ("", "it is blank"),
        (None, "it is required"),
        (7, "it must be text"),
        ([], "it has 0 scenes"),
    ],
)  # fmt: skip
def test_what_can_be_read_in_two_ways_or_in_none_is_refused(answer, why):
    with pytest.raises(InvalidInputError, match=why):
        read_answer(answer)


@pytest.mark.parametrize("answer", ['{"scenes": ["a fox",]}', 'Here are the scenes:\n["a fox", "an owl",]'])
def test_a_prompt_that_is_broken_json_is_refused_wherever_it_is_given(answer):
    with pytest.raises(InvalidInputError, match="it is broken"):
        prompt_text(answer)


@given(st.text() | st.text(alphabet='`json\n[]{}"1. -:ab#*'))
def test_any_text_is_read_or_refused(text):
    try:
        prompt = read_answer(text)
    except InvalidInputError:
        return
    assert prompt if isinstance(prompt, str) else prompt.scenes


@given(plain_scenes)
def test_a_rendered_prompt_is_read_as_it_stands(scenes):
    rendered = ImageSetPrompt.of(scenes).render()
    assert read_answer(rendered) == rendered


def test_what_the_scenes_share_is_added_to_scenes_of_any_form():
    for answer in (SCENES, FORMS["numbers"](SCENES), ImageSetPrompt(SCENES).render()):
        prompt = read_answer(answer, style="noir", characters="a fox")
        assert prompt == ImageSetPrompt(SCENES, style="noir", characters="a fox")


@pytest.mark.parametrize(
    "text",
    [
        "a fox at dawn",
        "2 images in blue. First, a fox. Second, an owl.",
        "2 images. First, a fox. Style: pop art. Second, an owl. Style: pop art.",
    ],
)
def test_what_the_scenes_share_is_not_added_to_a_text_that_is_more_than_its_scenes(text):
    with pytest.raises(InvalidInputError, match=r"^style='noir'.*cannot be taken apart"):
        read_answer(text, style="noir")


def test_two_styles_for_one_set_are_refused():
    answer = {"scenes": SCENES, "style": "noir"}
    assert read_answer(answer, style="noir") == ImageSetPrompt(SCENES, style="noir")
    with pytest.raises(InvalidInputError, match=r"^style='pop art'.*the prompt itself says 'noir'"):
        read_answer(answer, style="pop art")


def test_ordinals_that_do_not_fit_their_place_stay():
    assert told(["Second, a fox", "First, an owl"]) == ["Second, a fox", "First, an owl"]


@pytest.mark.parametrize(
    "text", ["{{ " * 40_000, "``` \n{\n" * 20_001], ids=["braces", "a fence that does not end"]
)
def test_a_text_of_many_openings_that_is_no_json_stays_as_it_is(text: str) -> None:
    """The time of these grew with the square of their length, to minutes."""
    assert read_answer(text) == text.strip()


def test_a_fence_with_carriage_returns_is_a_fence() -> None:
    assert read_answer('```json\r\n["a fox", "an owl"]\r\n```\r\n') == ImageSetPrompt.of(["a fox", "an owl"])


def test_many_line_breaks_are_read_in_linear_time():
    began = time.process_time()
    assert scenes_of("a" + "\n" * 100_000 + "b") == ()
    assert time.process_time() - began < 2.0  # 20 minutes where it is quadratic


def test_line_breaks_around_ordinals_change_nothing():
    assert scenes_of("2 images.\n\n First,\n a fox.\n\nSecond, an owl.") == ("a fox", "an owl")
