"""What is paid is taken again: the advice of the task that paid, a try that Airflow ends, and other runs that claim."""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred

from airflow_provider_seedream.decorators.seedream import SeedreamSequentialDecoratedOperator
from airflow_provider_seedream.emulator import faults
from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator
from airflow_provider_seedream.wavespeed import Prediction
from airflow_provider_seedream.wavespeed.errors import LostSubmissionError, WaveSpeedError
from tests.components.airflow_context import Tries, die_in_flight, run

pytestmark = pytest.mark.usefixtures("hurried")


def operator(**arguments: Any) -> SeedreamSequentialOperator:
    return SeedreamSequentialOperator(task_id="gen", **{"prompt": "a fox", "retries": 3, **arguments})


@pytest.mark.parametrize("fault", [faults.CdnStatus(503), faults.CdnTruncated(), faults.CdnHtml()], ids=repr)
def test_the_advice_of_an_image_that_could_not_be_published_pays_nothing(
    seedream_emulator, tmp_path, monkeypatch, fault
):
    monkeypatch.setattr("tenacity.nap.sleep_using_event.__call__", lambda self, seconds: None)
    tries = Tries()
    seedream_emulator.faults.add("cdn", fault, times=None)
    with pytest.raises(
        (WaveSpeedError, AirflowFailException), match=r"To fetch it again, clear the task. This pays nothing"
    ) as caught:
        run(operator(output_path=str(tmp_path)), tries)
    assert "Run the task again" not in str(caught.value)
    seedream_emulator.faults.clear()
    tries.clear(retries=3)
    assert len(run(operator(output_path=str(tmp_path)), tries)["images"]) == 1
    assert seedream_emulator.paid_tasks == 1


class TaskTimeout(BaseException):
    """As Airflow's ``execution_timeout``: no ``Exception``."""


@pytest.mark.parametrize("remembers", [True, False])
def test_a_try_that_airflow_ends_before_a_byte_left_paid_nothing(seedream_emulator, monkeypatch, remembers):
    def ended(*_: Any, **__: Any) -> None:
        raise TaskTimeout

    tries = Tries(store=remembers)
    with monkeypatch.context() as patch:
        patch.setattr("urllib3.util.connection.create_connection", ended)
        with pytest.raises(TaskTimeout):
            run(operator(), tries)
    if remembers:
        assert tries.store.get("seedream_submission")["phase"] == "nothing"
    assert len(run(operator(), tries)["images"]) == 1
    assert seedream_emulator.paid_tasks == 1


def test_a_try_that_airflow_ends_after_the_request_left_may_have_paid(seedream_emulator, monkeypatch):
    def ended(*_: Any, **__: Any) -> None:
        raise TaskTimeout

    tries = Tries()
    with monkeypatch.context() as patch:
        patch.setattr("http.client.HTTPResponse._read_status", ended)
        patch.setattr("airflow_provider_seedream.wavespeed.transport._Answer._read_status", ended)
        with pytest.raises(TaskTimeout):
            run(operator(), tries)
    assert tries.store.get("seedream_submission")["phase"] == "intent"


MINE, OTHER = "scheduled__2026-11-28T00:00:01+00:00", "manual__2026-11-28T00:00:00+00:00"


@pytest.fixture
def two_runs(seedream_emulator):
    """This run lost its submission on the way; another run of the DAG asked for the same and was answered."""
    mine, other = Tries(), Tries()
    mine.ti.run_id, other.ti.run_id = MINE, OTHER

    def know(**more: Any) -> None:
        runs = {OTHER: {"gen": other.ti.xcom}, **{run_id: {"gen": pushed} for run_id, pushed in more.items()}}
        mine.ti.xcom_of_runs = runs
        mine.ti.states_of_runs = {run_id: {"gen": "deferred"} for run_id in runs}

    know()
    seedream_emulator.faults.add("submit", faults.DropBefore())
    with pytest.raises((LostSubmissionError, AirflowFailException)):
        run(operator(), mine)
    theirs = run(operator(), other)["prediction_id"]
    know()
    return SimpleNamespace(mine=mine, other=other, know=know, theirs=theirs)


def adopted(tries: Tries) -> str | None:
    try:
        return str(run(operator(on_lost_submission="adopt"), tries)["prediction_id"])
    except (LostSubmissionError, AirflowFailException):
        return None


