"""The sensor: what was submitted elsewhere is waited for, collected, told alike, and never paid for again."""

from __future__ import annotations

import datetime as dt
import json
import time

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferred,
)

from airflow_provider_seedream.emulator import faults
from airflow_provider_seedream.hooks.seedream import SeedreamHook
from airflow_provider_seedream.operators.publish import SeedreamPublishOperator
from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator
from airflow_provider_seedream.sensors.seedream import SeedreamPredictionSensor
from airflow_provider_seedream.wavespeed import ImageSet, ImageSetRequest, InternalServerError
from tests.components.airflow_context import Tries, run
from tests.components.clock import skip

pytestmark = pytest.mark.usefixtures("hurried")

PROMPT = "3 images. First, a fox at dawn. Second, a fox at noon. Third, a fox at night."


@pytest.fixture(params=[True, False], ids=["deferred", "poking"])
def deferrable(request):
    return request.param


def sensor(**arguments):
    made = SeedreamPredictionSensor(**{"task_id": "wait", **arguments})
    made.poke_interval = 0.05
    return made


def submitted(**arguments):
    return run(
        SeedreamSequentialOperator(task_id="gen", prompt=PROMPT, wait_for_completion=False, **arguments),
        Tries(),
    )


def submitted_elsewhere(**inputs):
    return SeedreamHook().submit(ImageSetRequest.build(prompt=PROMPT, **inputs)).id


def test_what_a_task_submitted_is_told_as_if_it_had_waited_itself(seedream_emulator, deferrable):
    ordered, tries = submitted(size="16:9"), Tries()
    result = run(sensor(image_set=ordered, deferrable=deferrable), tries)
    assert result == json.loads(json.dumps(result))
    for key in ("prediction_id", "model", "prompt", "size", "requested", "cost_usd", "submitted_at"):
        assert result[key] == ordered[key], key
    assert len(result["images"]) == 3
    assert result["inference_ms"] > 0
    assert dt.datetime.fromisoformat(result["completed_at"])
    assert tries.ti.xcom["prediction_id"] == result["prediction_id"]
    assert tries.ti.xcom["image_urls"] == [image["url"] for image in result["images"]]
    assert seedream_emulator.paid_tasks == 1


def test_the_result_of_a_task_may_come_as_json_text(seedream_emulator):
    assert len(run(sensor(image_set=json.dumps(submitted())), Tries())["images"]) == 3


def test_an_id_alone_gives_the_pictures_and_null_for_what_nobody_told(seedream_emulator, deferrable):
    prediction_id = submitted_elsewhere()
    result = run(sensor(prediction_id=f" {prediction_id}\n", deferrable=deferrable), Tries())
    assert result["prediction_id"] == prediction_id
    assert result["model"] == "bytedance/seedream-v5.0-lite/sequential"
    assert len(result["images"]) == 3
    assert [result[key] for key in ("prompt", "size", "requested", "cost_usd")] == [None] * 4
    assert ImageSet.from_json(result).to_json() == result


def test_an_id_alone_gives_what_the_api_tells(seedream_emulator, deferrable):
    seedream_emulator.configure(result_input=True)
    result = run(sensor(prediction_id=submitted_elsewhere(), deferrable=deferrable), Tries())
    assert result["prompt"] == PROMPT
    assert (result["size"], result["requested"], result["cost_usd"]) == ("2048*2048", 3, 0.105)


def test_a_set_of_which_only_the_pictures_are_known_is_published(seedream_emulator, tmp_path):
    result = run(sensor(prediction_id=submitted_elsewhere(size="16:9")), Tries())
    run(
        SeedreamPublishOperator(
            task_id="publish", image_set=result, path=str(tmp_path / "set"), contact_sheet=True
        ),
        Tries(),
    )
    manifest = json.loads((tmp_path / "set" / "manifest.json").read_text())
    assert [manifest[key] for key in ("prompt", "size", "requested", "cost_usd")] == [None] * 4
    assert {(image["width"], image["height"], image["scene"]) for image in manifest["images"]} == {
        (2848, 1600, None)
    }


