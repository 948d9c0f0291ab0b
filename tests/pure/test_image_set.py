"""Image-set requests: what is sent, what it costs, what is refused before paying; and results to JSON and back."""

from __future__ import annotations

import json
from unittest.mock import ANY

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_seedream.wavespeed.counting import NamedCount, named_count
from airflow_provider_seedream.wavespeed.errors import InvalidInputError
from airflow_provider_seedream.wavespeed.image_set import GeneratedImage, ImageSet
from airflow_provider_seedream.wavespeed.prompt import ImageSetPrompt
from airflow_provider_seedream.wavespeed.request import DEFAULT_MODEL, PRICES_USD, ImageSetRequest
from airflow_provider_seedream.wavespeed.sizes import Size
from airflow_provider_seedream.wavespeed.validation import refuse_unknown

described = st.text(min_size=1).filter(str.strip)
numbered = st.builds(
    "{}{} {}{}".format,
    st.sampled_from(["", "A fox: ", "a series of ", "with ", "3 images. ", "2 pictures and "]),
    st.sampled_from([0, 1, 2, 3, 15, 16, "one", "two", "three", "2-", "2 to 3"]),
    st.sampled_from(["image", "images", "pictures", "photos", "foxes"]),
    st.sampled_from(["", ".", " of a fox", " per scene", ", 3 images"]),
)
texts = described | numbered
V45, V4 = "bytedance/seedream-v4.5/sequential", "bytedance/seedream-v4/sequential"


def build(**inputs):
    return ImageSetRequest.build(**{"prompt": "a fox at dawn", **inputs})


def refusal(**inputs) -> InvalidInputError:
    with pytest.raises(InvalidInputError) as caught:
        build(**inputs)
    assert str(caught.value).startswith(f"{caught.value.field}=")
    assert caught.value.way_out
    return caught.value


def test_a_prompt_alone_asks_for_one_image_of_the_default_size_and_model():
    request = build()
    assert request.inputs() == {"prompt": "a fox at dawn", "size": "2048*2048", "max_images": 1}
    assert (request.model, request.cost_usd, request.count_was_added) == (DEFAULT_MODEL, 0.035, False)


def test_everything_given_is_sent():
    request = build(
        max_images=3,
        size="16:9",
        resolution="4K",
        output_format="png",
        enable_base64_output=True,
        enable_sync_mode=True,
    )
    assert request.inputs() == {
        "prompt": "3 images. a fox at dawn",
        "size": "4096*2304",
        "max_images": 3,
        "output_format": "png",
        "enable_base64_output": True,
        "enable_sync_mode": True,
    }


@given(
    texts,
    st.none() | st.integers(1, 15),
    st.sampled_from([None, "1:1", "16:9", "2048*2048", (2560, 1440)]),
    st.sampled_from(sorted(PRICES_USD)),
    st.booleans(),
)
def test_a_request_is_refused_or_agrees_with_its_own_prompt(prompt, max_images, size, model, sync):
    try:
        request = ImageSetRequest.build(
            prompt=prompt, max_images=max_images, size=size, model=model, enable_sync_mode=sync
        )
    except InvalidInputError:
        return
    inputs = request.inputs()
    assert None not in inputs.values()
    assert 1 <= inputs["max_images"] <= 15
    named = named_count(inputs["prompt"])
    if named is None:
        assert request.max_images == 1
    else:
        assert (named.number, named.certain, named.listed) == (request.max_images, True, False)
    assert ImageSetRequest.build(prompt=request.prompt, max_images=request.max_images, size=size, model=model)


@given(texts, st.integers(2, 15))
def test_a_count_put_in_front_leaves_the_rest_of_the_prompt_as_it_was(text, count):
    try:
        request = build(prompt=text, max_images=count)
    except InvalidInputError:
        return
    if request.count_was_added:
        assert request.prompt == f"{count} images. {text.strip()}"
    else:
        assert named_count(text) == NamedCount(count, ANY, certain=True)


@pytest.mark.parametrize(
    ("prompt", "count"),
    [
        ("3 images. First, a fox", 3),
        ("four pictures of a fox", 4),
        (["a", "b"], 2),
        ({"scenes": ["a"] * 5}, 5),
        ("a fox", 1),
    ],
)
def test_without_max_images_the_prompt_or_its_scenes_decide(prompt, count):
    request = build(prompt=prompt)
    assert (request.max_images, request.count_was_added) == (count, False)