def test_nothing_is_adopted_while_the_claims_of_other_runs_cannot_be_read(seedream_emulator, two_runs):
    def away(**_: Any) -> None:
        raise RuntimeError("the API server is away")

    two_runs.mine.ti.get_task_states = away
    with pytest.raises(LostSubmissionError, match="could not be read") as caught:
        run(operator(on_lost_submission="adopt"), two_runs.mine)
    assert caught.value.transient


def test_the_claims_of_all_runs_at_work_count(seedream_emulator, two_runs):
    many = {f"scheduled__2026-11-28T01:{n:02d}:00+00:00": {"prediction_id": f"{n:032x}"} for n in range(40)}
    two_runs.know(**many)
    assert adopted(two_runs.mine) != two_runs.theirs


def test_what_another_run_paid_for_before_it_was_cleared_stays_its_own(seedream_emulator, two_runs):
    two_runs.other.clear(retries=3)
    assert run(operator(), two_runs.other)["prediction_id"] != two_runs.theirs
    two_runs.know()
    assert adopted(two_runs.mine) != two_runs.theirs


MOMENT = dt.datetime(2026, 11, 28, 5, 0, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    "shown",
    [
        MOMENT.isoformat(),
        "2026-11-28T05:00:00Z",
        int(MOMENT.timestamp()),
        f"{MOMENT.timestamp():.3f}",
        int(MOMENT.timestamp() * 1000),
        "Sat, 28 Nov 2026 05:00:00 GMT",
    ],
)
def test_the_moment_of_a_prediction_is_read_in_every_usual_form(shown):
    prediction = Prediction.from_json({"id": "a" * 32, "status": "created", "created_at": shown})
    assert prediction.created == MOMENT.timestamp()


def test_a_link_that_is_not_well_formed_counts_as_missing():
    outputs = ["https://cdn.example/1.png", "http://[::1", "https://cdn.example/3.png"]
    prediction = Prediction.from_json({"id": "a" * 32, "status": "completed", "outputs": outputs})
    assert prediction.outputs == (outputs[0], outputs[2])


def test_a_record_of_a_clear_names_what_was_paid_before(seedream_emulator):
    tries = Tries()
    first = run(operator(), tries)["prediction_id"]
    tries.clear(retries=3)
    run(operator(), tries)
    assert tries.ti.xcom["earlier_predictions"] == [first]


WHALE = "2 images. First, a whale. Second, a crab."
FOX = "2 images. First, a fox. Second, an owl."
NEVER_ANOTHERS = pytest.mark.event(
    "Another task lost its submission at the same time, or waits for an answer"
)


def other_of(place: str, one: Tries, other: Tries, state: str = "running") -> None:
    """Let ``one`` see what ``other`` says: a mapped instance of its run, or the same task in another run."""
    one.ti.xcom_of_others = other.ti.xcom_of_others = {"others": {}}
    if place == "run":
        one.ti.run_id, other.ti.run_id = MINE, OTHER
        one.ti.xcom_of_runs = {OTHER: {"gen": other.ti.xcom}}
        one.ti.states_of_runs = {OTHER: {"gen": state}}
    else:
        one.ti.map_index, other.ti.map_index = 0, 1
        one.ti.xcom_of_others = {"gen[1]": other.ti.xcom, "others": other.ti.xcom}


def mapped(**arguments: Any) -> SeedreamSequentialOperator:
    task = operator(**arguments)
    task.siblings = ["others"]
    return task


def lose(tries: Tries, emulator: Any, fault: Any, prompt: str) -> None:
    emulator.faults.add("submit", fault)
    with pytest.raises((LostSubmissionError, AirflowFailException)):
        run(mapped(prompt=prompt), tries)


def refused(tries: Tries, **arguments: Any) -> str:
    arguments = {"prompt": FOX, "on_lost_submission": "adopt", **arguments}
    with pytest.raises((LostSubmissionError, AirflowFailException)) as error:
        run(mapped(**arguments), tries, pauses=[])
    return str(error.value)