def test_a_prediction_that_is_over_is_collected_without_deferring(seedream_emulator):
    seedream_emulator.configure(median_seconds=0)
    task = sensor(prediction_id=submitted_elsewhere())
    assert len(task.execute(Tries().next_try())["images"]) == 3


def test_one_that_runs_is_handed_to_the_triggerer_with_nothing_secret(seedream_emulator):
    seedream_emulator.configure(median_seconds=60)
    before = time.time()
    with pytest.raises(TaskDeferred) as deferred:
        sensor(image_set=submitted(), poke_interval=7, timeout=100).execute(Tries().next_try())
    _, kwargs = deferred.value.trigger.serialize()
    assert before + 99 < kwargs.pop("deadline") < before + 110
    assert kwargs.pop("submitted_at") == pytest.approx(before, abs=10)
    assert kwargs == {
        "seedream_conn_id": "seedream_default",
        "prediction_id": seedream_emulator.predictions[0]["id"],
        "poll_interval": 7,
        "kind": "bytedance/seedream-v5.0-lite/sequential x3 4MP",
    }


def test_trouble_at_the_first_look_is_waited_out(seedream_emulator, deferrable):
    prediction_id = submitted_elsewhere()
    seedream_emulator.faults.add("result", faults.Status(503))
    assert len(run(sensor(prediction_id=prediction_id, deferrable=deferrable), Tries())["images"]) == 3


def fails_for_good(task, told):
    with pytest.raises(AirflowFailException, match=told):
        run(task(), Tries())
    with pytest.raises(AirflowSkipException):
        run(task(soft_fail=True), Tries())


@pytest.mark.parametrize("code", [1200, 5000])
def test_a_failed_prediction_fails_for_good_or_skips(seedream_emulator, deferrable, code):
    seedream_emulator.faults.add("submit", faults.FailPrediction(code=code, error="no"))
    ordered = submitted()
    fails_for_good(
        lambda **soft: sensor(image_set=ordered, deferrable=deferrable, **soft),
        f"ended as failed .code {code}",
    )
    assert seedream_emulator.paid_tasks == 1


def test_an_id_that_the_account_does_not_know_fails_for_good_or_skips(seedream_emulator, deferrable):
    fails_for_good(
        lambda **soft: sensor(prediction_id="0" * 32, deferrable=deferrable, **soft),
        "404.*for seven days, for the account",
    )


def test_a_prediction_that_expired_fails_for_good(seedream_emulator, deferrable):
    ordered = submitted()
    skip(8 * 86400)
    fails_for_good(
        lambda **soft: sensor(image_set=ordered, deferrable=deferrable, **soft), "404.*for seven days"
    )


def test_one_that_vanishes_while_it_is_waited_for_fails_for_good(seedream_emulator):
    seedream_emulator.configure(median_seconds=60)

    def expire():
        seedream_emulator.clock.advance(8 * 86400)

    with pytest.raises(AirflowFailException, match="404"):
        run(sensor(prediction_id=submitted_elsewhere()), Tries(), between=expire)


def test_a_timeout_is_a_sensors_timeout(seedream_emulator, deferrable):
    seedream_emulator.configure(median_seconds=600)
    ordered = submitted()
    with pytest.raises(AirflowSensorTimeout):
        run(sensor(image_set=ordered, timeout=0.3, deferrable=deferrable), Tries())
    with pytest.raises(AirflowSkipException):
        run(sensor(image_set=ordered, timeout=0.3, soft_fail=True, deferrable=deferrable), Tries())
    assert seedream_emulator.paid_tasks == 1


