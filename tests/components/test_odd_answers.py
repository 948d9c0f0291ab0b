"""What the API or its gateway may also say, and what that must not lead to: another's pictures, a second payment."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import socket
import threading
import time

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred

from airflow_provider_seedream.emulator import faults
from airflow_provider_seedream.hooks.seedream import SeedreamHook
from airflow_provider_seedream.wavespeed import LostSubmissionError, PredictionTimeoutError
from airflow_provider_seedream.wavespeed.errors import ApiTimeoutError, InvalidResponseError
from airflow_provider_seedream.wavespeed.prediction import Prediction
from airflow_provider_seedream.xcom import SUBMISSION
from tests.components.airflow_context import Tries, event_of, run
from tests.components.test_never_pays_twice import OPERATOR_DEFERS, operator, run_and_kill_at

pytestmark = pytest.mark.usefixtures("hurried")

PROMPT = "2 images. First, a fox. Second, an owl."


def told(shown, **changes):
    """An answer with a prediction as the emulator shows it, but for some changes."""
    public = {key: value for key, value in shown.items() if key not in ("price", "refunded", "input")}
    return faults.Status(200, body={"code": 200, "message": "success", "data": {**public, **changes}})


def telling_inputs(monkeypatch, **inputs):
    """Let every answer about a prediction tell these inputs."""
    parse = Prediction.from_json.__func__

    def with_inputs(cls, data):
        return dataclasses.replace(parse(cls, data), input=inputs)

    monkeypatch.setattr(Prediction, "from_json", classmethod(with_inputs))


@pytest.mark.parametrize("status", ["504", "error", None])
def test_the_id_of_a_gateways_error_is_not_taken_for_a_prediction(seedream_emulator, status):
    gateways = {"id": "0f8fad5b-d9cb-469f-a165-70867728950e", "status": status, "title": "Gateway Timeout"}
    seedream_emulator.faults.add("submit", faults.Status(504, body=gateways, processed=True))
    tries = Tries()
    with pytest.raises(AirflowFailException, match="Candidates"):
        run(operator(), tries)
    assert tries.store.get(SUBMISSION)["prediction_id"] is None
    result = run(operator(on_lost_submission="adopt"), tries)
    assert result["prediction_id"] == seedream_emulator.predictions[0]["id"]
    assert seedream_emulator.paid_tasks == 1


def test_an_id_that_no_look_confirms_is_logged_and_not_recorded(seedream_emulator, caplog):
    named = {"id": "0f8fad5b-d9cb-469f-a165-70867728950e", "status": "processing"}
    seedream_emulator.faults.add("submit", faults.Status(504, body=named, processed=True))
    tries = Tries()
    with pytest.raises(AirflowFailException, match="Candidates"):
        run(operator(), tries)
    assert tries.store.get(SUBMISSION)["prediction_id"] is None
    assert f"names prediction {named['id']}" in caplog.text


@pytest.mark.parametrize("status", [400, 403, 429])
def test_a_refusal_that_names_a_prediction_is_no_refusal(seedream_emulator, status):
    run(operator(), Tries())
    paid = seedream_emulator.predictions[0]["id"]
    body = {"code": status, "message": "no", "data": {"id": paid, "status": "processing"}}
    seedream_emulator.faults.add("submit", faults.Status(status, body=body, headers={"Retry-After": "0"}))
    assert run(operator(), Tries())["prediction_id"] == paid
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.parametrize(
    "inputs",
    [
        {"prompt": PROMPT, "max_images": "2"},
        {"prompt": PROMPT, "max_images": None},
        {"prompt": None, "max_images": 2},
        {"prompt": "2 images. First, a f...", "max_images": 2},
        {},
    ],
)
def test_resubmit_does_not_pay_again_because_the_input_is_told_in_another_form(
    seedream_emulator, monkeypatch, inputs
):
    seedream_emulator.faults.add("submit", faults.DropAfter())
    telling_inputs(monkeypatch, **inputs)
    with contextlib.suppress(LostSubmissionError):
        run(operator(on_lost_submission="resubmit"), Tries())
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.parametrize(
    "inputs", [{}, {"size": "2048*2048"}, {"prompt": PROMPT, "max_images": 2, "size": "4096*4096"}]
)
def test_resubmit_takes_nothing_that_the_api_does_not_identify(seedream_emulator, monkeypatch, inputs):
    other = run(operator(prompt="2 images. First, a cat. Second, a dog."), Tries())["prediction_id"]
    telling_inputs(monkeypatch, **inputs)
    seedream_emulator.faults.add("submit", faults.DropBefore())
    with pytest.raises(LostSubmissionError, match=other):
        run(operator(on_lost_submission="resubmit"), Tries())
    assert seedream_emulator.paid_tasks == 1


def test_adopt_takes_nothing_of_another_model(seedream_emulator):
    run(operator(), Tries())
    listed = [{**seedream_emulator.predictions[0], "model": "vendor/video", "input": None}]
    body = {"code": 200, "message": "success", "data": {"page": 1, "items": listed}}
    seedream_emulator.faults.add("list", faults.Status(200, body=body), times=None)
    seedream_emulator.faults.add("result", told(listed[0]), times=None)
    seedream_emulator.faults.add("submit", faults.DropBefore())
    with pytest.raises(LostSubmissionError):
        run(operator(on_lost_submission="adopt"), Tries())


def test_an_empty_list_may_be_told_as_null(seedream_emulator):
    body = {"code": 200, "message": "success", "data": {"page": 1, "items": None}}
    seedream_emulator.faults.add("list", faults.Status(200, body=body), times=None)
    seedream_emulator.faults.add("submit", faults.DropBefore())
    with pytest.raises(AirflowFailException, match="none seen"):
        run(operator(), Tries())


def test_a_list_that_cannot_be_read_to_its_end_is_no_search(seedream_emulator, monkeypatch):
    monkeypatch.setattr("airflow_provider_seedream.wavespeed.operations.PAGE_SIZE", 1)
    monkeypatch.setattr("airflow_provider_seedream.hooks.seedream.PAGES", 2)
    for prompt in ("2 cats", "2 dogs", "2 cows"):
        run(operator(prompt=prompt), Tries())
    seedream_emulator.faults.add("submit", faults.DropBefore())
    with pytest.raises(LostSubmissionError, match="could not be asked for"):
        run(operator(on_lost_submission="resubmit"), Tries())
    assert seedream_emulator.paid_tasks == 3


@pytest.mark.parametrize("ahead", [600, -600])
def test_a_lost_submission_is_found_though_the_clocks_differ(seedream_emulator, monkeypatch, ahead):
    if ahead > 0:
        seedream_emulator.clock.advance(ahead)
    else:
        clock = time.time
        monkeypatch.setattr(time, "time", lambda: clock() - ahead)
    seedream_emulator.configure(result_input=True)
    seedream_emulator.faults.add("submit", faults.DropAfter())
    result = run(operator(on_lost_submission="resubmit"), Tries())
    assert result["prediction_id"] == seedream_emulator.predictions[0]["id"]
    assert seedream_emulator.paid_tasks == 1


def test_an_answer_about_another_prediction_is_not_believed(seedream_emulator):
    other = run(operator(prompt="2 images. First, a cat. Second, a dog."), Tries())
    seedream_emulator.faults.add("result", told(seedream_emulator.predictions[0]), times=1)
    result = run(operator(), Tries())
    assert result["prediction_id"] != other["prediction_id"]
    assert {each["url"] for each in result["images"]}.isdisjoint(each["url"] for each in other["images"])


def test_a_look_that_lags_behind_the_last_one_is_waited_for(seedream_emulator):
    task, tries = operator(), Tries()
    with pytest.raises(TaskDeferred) as deferral:
        task.execute(tries.next_try())
    event = event_of(deferral.value.trigger)
    seedream_emulator.faults.add("result", faults.ShowStatus("processing"))
    with pytest.raises(TaskDeferred) as again:
        task.execute_complete(tries.context(), event)
    assert len(task.execute_complete(tries.context(), event_of(again.value.trigger))["images"]) == 2


def test_flags_stay_with_their_pictures_where_an_output_is_blank():
    prediction = Prediction.from_json(
        {
            "id": "x",
            "status": "completed",
            "outputs": [None, "https://c/2", {"url": "https://c/3"}],
            "has_nsfw_contents": [False, True],
        }
    )
    assert prediction.outputs == ("https://c/2", "https://c/3")
    assert prediction.flags == (True, None)


def test_a_reused_prediction_that_cannot_be_found_is_not_paid_for_again(seedream_emulator):
    tries = Tries()
    first = run(operator(), tries)["prediction_id"]
    tries.clear()
    seedream_emulator.faults.add("result", faults.Status(404))
    with pytest.raises(AirflowFailException, match=first):
        run(operator(on_clear="reuse"), tries)
    assert run(operator(on_clear="reuse"), tries)["prediction_id"] == first
    assert seedream_emulator.paid_tasks == 1


def test_base64_pictures_never_reach_xcom_though_the_task_was_edited(
    seedream_emulator, monkeypatch, tmp_path
):
    tries = Tries()
    folder = str(tmp_path / "set")
    run_and_kill_at(
        monkeypatch, OPERATOR_DEFERS, operator(enable_base64_output=True, output_path=folder), tries
    )
    with pytest.raises(AirflowFailException, match="Give output_path"):
        run(operator(), tries)
    assert len(json.dumps(tries.ti.xcom)) < 5000
    assert len(run(operator(output_path=folder), tries)["images"]) == 2
    assert seedream_emulator.paid_tasks == 1


def test_links_are_taken_where_base64_is_asked_for_only_now(seedream_emulator, monkeypatch, tmp_path):
    tries = Tries()
    run_and_kill_at(monkeypatch, OPERATOR_DEFERS, operator(), tries)
    result = run(operator(enable_base64_output=True, output_path=str(tmp_path / "set")), tries)
    assert all(each["url"].startswith("http") for each in result["images"])
    assert seedream_emulator.paid_tasks == 1


def test_an_id_that_could_not_be_recorded_is_recorded_when_the_task_comes_back(
    seedream_emulator, monkeypatch, tmp_path
):
    tries = Tries()
    write = tries.store.set

    def away(key, value, **options):
        if value["phase"] == "submitted":
            raise ConnectionError("the API server is away")
        write(key, value, **options)

    task = operator()
    with monkeypatch.context() as patch:
        patch.setattr(tries.store, "set", away)
        with pytest.raises(TaskDeferred) as deferral:
            task.execute(tries.next_try())
    assert tries.store.get(SUBMISSION)["phase"] == "intent"
    task.execute_complete(tries.context(), event_of(deferral.value.trigger))
    assert tries.store.get(SUBMISSION)["prediction_id"] == seedream_emulator.predictions[0]["id"]


def test_a_refusal_is_told_although_the_record_cannot_be_put_back(seedream_emulator, monkeypatch):
    tries = Tries()
    seedream_emulator.faults.add("submit", faults.Status(400))

    def away(key):
        raise ConnectionError("the API server is away")

    monkeypatch.setattr(tries.store, "delete", away)
    with pytest.raises(AirflowFailException, match="BadRequestError"):
        run(operator(), tries)


def test_a_task_that_comes_back_after_its_deadline_does_not_submit(seedream_emulator, monkeypatch):
    seedream_emulator.faults.add("submit", faults.Status(429))
    task, tries = operator(timeout=60), Tries()
    with pytest.raises(TaskDeferred):
        task.execute(tries.next_try())
    record = tries.store.get(SUBMISSION)
    tries.store.set(SUBMISSION, {**record, "deadline": record["intent_at"] - 1})
    with pytest.raises(PredictionTimeoutError, match="nothing is paid"):
        task.execute_postponed(tries.context(), None)
    assert seedream_emulator.paid_tasks == 0


@pytest.mark.parametrize("total", ["NaN", -5, "-inf", None])
def test_figures_of_usage_that_make_no_sense_let_nothing_through(seedream_emulator, monkeypatch, total):
    connection = seedream_emulator.airflow_connection(max_cost_per_day=0.01)
    monkeypatch.setenv("AIRFLOW_CONN_SEEDREAM_DEFAULT", connection)
    body = {"code": 200, "message": "success", "data": {"summary": {"total_cost": total}}}
    seedream_emulator.faults.add("usage", faults.Status(200, body=body), times=None)
    with pytest.raises(InvalidResponseError):
        run(operator(), Tries())
    assert seedream_emulator.paid_tasks == 0


@pytest.mark.parametrize("name", ["max_cost", "max_images", "model", "output_path"])
def test_an_argument_that_a_native_template_renders_to_nothing_is_refused(seedream_emulator, name):
    task = operator(**{name: "{{ params.get('none') }}"})
    setattr(task, name, None)
    with pytest.raises(AirflowFailException, match=f"{name}=None is refused"):
        run(task, Tries())
    assert seedream_emulator.paid_tasks == 0


def test_of_two_siblings_that_find_the_same_prediction_one_at_the_most_takes_it(
    seedream_emulator, monkeypatch
):
    tries = Tries()
    seedream_emulator.faults.add("submit", faults.DropAfter())
    pull = tries.ti.xcom_pull

    def beside_a_sibling(task_ids=None, key="return_value", map_indexes=None):
        own = pull(task_ids, key, map_indexes)
        # The sibling claims the same prediction in the moment in which this one does.
        return own * 2 if isinstance(task_ids, list) and key == "prediction_id" else own

    monkeypatch.setattr(tries.ti, "xcom_pull", beside_a_sibling)
    with pytest.raises(LostSubmissionError):
        run(operator(on_lost_submission="adopt"), tries)
    assert tries.ti.xcom["prediction_id"] is None


@pytest.fixture
def dripping_api():
    """A server that sends its answer one byte at a time, for as long as somebody listens; gives its port."""
    over = threading.Event()

    def drip(connection):
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            while not over.wait(0.05):
                connection.sendall(b" ")

    def serve():
        while not over.is_set():
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=drip, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1]
        over.set()


def test_an_answer_that_drips_is_given_up_in_time(dripping_api, monkeypatch):
    connection = {
        "conn_type": "seedream",
        "host": f"http://127.0.0.1:{dripping_api}",
        "password": "not-a-key",
        "extra": {"connect_timeout": 0.3, "read_timeout": 0.5},
    }
    monkeypatch.setenv("AIRFLOW_CONN_SEEDREAM_DEFAULT", json.dumps(connection))
    with pytest.raises(ApiTimeoutError, match=r"got no answer \(0.5 s allowed\)"):
        SeedreamHook().prediction("a" * 32, attempts=1)


def test_a_folder_that_is_anothers_is_refused_before_anything_is_paid(seedream_emulator, tmp_path):
    folder = str(tmp_path / "stories")
    monday, tuesday = Tries(), Tries()
    run(operator(output_path=folder), monday)
    tuesday.ti.run_id = "tuesday"
    with pytest.raises(AirflowFailException, match=r"Nothing is paid.*run_id"):
        run(operator(output_path=folder), tuesday)
    assert seedream_emulator.paid_tasks == 1
    monday.clear()
    assert len(run(operator(output_path=folder), monday)["images"]) == 2
    assert seedream_emulator.paid_tasks == 2


@pytest.mark.parametrize("name", ["manifest.json", "manifest.json.partial"])
def test_a_hostile_file_in_the_folder_is_somebody_elses_and_refused_before_paying(
    seedream_emulator, tmp_path, name
):
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / name).write_bytes(b"[" * 100_000)
    with pytest.raises(AirflowFailException, match=f"{name}.*Nothing is paid"):
        run(operator(output_path=str(folder)), Tries())
    assert (folder / name).read_bytes() == b"[" * 100_000
    assert seedream_emulator.paid_tasks == 0


@pytest.mark.parametrize(
    "date", ["Fri, 31 Dec 9999 23:59:59 GMT", "Thu, 01 Jan 1970 00:00:00 GMT", "0", "x" * 300]
)
def test_a_date_that_no_clock_shows_is_none(seedream_emulator, date):
    lost = faults.Status(500, headers={"Date": date}, processed=True)
    seedream_emulator.faults.add("submit", lost)
    tries = Tries()
    with pytest.raises(AirflowFailException, match="Candidates"):
        run(operator(), tries)
    assert run(operator(on_lost_submission="adopt"), tries)["images"]
    assert seedream_emulator.paid_tasks == 1