@NEVER_ANOTHERS
@pytest.mark.parametrize("place", ["run", "mapped instance"])
@pytest.mark.parametrize("state", ["failed", "up_for_retry"])
def test_what_another_task_lost_is_not_adopted_and_the_way_out_works(seedream_emulator, place, state):
    one, other = Tries(), Tries()
    other_of(place, one, other, state)
    lose(other, seedream_emulator, faults.DropAfter(), WHALE)
    lose(one, seedream_emulator, faults.DropBefore(), FOX)
    error = refused(one)
    theirs = seedream_emulator.predictions[0]["id"]
    assert theirs in error
    assert "it may be that of gen" in error
    assert "pays nothing" not in error
    assert 'set on_lost_submission="fail", and clear the task' in error
    one.clear(retries=3)
    assert run(mapped(prompt=FOX), one, pauses=[])["prediction_id"] != theirs
    assert seedream_emulator.paid_tasks == 2


@NEVER_ANOTHERS
@pytest.mark.parametrize("place", ["run", "mapped instance"])
def test_what_another_task_gave_up_for_a_new_set_is_not_adopted_either(seedream_emulator, place):
    one, other = Tries(), Tries()
    other_of(place, one, other)
    lose(one, seedream_emulator, faults.DropBefore(), FOX)
    lose(other, seedream_emulator, faults.DropAfter(), WHALE)
    other.clear(retries=3)
    run(mapped(prompt=WHALE), other, pauses=[])
    assert seedream_emulator.paid_tasks == 2
    refused(one)
    run(mapped(prompt=WHALE), other)  # Airflow emptied what it had said
    refused(one)
    assert seedream_emulator.paid_tasks == 2


@NEVER_ANOTHERS
@pytest.mark.parametrize("place", ["run", "mapped instance"])
@pytest.mark.parametrize("prompt", [FOX, WHALE])
@pytest.mark.parametrize("shown", [False, True])
def test_what_a_task_that_waits_for_its_answer_pays_is_not_adopted(
    seedream_emulator, monkeypatch, place, prompt, shown
):
    seedream_emulator.configure(list_input=shown, result_input=shown)
    one, other = Tries(), Tries()
    other_of(place, one, other)
    # Killed while it waits: nothing it says tells this from waiting on.
    die_in_flight(monkeypatch, mapped(prompt=prompt), other)
    assert prompt not in str(other.ti.xcom)
    assert seedream_emulator.api_key not in str(other.ti.xcom)
    seedream_emulator.faults.add("submit", faults.DropBefore())
    refused(one)
    assert seedream_emulator.paid_tasks == 1


@NEVER_ANOTHERS
def test_what_the_api_shows_to_be_this_one_is_adopted_beside_another_task_that_waits(
    seedream_emulator, monkeypatch
):
    seedream_emulator.configure(list_input=True, result_input=True)
    one, other = Tries(), Tries()
    other_of("run", one, other)
    die_in_flight(monkeypatch, mapped(prompt=WHALE), other)
    lose(one, seedream_emulator, faults.DropAfter(), FOX)
    taken = run(mapped(prompt=FOX, on_lost_submission="adopt"), one)["prediction_id"]
    assert taken == seedream_emulator.predictions[1]["id"]


