"""The operator from request to result, deferred and not, against the emulator."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException

from airflow_provider_seedream.emulator import faults
from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator
from airflow_provider_seedream.wavespeed import (
    ImageSet,
    ImageSetPrompt,
    InvalidInputError,
    InvalidResponseError,
    Scene,
)
from tests.components.airflow_context import Tries, rendered, run

pytestmark = pytest.mark.usefixtures("hurried")

SCENES = ["a fox at dawn", "a fox at noon", "a fox at night"]
RESULT_KEYS = {
    "prediction_id",
    "model",
    "prompt",
    "size",
    "requested",
    "images",
    "cost_usd",
    "inference_ms",
    "created_at",
    "submitted_at",
    "completed_at",
}


def operator(**arguments):
    return SeedreamSequentialOperator(**{"task_id": "gen", "prompt": SCENES, **arguments})


@pytest.fixture(params=[True, False], ids=["deferred", "waiting"])
def deferrable(request):
    return request.param


def test_an_image_set_is_made_paid_once_and_told_in_full(seedream_emulator, deferrable):
    tries = Tries()
    result = run(operator(deferrable=deferrable), tries)
    assert set(result) == RESULT_KEYS
    assert result == json.loads(json.dumps(result))
    assert result["requested"] == len(result["images"]) == 3
    assert result["cost_usd"] == 0.105
    assert result["prompt"].startswith("3 images. First, a fox at dawn.")
    assert dt.datetime.fromisoformat(result["submitted_at"]) <= dt.datetime.fromisoformat(
        result["completed_at"]
    )
    assert ImageSet.from_json(result).to_json() == result
    assert tries.ti.xcom["prediction_id"] == result["prediction_id"]
    assert tries.ti.xcom["image_urls"] == [image["url"] for image in result["images"]]
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        ({"prompt": "a fox"}, {"prompt": "a fox", "size": "2048*2048", "max_images": 1}),
        (
            {"prompt": "a fox", "max_images": "2", "size": "16:9", "output_format": "png"},
            {"prompt": "2 images. a fox", "size": "2848*1600", "max_images": 2, "output_format": "png"},
        ),
        (
            {"prompt": "a fox", "width": 4096, "height": 4096},
            {"prompt": "a fox", "size": "4096*4096", "max_images": 1},
        ),
        (
            {"prompt": "two images of a fox", "size": (2560, 1440)},
            {"prompt": "two images of a fox", "size": "2560*1440", "max_images": 2},
        ),
    ],
)
def test_what_is_sent_is_what_was_asked_for(seedream_emulator, arguments, sent):
    run(operator(**arguments), Tries())
    (body,) = [each.body for each in seedream_emulator.journal if each.route == "submit"]
    assert body == sent


def test_a_prompt_by_its_parts_is_rendered_in_the_vendors_convention(seedream_emulator):
    prompt = ImageSetPrompt(scenes=(Scene("wakes"), Scene("sleeps")), characters="a red fox", style="ink")
    assert run(operator(prompt=prompt), Tries())["prompt"] == prompt.render()


def test_another_model_is_priced_by_its_own_price_and_takes_its_own_sizes(seedream_emulator):
    result = run(operator(model="bytedance/seedream-v4.5/sequential", size="1024*4096"), Tries())
    assert (result["cost_usd"], result["size"]) == (0.12, "1024*4096")
    assert seedream_emulator.balance == pytest.approx(100 - 0.12)


def test_the_connections_model_is_the_default(seedream_emulator, monkeypatch):
    model = "bytedance/seedream-v4/sequential"
    monkeypatch.setenv("AIRFLOW_CONN_SEEDREAM_DEFAULT", seedream_emulator.airflow_connection(model=model))
    assert run(operator(), Tries())["model"] == model


def test_the_api_may_be_asked_for_the_price(seedream_emulator):
    assert run(operator(price_source="api"), Tries())["cost_usd"] == 0.105
    assert [each.route for each in seedream_emulator.journal].count("price") == 1


def test_not_waiting_gives_the_id_and_no_images(seedream_emulator):
    result = run(operator(wait_for_completion=False), Tries())
    assert result["prediction_id"] == seedream_emulator.predictions[0]["id"]
    assert result["images"] == []
    assert result["completed_at"] is None


def test_sync_mode_needs_no_look(seedream_emulator):
    result = run(operator(enable_sync_mode=True), Tries())
    assert len(result["images"]) == 3
    assert seedream_emulator.polls() == 0


def test_sync_mode_that_runs_out_falls_back_to_waiting(seedream_emulator, deferrable):
    seedream_emulator.configure(sync_wait=0.1, median_seconds=1.0)
    result = run(operator(enable_sync_mode=True, deferrable=deferrable), Tries())
    assert len(result["images"]) == 3
    assert seedream_emulator.paid_tasks == 1
    assert seedream_emulator.polls() >= 1


def test_base64_pictures_go_to_storage_and_not_to_xcom(seedream_emulator, tmp_path):
    tries = Tries()
    result = run(operator(enable_base64_output=True, output_path=str(tmp_path / "set")), tries)
    assert sorted(each.suffix for each in (tmp_path / "set").iterdir()) == [".jpg", ".jpg", ".jpg", ".json"]
    assert all((tmp_path / "set" / image["url"].rpartition("/")[2]).is_file() for image in result["images"])
    assert len(json.dumps(tries.ti.xcom)) + len(json.dumps(result)) < 5000


def test_mapped_instances_with_one_output_path_do_not_delete_each_others_pictures(
    seedream_emulator, tmp_path
):
    arguments = {"enable_base64_output": True, "output_path": str(tmp_path / "set")}
    one, other = Tries(), Tries()
    one.ti.map_index, other.ti.map_index = 0, 1
    first = run(operator(**arguments), one)
    with pytest.raises(AirflowFailException, match="another mapped instance of this task"):
        run(operator(**arguments), other)
    assert all((tmp_path / "set" / image["url"].rpartition("/")[2]).is_file() for image in first["images"])


def test_pictures_of_another_size_than_asked_for_are_paid_and_therefore_kept(seedream_emulator, tmp_path):
    seedream_emulator.faults.add("cdn", faults.WrongSize(1024, 1024), times=None)
    tries = Tries()
    result = run(operator(output_path=str(tmp_path / "set")), tries)
    assert tries.ti.xcom["image_urls"] == [image["url"] for image in result["images"]]
    manifest = json.loads((tmp_path / "set" / "manifest.json").read_text())
    assert {(image["width"], image["height"]) for image in manifest["images"]} == {(1024, 1024)}


@pytest.mark.parametrize("told", [0, -1, float("nan"), None])
def test_a_price_that_cannot_be_is_no_price(seedream_emulator, told):
    answer = json.dumps({"code": 200, "data": {"price": told}})
    seedream_emulator.faults.add("price", faults.Status(200, body=answer), times=None)
    with pytest.raises(InvalidResponseError):
        run(operator(price_source="api", max_cost=0.01), Tries())
    assert seedream_emulator.paid_tasks == 0


def test_a_resumed_try_does_not_ask_for_the_price(seedream_emulator):
    tries = Tries()
    first = run(operator(price_source="api"), tries)
    seedream_emulator.faults.add("price", faults.Status(403), times=None)
    assert run(operator(price_source="api"), tries)["prediction_id"] == first["prediction_id"]


def test_an_output_path_publishes_and_keeps_the_links(seedream_emulator, tmp_path):
    result = run(operator(output_path=str(tmp_path / "set")), Tries())
    manifest = json.loads((tmp_path / "set" / "manifest.json").read_text())
    assert manifest["prediction_id"] == result["prediction_id"]
    assert all(image["url"].startswith(seedream_emulator.cdn_url) for image in result["images"])


@pytest.mark.event("Fewer images than asked")
def test_fewer_images_are_accepted_or_refused_by_policy(seedream_emulator, deferrable):
    seedream_emulator.faults.add("submit", faults.Short(2), times=None)
    assert len(run(operator(deferrable=deferrable), Tries())["images"]) == 2
    with pytest.raises(AirflowFailException, match="2 of 3 images"):
        run(operator(deferrable=deferrable, on_short_delivery="fail"), Tries())


@pytest.mark.event("Flagged images")
def test_flagged_images_are_kept_dropped_or_refused_by_policy(seedream_emulator):
    seedream_emulator.faults.add("submit", faults.Flag((1,)), times=None)
    assert [image["flagged"] for image in run(operator(), Tries())["images"]] == [False, True, False]
    assert [image["flagged"] for image in run(operator(on_flagged="drop"), Tries())["images"]] == [
        False,
        False,
    ]
    with pytest.raises(AirflowFailException, match="1 of 3 images are flagged"):
        run(operator(on_flagged="fail"), Tries())


REFUSED_IN_EXECUTE = [
    ({"prompt": ""}, "prompt"),
    ({"prompt": "   "}, "prompt"),
    ({"prompt": "3 images. First, a. Second, b. Third, c.", "max_images": 4}, "max_images=4.*names 3 images"),
    ({"prompt": "First, a fox. Second, an owl.", "max_images": 3}, "max_images=3.*tells 2 scenes"),
    ({"prompt": "Tell of a fox in 3 images"}, "it says '3 images'.*\"3 images.\".*max_images=3"),
    ({"max_images": 0}, "max_images=0.*1 to 15"),
    ({"max_images": 16}, "max_images=16.*1 to 15"),
    ({"max_images": "two"}, "max_images='two'.*1 to 15"),
    ({"max_images": True}, "max_images=True.*1 to 15"),
    ({"size": "1000*1000"}, r"size='1000\*1000'.*1440-4096.*nearest"),
    ({"size": "1440*1440"}, r"size='1440\*1440'.*3,686,400.*nearest"),
    ({"size": "5000*2000"}, r"size='5000\*2000'.*1440-4096.*nearest"),
    ({"size": "2048x"}, "size='2048x'.*For example"),
    ({"size": "square"}, "size='square'.*For example"),
    ({"size": "1:1", "width": 2048}, "width=2048.*size='1:1' is given too"),
    ({"size": "2048*2048", "width": 2048, "height": 2048}, "width=2048.*is given too"),
    ({"width": 2048}, "height=None"),
    ({"model": "bytedance/seedream-v9"}, "model='bytedance/seedream-v9'.*Known: "),
    ({"max_cost": 0.1}, r"costs \$0.105: over the ceiling of \$0.1 set by max_cost of this task"),
    ({"max_cost": "plenty"}, "max_cost='plenty'"),
    ({"max_cost": "$0.50"}, r"max_cost='\$0.50'"),
    ({"max_cost": ""}, "max_cost=''.*it is empty"),
    ({"model": " "}, "model=' '.*it is empty"),
    ({"output_path": ""}, "output_path=''.*must name a folder"),
    ({"output_path": "foo://bucket/set"}, "output_path='foo://bucket/set'.*no object store answers"),
]


@pytest.mark.parametrize(("arguments", "told"), REFUSED_IN_EXECUTE, ids=lambda each: str(each)[:50])
def test_bad_input_is_refused_for_good_and_nothing_is_sent(seedream_emulator, arguments, told):
    with pytest.raises(AirflowFailException, match=told):
        run(rendered(operator(), **arguments), Tries())
    assert seedream_emulator.journal == []


REFERENCES = [f"https://example.org/{number}.png" for number in range(10)]


@pytest.mark.parametrize(
    "arguments",
    [
        {"prompt": ["a fox"] * 6, "images": REFERENCES},
        {"prompt": [f"{{{{ params.scene_{number} }}}}" for number in range(16)]},
        {"prompt": ["{{ params.one }}"] * 6, "images": REFERENCES},
    ],
    ids=["scenes and references", "templates", "templates and references"],
)
def test_too_many_scenes_are_refused_when_the_dag_file_is_parsed_whatever_they_render_to(arguments):
    with pytest.raises(InvalidInputError, match="15"):
        SeedreamSequentialOperator(task_id="gen", **arguments)


KNOWN_TO_THE_WORKER = [{"prompt": ""}, {"size": "1440*1440"}, {"max_cost": 0.1}, {"max_cost": ""}]
"""Blanks may be what a template left, a model of the connection allows smaller sizes, and has another price."""


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        each
        for each in REFUSED_IN_EXECUTE
        if each[0] not in KNOWN_TO_THE_WORKER and "output_path" not in each[0]
    ],
    ids=lambda each: str(each)[:50],
)
def test_a_literal_with_a_mistake_is_refused_when_the_dag_file_is_parsed(arguments, told):
    with pytest.raises(InvalidInputError, match=told):
        operator(**arguments)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"output_path": ""}, "output_path=''.*must name a folder"),
        ({"images": 5}, "images=5.*must be a list"),
        ({"images": True}, "images=True.*must be a list"),
        ({"images": ["file://tmp/fox.png"]}, r"images='file://tmp/fox\.png'.*three slashes"),
        ({"images": "file:fox.png"}, "images='file:fox.png'.*three slashes"),
        ({"images": ["ftp://example.org/fox.png"]}, r"images='ftp://example\.org/fox\.png'.*must be a link"),
    ],
    ids=str,
)
def test_a_place_that_nothing_can_be_read_from_is_refused_when_the_dag_file_is_parsed(arguments, told):
    with pytest.raises(InvalidInputError, match=told):
        operator(**arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        {"size": "{{ params.size }}"},
        {"size": "[[ size ]]", "max_images": "{{ 3 }}"},
        {"max_images": "{{ params.n }}", "prompt": "Tell of a fox in 3 images"},
        {"prompt": "{{ params.n }} images of a fox"},
        {"prompt": ["a {{ params.animal }}", "an owl"], "max_images": "2"},
        {"prompt": {"scenes": ["a fox", "an owl"]}, "max_images": 2},
        {"model": "{{ params.model }}", "output_format": "png"},
        {"output_format": "png"},
        {"size": "1024*1024"},
        {"images": "{{ params.image }}"},
        {"images": ["http://10.0.0.5/{{ ds }}.png", "/data/fox.png"], "model": "bytedance/seedream-v4/edit-sequential"},
        {"images": ["http://localhost:9000/fox.png"]},
        {"max_cost": "{{ params.ceiling }}", "resolution": "{{ params.resolution }}", "size": "16:9"},
        {"width": "{{ params.w }}", "height": "1440"},
    ],
    ids=str,
)  # fmt: skip
def test_what_a_template_may_make_right_is_left_to_the_worker(arguments):
    operator(**arguments)


def test_a_dag_whose_templates_look_otherwise_is_judged_on_the_worker():
    marks = {"variable_start_string": "((", "variable_end_string": "))"}
    with DAG("marks", schedule=None, jinja_environment_kwargs=marks):
        operator(size="((params.size))", prompt="((params.prompt)), in 3 images")


@pytest.mark.parametrize("prompt", [["a fox", ""], ["a fox", 5], {"scenes": [""]}])
def test_scenes_that_are_none_are_refused_when_the_dag_file_is_parsed(prompt):
    with pytest.raises(InvalidInputError):
        operator(prompt=prompt)


REFUSED_AT_ONCE = [
    ({"max_image": 3}, "argument='max_image'.*Did you mean \"max_images\""),
    ({"on_clear": "again"}, "on_clear='again'.*resubmit, reuse"),
    ({"on_lost_submission": "pay"}, "on_lost_submission='pay'.*fail, adopt, resubmit"),
    ({"on_flagged": "hide"}, "on_flagged='hide'"),
    ({"on_short_delivery": "refund"}, "on_short_delivery='refund'"),
    ({"price_source": "guess"}, "price_source='guess'"),
    ({"enable_base64_output": True}, "enable_base64_output=True.*Give output_path"),
    ({"enable_sync_mode": "maybe"}, "enable_sync_mode='maybe'"),
    (
        {"wait_for_completion": False, "output_path": "file:///tmp/x"},
        "output_path=.*ends before there are images",
    ),
    ({"timeout": 5}, "timeout=5.*10 seconds or more"),
    ({"timeout": "1h"}, "timeout='1h'"),
    ({"poll_interval": 0.5}, "poll_interval=0.5.*2 seconds or more"),
]


@pytest.mark.parametrize(("arguments", "told"), REFUSED_AT_ONCE, ids=lambda each: str(each)[:50])
def test_a_slip_in_the_dag_is_refused_while_it_is_parsed(arguments, told):
    with pytest.raises(ValueError, match=told):
        operator(**arguments)


def test_a_connections_ceiling_refuses_before_paying(seedream_emulator, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_SEEDREAM_DEFAULT", seedream_emulator.airflow_connection(max_cost=0.1))
    with pytest.raises(
        AirflowFailException, match="set by max_cost in the extra of connection seedream_default"
    ):
        run(operator(), Tries())
    assert seedream_emulator.journal == []


def test_a_balance_too_low_fails_for_good(seedream_emulator):
    seedream_emulator.faults.add(
        "submit", faults.Status(402, body={"code": 402, "message": "insufficient balance"})
    )
    with pytest.raises(AirflowFailException, match=r"InsufficientBalanceError.*insufficient balance"):
        run(operator(), Tries())
    assert seedream_emulator.paid_tasks == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"prompt": "a fox"}, "asking for 1 image."),
        ({"prompt": "Create 3 pencil images of a fox"}, "asking for 3 images."),
        ({"prompt": "a fox", "max_images": 2}, "asking for 2 images, which was put in front of the prompt."),
        (
            {"prompt": "First, a fox. Second, an owl."},
            "asking for 2 images, which was put in front of the prompt.",
        ),
    ],
)
def test_the_log_says_how_many_images_are_asked_for_before_anything_is_paid(
    seedream_emulator, capsys, caplog, arguments, said
):
    with pytest.raises(AirflowFailException, match="over the ceiling"):
        run(operator(max_cost=0.001, **arguments), Tries())
    assert said in capsys.readouterr().out + caplog.text
    assert seedream_emulator.paid_tasks == 0