@pytest.mark.parametrize("max_images", [4, "4", " 4 ", "04"])
def test_max_images_may_come_as_digits_from_a_template(max_images):
    assert build(max_images=max_images).max_images == 4


def test_scenes_of_every_kind_and_a_matching_count_are_accepted():
    prompt = ImageSetPrompt.of(["a fox", "an owl"])
    requests = [build(prompt=form, max_images=2) for form in (prompt, prompt.to_json(), ["a fox", "an owl"])]
    assert {request.prompt for request in requests} == {"2 images. First, a fox. Second, an owl."}


def test_a_prompt_that_names_three_images_is_refused_with_four():
    error = refusal(prompt="3 images. First, a fox", max_images=4)
    assert str(error) == (
        "max_images=4 is refused: the prompt names 3 images, and both must agree. "
        'Leave max_images out to make 3, or let the prompt say "4 images." at its start.'
    )


@pytest.mark.parametrize(
    ("prompt", "max_images"),
    [
        ("a series of 4 images of a fox", 3),
        ("Generate 5 illustrations: a fox", 1),
        (["a", "b"], 3),
        ("one image.", 2),
    ],
)
def test_a_count_that_differs_from_max_images_is_refused(prompt, max_images):
    assert "both must agree" in str(refusal(prompt=prompt, max_images=max_images))


@pytest.mark.parametrize(
    "max_images", [0, 16, -1, "two", True, False, 1.0, "1.0", "", "None", "0", "16", [1], "9" * 5000]
)
def test_a_max_images_that_is_no_whole_number_from_1_to_15_is_refused(max_images):
    error = refusal(max_images=max_images)
    assert error.field == "max_images"
    assert "whole number from 1 to 15" in str(error)


@pytest.mark.parametrize("count", [0, 16, 100])
def test_a_prompt_that_names_a_count_no_set_has_is_refused(count):
    error = refusal(prompt=f"{count} images. First, a fox")
    assert error.field == "prompt"
    assert f"it names {count} images, and a set has 1-15" in str(error)


@pytest.mark.parametrize("prompt", ["", " \n\t", None, []])
def test_a_blank_prompt_is_refused(prompt):
    assert refusal(prompt=prompt).field == "prompt"


def test_a_missing_prompt_is_refused():
    with pytest.raises(InvalidInputError, match="prompt=None is refused: it is required"):
        ImageSetRequest.build()


@pytest.mark.parametrize(
    ("size", "told"),
    [
        ("1000*1000", "1920*1920"),
        ("1440*1440", "1920*1920"),
        ("5000*2000", "4096*1638"),
        ("2048x", "W*H"),
        ("square", "1:1"),
    ],
)
def test_a_wrong_size_is_refused_with_the_range_and_the_way_out(size, told):
    error = refusal(size=size)
    assert error.field == "size"
    assert told in str(error)
    assert "1440-4096" in str(error) or "3,686,400-16,777,216" in str(error)


def test_width_and_height_make_a_size():
    assert build(width=2560, height="1440").size == Size(2560, 1440)


@pytest.mark.parametrize("sides", [{"width": 2048}, {"height": 2048}, {"width": 2048, "height": 2048}])
def test_size_together_with_a_side_is_refused(sides):
    assert "Give size, or width and height." in str(refusal(size="2048*2048", **sides))


@pytest.mark.parametrize(("given_side", "missing"), [("width", "height"), ("height", "width")])
def test_one_side_alone_is_refused_and_the_other_named(given_side, missing):
    error = refusal(**{given_side: 2048})
    assert error.field == missing
    assert f"Add {missing}" in error.way_out


@pytest.mark.parametrize(
    "inputs", [{}, {"width": 2048, "height": 2048}, {"size": "2048*2048"}, {"size": Size(2048, 2048)}]
)
def test_a_resolution_without_a_preset_is_refused(inputs):
    assert refusal(resolution="4K", **inputs).field == "resolution"


def test_prices_are_those_of_the_table_and_of_the_model_page():
    assert {name: float(price) for name, price in PRICES_USD.items()} == {
        DEFAULT_MODEL: 0.035,
        V45: 0.04,
        V4: 0.027,
        "bytedance/seedream-v5.0-lite/edit-sequential": 0.035,
        "bytedance/seedream-v4.5/edit-sequential": 0.04,
        "bytedance/seedream-v4/edit-sequential": 0.027,
    }
    assert [build(max_images=count).cost_usd for count in (1, 2, 4, 8, 15)] == [
        0.035,
        0.07,
        0.14,
        0.28,
        0.525,
    ]
    assert build(max_images=7, model=V4).cost_usd == 0.189


