"""Sets that a lost submission did not bring, however much they look like it: none is taken."""

from __future__ import annotations

from email.utils import formatdate

import pytest
import requests
import urllib3.util.connection
from aiohttp import web
from airflow.providers.common.compat.sdk import AirflowFailException
from PIL import Image

from airflow_provider_seedream.emulator import faults, money
from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator
from airflow_provider_seedream.submission import Timing
from airflow_provider_seedream.submission.matching import candidates
from airflow_provider_seedream.wavespeed import LostSubmissionError, Prediction, operations
from airflow_provider_seedream.wavespeed.client import WaveSpeedClient
from airflow_provider_seedream.wavespeed.request import ImageSetRequest
from airflow_provider_seedream.xcom import SUBMISSION
from tests.components.airflow_context import Tries, WorkerKilledError, run
from tests.components.clock import set_clock, skip

pytestmark = pytest.mark.usefixtures("hurried")

OLDER = pytest.mark.event("Another set is older than the lost submission")
LOST = pytest.mark.event("Worker killed between the paying request and its answer")
SHOWN = pytest.mark.parametrize("shown", [{}, {"list_input": True}], ids=["inputs hidden", "inputs shown"])


def operator(**arguments):
    return SeedreamSequentialOperator(
        **{
            "task_id": "gen",
            "prompt": ["a fox wakes", "an owl sleeps"],
            "on_lost_submission": "adopt",
            "retries": 2,
        }
        | arguments
    )


def somebody_draws(emulator, **changed):
    """A client of the same account pays for a set of the same prompt."""
    body = (
        dict(operations.submit(ImageSetRequest.build(prompt=["a fox wakes", "an owl sleeps"])).json) | changed
    )
    put_by, emulator.faults._rules = emulator.faults._rules, []
    made = requests.post(
        f"{emulator.url}/api/v3/bytedance/seedream-v5.0-lite/sequential",
        json=body,
        headers={"Authorization": f"Bearer {emulator.api_key}"},
        timeout=10,
    )
    emulator.faults._rules = put_by
    return made.json()["data"]["id"]


def killed_before_the_request_leaves(monkeypatch, task, tries):
    send = WaveSpeedClient.send

    def die(self, call, **options):
        if call.pays:
            raise WorkerKilledError
        return send(self, call, **options)

    with monkeypatch.context() as patch:
        patch.setattr(WaveSpeedClient, "send", die)
        patch.setattr("airflow_provider_seedream.submission.submission.Submission._put_back", lambda *_: None)
        with pytest.raises(WorkerKilledError):
            run(task, tries)
    assert tries.store.get(SUBMISSION)["phase"] == "intent"


def refused(tries, **arguments):
    with pytest.raises((LostSubmissionError, AirflowFailException)):
        run(operator(**arguments), tries)


@LOST
@pytest.mark.parametrize("same", [True, False], ids=["its own image", "another image"])
def test_a_set_from_another_reference_image_is_not_taken(seedream_emulator, monkeypatch, tmp_path, same):
    seedream_emulator.configure(list_input=True)
    for name, colour in (("a.png", "red"), ("b.png", "blue")):
        Image.new("RGB", (512, 512), colour).save(tmp_path / name)
    tries = Tries()
    tries.ti.max_tries = 2
    if same:
        seedream_emulator.faults.add("submit", faults.DropAfter())
        seedream_emulator.faults.add("list", faults.Status(503), times=None)
        refused(tries, images=[str(tmp_path / "a.png")])
        seedream_emulator.faults.clear()
        paid = seedream_emulator.predictions[0]["id"]
        assert run(operator(images=[str(tmp_path / "a.png")]), tries)["prediction_id"] == paid
    else:
        killed_before_the_request_leaves(monkeypatch, operator(images=[str(tmp_path / "a.png")]), tries)
        run(operator(images=[str(tmp_path / "b.png")]), Tries())
        refused(tries, images=[str(tmp_path / "a.png")])
    assert seedream_emulator.paid_tasks == 1