def end_early(tries: Tries, monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    """A try that ends before it can pay: Airflow emptied what the task had said."""
    arguments = {"prompt": WHALE}
    if why == "a prompt that is refused":
        arguments["prompt"] = "2 images.\x00"
    elif why == "a file that is away":
        model = "bytedance/seedream-v5.0-lite/edit-sequential"
        arguments |= {"images": "/nowhere/x.png", "model": model}
    task = mapped(prompt=WHALE)
    for name, value in arguments.items():
        setattr(task, name, value)
    with monkeypatch.context() as patch:
        if why == "a connection that cannot be read":
            patch.setenv("AIRFLOW_CONN_SEEDREAM_DEFAULT", "{broken")
        with pytest.raises((WaveSpeedError, AirflowFailException)):
            run(task, tries)


@NEVER_ANOTHERS
@pytest.mark.parametrize("place", ["run", "mapped instance"])
@pytest.mark.parametrize(
    "why", ["a prompt that is refused", "a file that is away", "a connection that cannot be read"]
)
def test_what_another_task_lost_stays_its_own_though_its_next_try_ends_before_it_can_pay(
    seedream_emulator, monkeypatch, place, why
):
    one, other = Tries(), Tries()
    other_of(place, one, other, "failed")
    lose(other, seedream_emulator, faults.DropAfter(), WHALE)
    other.clear(retries=3)
    end_early(other, monkeypatch, why)
    lose(one, seedream_emulator, faults.DropBefore(), FOX)
    refused(one)
    taken = run(mapped(prompt=WHALE, on_lost_submission="adopt"), other)["prediction_id"]
    assert taken == seedream_emulator.predictions[0]["id"]
    assert seedream_emulator.paid_tasks == 1


@NEVER_ANOTHERS
@pytest.mark.parametrize("fault", [faults.DropAfter(), None], ids=["lost", "delivered"])
def test_what_a_function_paid_for_stays_its_own_though_the_function_fails_after_a_clear(
    seedream_emulator, fault
):
    says: list[Any] = [WHALE]

    def write(scene: int) -> Any:
        if not says:
            raise RuntimeError("the language model is away")
        return says.pop()

    def written() -> SeedreamSequentialDecoratedOperator:
        # Other arguments each time: the prompt that is kept does not count.
        return SeedreamSequentialDecoratedOperator(task_id="gen", python_callable=write, op_args=[len(says)])

    one, other = Tries(), Tries()
    other_of("run", one, other, "failed")
    if fault is None:
        run(written(), other)
    else:
        seedream_emulator.faults.add("submit", fault)
        with pytest.raises(AirflowFailException):
            run(written(), other)
    other.clear(retries=3)
    with pytest.raises(RuntimeError, match="the language model"):
        run(written(), other)
    lose(one, seedream_emulator, faults.DropBefore(), FOX)
    refused(one)
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.parametrize("place", ["run", "mapped instance"])
def test_a_task_that_was_answered_is_in_no_way_of_another(seedream_emulator, place):
    one, other = Tries(), Tries()
    other_of(place, one, other)
    run(mapped(prompt=WHALE), other)
    lose(one, seedream_emulator, faults.DropAfter(), FOX)
    mine = run(mapped(prompt=FOX, on_lost_submission="adopt"), one)["prediction_id"]
    assert mine == seedream_emulator.predictions[1]["id"]


@pytest.mark.parametrize("status", [402, 429])
def test_a_task_whose_submission_was_refused_takes_back_that_it_may_arrive(seedream_emulator, status):
    tries = Tries()
    seedream_emulator.faults.add("submit", faults.Status(status))
    with pytest.raises((AirflowFailException, TaskDeferred)):
        operator().execute(tries.next_try())
    assert tries.ti.xcom["lost_submission"] is None


def pushes_of(tries: Tries, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    pushed: list[str] = []
    push = tries.ti.xcom_push

    def counted(key: str, value: Any) -> None:
        pushed.append(key)
        push(key, value)

    monkeypatch.setattr(tries.ti, "xcom_push", counted)
    return pushed


def test_a_paid_submission_says_so_once_right_after_its_intent_and_a_try_that_pays_nothing_never(
    seedream_emulator, monkeypatch
):
    tries, seen = Tries(), []
    pushed = pushes_of(tries, monkeypatch)
    kept = tries.store.set

    def keep(key: str, value: Any, **options: Any) -> None:
        seen.append((list(pushed), key, seedream_emulator.paid_tasks))
        kept(key, value, **options)

    monkeypatch.setattr(tries.store, "set", keep)
    run(operator(), tries)
    assert [each[:2] for each in seen[:2]] == [
        ([], "seedream_submission"),
        (["lost_submission"], "seedream_submission"),
    ]
    assert seen[0][2] == 0
    assert pushed.count("lost_submission") == 1
    del pushed[:]
    run(operator(), tries)
    assert "lost_submission" not in pushed
    assert pushed[0] == "prediction_id"
    assert seedream_emulator.paid_tasks == 1


def test_a_task_pays_though_it_cannot_tell_others(seedream_emulator, monkeypatch):
    tries = Tries()
    push = tries.ti.xcom_push

    def away(key: str, value: Any) -> None:
        if key == "lost_submission":
            raise RuntimeError("the API server is away")
        push(key, value)

    monkeypatch.setattr(tries.ti, "xcom_push", away)
    assert len(run(operator(), tries)["images"]) == 1
    assert seedream_emulator.paid_tasks == 1