@pytest.mark.parametrize(
    ("model", "closest"),
    [
        ("bytedance/seedream-v5-lite/sequential", DEFAULT_MODEL),
        ("bytedance/seedream-v5.0-lite", DEFAULT_MODEL),
        ("bytedance/seedream-v4.5", V45),
        ("Bytedance/Seedream-v4/Sequential", V4),
        ("bytedance/seedream-v4.5/edit_sequential", f"{V45.rpartition('/')[0]}/edit-sequential"),
    ],
)
def test_an_unknown_model_is_refused_with_the_closest_known_one(model, closest):
    error = refusal(model=model)
    assert error.way_out.startswith(f'Did you mean "{closest}"? Known: ')
    assert all(known in error.way_out for known in PRICES_USD)


@pytest.mark.parametrize("model", ["", "dall-e", 5, True])
def test_a_model_unlike_any_is_refused_with_all_known_ones(model):
    assert all(known in refusal(model=model).way_out for known in PRICES_USD)


@pytest.mark.parametrize("output_format", ["jpg", "PNG", "webp", "", True, 1])
def test_an_unknown_output_format_is_refused(output_format):
    assert '"jpeg" or "png"' in str(refusal(output_format=output_format))


@pytest.mark.parametrize("model", [V45, V4])
def test_an_output_format_is_refused_where_the_model_would_ignore_it(model):
    assert f"Leave it out, or use {DEFAULT_MODEL}" in str(refusal(model=model, output_format="png"))
    assert "output_format" not in build(model=model).inputs()


@pytest.mark.parametrize("switch", ["enable_base64_output", "enable_sync_mode"])
def test_a_switch_takes_bools_and_their_words(switch):
    for on in (True, "true", "True", "TRUE"):
        assert build(**{switch: on}).inputs()[switch] is True
    for off in (False, "false", "False", " FALSE "):
        assert switch not in build(**{switch: off}).inputs()
    for neither in (1, 0, "yes", "", None, "1"):
        assert "must be True or False" in str(refusal(**{switch: neither}))


@pytest.mark.parametrize(
    ("misspelt", "closest"),
    [("max_image", "max_images"), ("num_images", "max_images"), ("hieght", "height"), ("promt", "prompt")],
)
def test_an_unknown_parameter_is_refused_with_the_closest_known_one(misspelt, closest):
    with pytest.raises(InvalidInputError, match=f"parameter='{misspelt}' .* Did you mean \"{closest}\""):
        ImageSetRequest.build(**{misspelt: "2"})


@pytest.mark.parametrize("unknown", ["seed", "negative_prompt", "aspect_ratio"])
def test_a_parameter_unlike_any_is_refused_with_all_known_ones(unknown):
    assert "Known: prompt, max_images, size" in refusal(**{unknown: 1}).way_out


def test_known_names_pass_and_the_first_unknown_one_is_told():
    refuse_unknown(["a", "b"], iter(["b", "a"]))
    with pytest.raises(
        InvalidInputError, match=r"argument='c' is refused: there is no such argument\. Known: a, b\."
    ):
        refuse_unknown(["a", "c", "d"], ["a", "b"], what="argument")


def test_the_fingerprint_stays_what_records_of_earlier_versions_hold():
    request = build(prompt="2 images. First, é. Second, b.", output_format="png")
    assert request.fingerprint("seedream_default") == (
        "4d8cce8e38c672963d4225860337e5db23d788cad2cb67979d259681def5de71"
    )


def test_the_fingerprint_tells_apart_all_that_is_billed():
    requests = [
        build(max_images=2),
        build(max_images=3),
        build(max_images=2, prompt="an owl"),
        build(max_images=2, size="16:9"),
        build(max_images=2, output_format="png"),
        build(max_images=2, output_format="jpeg"),
        build(max_images=2, model=V4),
    ]
    prints = {request.fingerprint(conn_id) for request in requests for conn_id in ("mine", "yours")}
    assert len(prints) == 2 * len(requests)


def test_the_fingerprint_does_not_tell_apart_what_costs_and_shows_the_same():
    same = [
        build(max_images=2),
        build(max_images="2"),
        build(prompt="2 images. a fox at dawn"),
        build(max_images=2, enable_sync_mode=True),
    ]
    assert len({request.fingerprint("mine") for request in same}) == 1
    assert same[0] == same[2]