@LOST
@SHOWN
@pytest.mark.parametrize("policy", ["adopt", "resubmit"])
@pytest.mark.parametrize("by", [0, -10, -30, -3600, 3600])
def test_a_clock_that_is_set_while_a_submission_is_lost_pays_nothing_twice(
    seedream_emulator, monkeypatch, shown, policy, by
):
    seedream_emulator.configure(**shown)
    monkeypatch.setattr(
        "airflow_provider_seedream.operators.base.PayingOperator.timing", Timing(searches=(0.0, 0.01))
    )
    # The clock of this machine is wrong at first, that of the API is right throughout.
    set_clock(-by)
    seedream_emulator.clock._offset += by
    send = WaveSpeedClient.send

    def sent_and_set(self, call, **options):
        try:
            return send(self, call, **options)
        finally:
            if call.pays and not done:
                done.append(call)
                set_clock(by)
                seedream_emulator.clock._offset -= by

    done = []
    monkeypatch.setattr(WaveSpeedClient, "send", sent_and_set)
    seedream_emulator.faults.add("submit", faults.DropAfter())
    taken, error = None, ""
    try:
        taken = run(operator(on_lost_submission=policy), Tries(), pauses=[])["prediction_id"]
    except (LostSubmissionError, AirflowFailException) as refusal:
        error = str(refusal)
    (paid,) = seedream_emulator.predictions
    assert taken == paid["id"] or (policy == "resubmit" and paid["id"] in error)
    assert seedream_emulator.paid_tasks == 1


@OLDER
@SHOWN
def test_a_set_that_was_made_before_a_byte_left_is_not_taken(seedream_emulator, monkeypatch, shown):
    seedream_emulator.configure(**shown)
    monkeypatch.setattr(
        "airflow_provider_seedream.operators.base.PayingOperator.timing", Timing(searches=(0.0, 0.01))
    )
    connect, tried = urllib3.util.connection.create_connection, []

    def refused_at_first(*arguments, **options):
        monkeypatch.setattr(urllib3.util.connection, "create_connection", connect)
        if not tried:
            tried.append(1)
            skip(10)
            somebody_draws(seedream_emulator)
            skip(20)
            raise ConnectionRefusedError(111, "Connection refused")
        return connect(*arguments, **options)

    submit = WaveSpeedClient.send

    def send(self, call, **options):
        if call.pays:
            monkeypatch.setattr(urllib3.util.connection, "create_connection", refused_at_first)
        return submit(self, call, **options)

    monkeypatch.setattr(WaveSpeedClient, "send", send)
    seedream_emulator.faults.add("submit", faults.DropBefore())
    refused(Tries())
    assert tried
    assert seedream_emulator.paid_tasks == 1


@OLDER
@SHOWN
@pytest.mark.parametrize("behind", [30, 600])
def test_a_killed_worker_whose_clock_was_behind_is_given_no_older_set(
    seedream_emulator, monkeypatch, shown, behind
):
    seedream_emulator.configure(**shown)
    somebody_draws(seedream_emulator)
    skip(behind)
    set_clock(-behind - 10)
    seedream_emulator.clock._offset += behind + 10
    tries = Tries()
    tries.ti.max_tries = 2
    killed_before_the_request_leaves(monkeypatch, operator(), tries)
    set_clock(behind + 10)
    seedream_emulator.clock._offset -= behind + 10
    refused(tries)
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.parametrize(
    "odd", ["a whale\x00 swims", "a whale\ud800 swims", "a whale " * 4000], ids=["NUL", "surrogate", "long"]
)
def test_a_shown_prompt_that_no_database_stores_is_that_of_another_request(odd):
    request = ImageSetRequest.build(prompt=["a fox wakes", "an owl sleeps"])
    shown = {
        "id": "abcdef",
        "status": "created",
        "model": request.model,
        "input": {"prompt": odd, "max_images": 2},
    }
    assert candidates([Prediction.from_json(shown)], request) == []


@OLDER
@SHOWN
@pytest.mark.parametrize("arrives", [True, False])
@pytest.mark.parametrize("how", ["stuck on the line", "from a cache"])
def test_an_answer_whose_date_is_old_says_nothing_of_the_clock(
    seedream_emulator, monkeypatch, shown, arrives, how
):
    seedream_emulator.configure(**shown)

    def old(data):
        date = formatdate(seedream_emulator.clock.now(), usegmt=True)
        if how == "stuck on the line":
            skip(40)
            return web.json_response(
                {"code": 200, "message": "success", "data": data}, headers={"Date": date}
            )
        date = formatdate(seedream_emulator.clock.now() - 600, usegmt=True)
        headers = {"Date": date, "Age": "600"}
        return web.json_response({"code": 200, "message": "success", "data": data}, headers=headers)

    monkeypatch.setattr(money, "success", old)
    theirs = somebody_draws(seedream_emulator)
    skip(1 if how == "stuck on the line" else 480)
    seedream_emulator.faults.add("submit", faults.DropAfter() if arrives else faults.DropBefore())
    try:
        taken = run(operator(), Tries(), pauses=[])["prediction_id"]
    except (LostSubmissionError, AirflowFailException):
        taken = None
    assert taken != theirs
    assert seedream_emulator.paid_tasks == 1 + arrives