def test_trouble_that_may_pass_is_left_to_a_retry_unless_the_sensor_never_fails(seedream_emulator):
    prediction_id = submitted_elsewhere()
    event = {"outcome": "completed", "prediction_id": prediction_id, "prediction": None, "error": None}
    seedream_emulator.faults.add("result", faults.Status(503), times=None)
    with pytest.raises(InternalServerError):
        sensor(prediction_id=prediction_id).execute_complete(Tries().next_try(), event)
    with pytest.raises(AirflowSkipException, match="503"):
        sensor(prediction_id=prediction_id, never_fail=True).execute_complete(Tries().next_try(), event)


def test_fewer_images_are_accepted_or_refused_by_policy(seedream_emulator, deferrable):
    seedream_emulator.faults.add("submit", faults.Short(2), times=None)
    ordered = submitted()
    assert len(run(sensor(image_set=ordered, deferrable=deferrable), Tries())["images"]) == 2
    fails_for_good(
        lambda **soft: sensor(image_set=ordered, deferrable=deferrable, on_short_delivery="fail", **soft),
        "2 of 3 images",
    )


def test_fewer_images_than_nobody_knows_cannot_be_ruled_out(seedream_emulator):
    with pytest.raises(AirflowFailException, match="number of requested images is not known"):
        run(sensor(prediction_id=submitted_elsewhere(), on_short_delivery="fail"), Tries())


def test_flagged_images_are_kept_dropped_or_refused_by_policy(seedream_emulator):
    seedream_emulator.faults.add("submit", faults.Flag((1,)), times=None)
    ordered = submitted()
    kept, dropped = (run(sensor(image_set=ordered, on_flagged=each), Tries()) for each in ("keep", "drop"))
    assert [image["flagged"] for image in kept["images"]] == [False, True, False]
    assert [image["flagged"] for image in dropped["images"]] == [False, False]
    with pytest.raises(AirflowFailException, match="1 of 3 images are flagged"):
        run(sensor(image_set=ordered, on_flagged="fail"), Tries())


def test_pictures_inside_the_answer_stay_out_of_xcom(seedream_emulator):
    tries = Tries()
    with pytest.raises(AirflowFailException, match="its outputs are no links"):
        run(sensor(prediction_id=submitted_elsewhere(enable_base64_output=True)), tries)
    assert tries.ti.xcom == {}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"prediction_id": "None"}, "prediction_id='None'.*must be the id"),
        ({"prediction_id": ""}, "prediction_id=''.*must be the id"),
        ({"image_set": "{'prediction_id': 'x'}"}, r"image_set=.*\.output"),
        ({"image_set": {"prediction_id": "x"}}, r"image_set\.model=None"),
    ],
)
def test_what_names_no_prediction_is_refused_and_nothing_is_sent(seedream_emulator, arguments, told):
    with pytest.raises(AirflowFailException, match=told):
        run(sensor(**arguments), Tries())
    assert seedream_emulator.journal == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({}, "exactly one of prediction_id and image_set"),
        ({"prediction_id": "x", "image_set": {}}, "exactly one of prediction_id and image_set"),
        ({"prediction_id": "x", "image_sets": {}}, "argument='image_sets'.*Did you mean \"image_set\""),
        ({"prediction_id": "x", "poke_interval": 0.5}, "poke_interval=0.5.*2 seconds or more"),
        ({"prediction_id": "x", "on_flagged": "hide"}, "on_flagged='hide'"),
        ({"prediction_id": "x", "end_from_trigger": True}, "argument='end_from_trigger'"),
    ],
)
def test_a_slip_in_the_dag_is_refused_while_it_is_parsed(arguments, told):
    with pytest.raises(ValueError, match=told):
        sensor(**arguments)


def test_a_404_for_a_prediction_that_was_just_submitted_is_waited_out(seedream_emulator, deferrable):
    ordered = submitted()
    seedream_emulator.faults.add("result", faults.Status(404))
    assert (
        len(run(sensor(image_set=ordered, deferrable=deferrable), Tries())["images"]) == ordered["requested"]
    )