@given(st.text(), st.text(max_size=20))
def test_equal_requests_have_equal_fingerprints(prompt, conn_id):
    first, second = (ImageSetRequest("3 images. " + prompt, 3) for _ in range(2))
    assert first.fingerprint(conn_id) == second.fingerprint(conn_id)
    assert len(first.fingerprint(conn_id)) == 64


IMAGE_SET = ImageSet(
    prediction_id="3f2c",
    model=DEFAULT_MODEL,
    prompt="2 images. First, a fox. Second, an owl.",
    size="2048*2048",
    requested=2,
    images=(GeneratedImage("https://cdn.example/1.png", False), GeneratedImage("https://cdn.example/2.png")),
    cost_usd=0.07,
    inference_ms=8123,
    created_at="2026-01-02T03:04:05.678Z",
)
REQUIRED = {"prediction_id", "model", "prompt", "size", "requested", "images", "cost_usd"}
OPTIONAL = {"inference_ms", "created_at", "submitted_at", "completed_at"}


def test_the_result_is_exactly_the_documented_json():
    assert IMAGE_SET.to_json() == {
        "prediction_id": "3f2c",
        "model": DEFAULT_MODEL,
        "prompt": "2 images. First, a fox. Second, an owl.",
        "size": "2048*2048",
        "requested": 2,
        "images": [
            {"url": "https://cdn.example/1.png", "flagged": False},
            {"url": "https://cdn.example/2.png", "flagged": None},
        ],
        "cost_usd": 0.07,
        "inference_ms": 8123,
        "created_at": "2026-01-02T03:04:05.678Z",
        "submitted_at": None,
        "completed_at": None,
    }


def test_an_image_set_survives_json():
    assert ImageSet.from_json(json.loads(json.dumps(IMAGE_SET.to_json()))) == IMAGE_SET


@pytest.mark.parametrize("key", sorted(OPTIONAL))
def test_what_may_be_none_may_be_missing(key):
    mapping = {name: value for name, value in IMAGE_SET.to_json().items() if name != key}
    assert getattr(ImageSet.from_json(mapping), key) is None


@pytest.mark.parametrize("key", sorted(REQUIRED))
def test_a_missing_key_of_an_image_set_is_refused_by_name(key):
    mapping = {name: value for name, value in IMAGE_SET.to_json().items() if name != key}
    with pytest.raises(InvalidInputError, match=f"^image_set.{key}=None is refused"):
        ImageSet.from_json(mapping)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("prediction_id", " "),
        ("requested", "2"),
        ("requested", True),
        ("requested", -1),
        ("cost_usd", float("nan")),
        ("cost_usd", float("inf")),
        ("cost_usd", "0.07"),
        ("inference_ms", 1.5),
        ("created_at", 0),
        ("images", "https://cdn.example/1.png"),
        ("images", ["https://cdn.example/1.png"]),
        ("images", [{"url": ""}]),
        ("images", [{"flagged": True}]),
        ("images", [{"url": "https://cdn.example/1.png", "flagged": "no"}]),
        ("images", [{"url": "https://cdn.example/1.png", "nsfw": True}]),
        ("urls", []),
    ],
)
def test_an_image_set_of_a_wrong_shape_is_refused(key, value):
    with pytest.raises(InvalidInputError):
        ImageSet.from_json({**IMAGE_SET.to_json(), key: value})


@pytest.mark.parametrize("value", [None, "3f2c", ["3f2c"]])
def test_what_is_no_mapping_is_no_image_set(value):
    with pytest.raises(InvalidInputError, match="it must be a mapping"):
        ImageSet.from_json(value)


def test_a_picture_without_a_verdict_is_not_taken_for_unflagged():
    mapping = {**IMAGE_SET.to_json(), "images": [{"url": "https://cdn.example/1.png"}]}
    assert ImageSet.from_json(mapping).images == (GeneratedImage("https://cdn.example/1.png", None),)


@pytest.mark.parametrize("key", ["prompt", "size", "requested", "cost_usd"])
def test_what_nobody_told_of_a_prediction_submitted_elsewhere_is_null(key):
    mapping = {**IMAGE_SET.to_json(), key: None}
    assert ImageSet.from_json(mapping).to_json() == mapping
