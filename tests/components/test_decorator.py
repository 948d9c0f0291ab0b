"""``@task.seedream_sequential``: how often the function is called, and what is paid for, try by try."""

from __future__ import annotations

import copy
import datetime as dt
import itertools
import random
from decimal import Decimal

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_seedream.decorators.seedream import SeedreamSequentialDecoratedOperator
from airflow_provider_seedream.emulator import faults
from airflow_provider_seedream.wavespeed import (
    ImageSetPrompt,
    InvalidInputError,
    LostSubmissionError,
    PredictionFailedError,
    PredictionTimeoutError,
    Scene,
    WaveSpeedError,
)
from tests.components.airflow_context import Tries, run

pytestmark = pytest.mark.usefixtures("hurried")


class Model:
    """A function that never says the same twice."""

    def __init__(self, *answers):
        self.answers = iter(answers or (f"a fox, idea {number}" for number in itertools.count(1)))
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return next(self.answers)


def operator(function, **arguments):
    return SeedreamSequentialDecoratedOperator(**{"task_id": "gen", "python_callable": function, **arguments})


@pytest.fixture(params=[True, False], ids=["deferred", "waiting"])
def deferrable(request):
    return request.param


@pytest.mark.parametrize(
    "given",
    [
        "2 images. First, a fox. Second, an owl.",
        ["a fox", "an owl"],
        (Scene("a fox"), {"text": "an owl"}),
        {"scenes": ["a fox", "an owl"]},
        ImageSetPrompt(("a fox", "an owl")),
    ],
)
def test_whatever_form_of_a_prompt_the_function_gives_is_drawn(seedream_emulator, given, deferrable):
    model = Model(given)
    result = run(operator(model, deferrable=deferrable, size="16:9"), Tries())
    assert result["prompt"] == "2 images. First, a fox. Second, an owl."
    assert (len(result["images"]), result["size"]) == (2, "2848*1600")
    assert (model.calls, seedream_emulator.paid_tasks) == (1, 1)


def test_the_function_gets_its_arguments_and_the_context_it_asks_for(seedream_emulator):
    def write(animal, *, place="snow", ti):
        return f"a {animal} in {place}, try {ti.try_number}"

    result = run(operator(write, op_args=["fox"], op_kwargs={"place": "rain"}), Tries())
    assert result["prompt"] == "a fox in rain, try 1"


def test_what_the_function_gives_is_not_rendered(seedream_emulator):
    assert run(operator(lambda: "a fox {# red #}"), Tries())["prompt"] == "a fox {# red #}"


def overdue(model, tries, emulator, **arguments):
    """A try that pays and then runs out of time."""
    emulator.clock.hold()
    task = operator(model, **arguments)
    task.timeout = 0.3
    with pytest.raises(PredictionTimeoutError):
        run(task, tries)


@pytest.mark.event("A function gives another prompt with each try")
def test_a_retry_takes_up_the_paid_prediction_without_asking_again(seedream_emulator, deferrable):
    model, tries = Model(), Tries()
    overdue(model, tries, seedream_emulator, deferrable=deferrable)
    seedream_emulator.clock.advance(60)
    result = run(operator(model, deferrable=deferrable), tries)
    assert result["prompt"] == "a fox, idea 1"
    assert (model.calls, seedream_emulator.paid_tasks) == (1, 1)


def test_a_retry_after_a_lost_answer_looks_for_what_was_submitted_and_does_not_ask_again(seedream_emulator):
    seedream_emulator.configure(result_input=True)
    seedream_emulator.faults.add("submit", faults.DropAfter())
    model, tries = Model(), Tries()
    with pytest.raises((AirflowFailException, LostSubmissionError)):
        run(operator(model), tries)
    result = run(operator(model, on_lost_submission="adopt"), tries)
    assert result["prediction_id"] == seedream_emulator.predictions[0]["id"]
    assert (model.calls, seedream_emulator.paid_tasks) == (1, 1)


def test_a_retry_of_one_that_failed_in_passing_asks_for_the_same_again(seedream_emulator):
    seedream_emulator.faults.add("submit", faults.FailPrediction(5000))
    model, tries = Model(), Tries()
    with pytest.raises(PredictionFailedError):
        run(operator(model), tries)
    assert run(operator(model), tries)["prompt"] == "a fox, idea 1"
    assert (model.calls, seedream_emulator.paid_tasks) == (1, 2)


def test_a_pause_for_the_rate_does_not_change_the_prompt(seedream_emulator):
    refusal = faults.Status(429, headers={"Retry-After": "1"})
    seedream_emulator.faults.add("submit", refusal, times=2)
    for tries in (Tries(), Tries(store=False)):
        model = Model()
        pauses = []
        assert run(operator(model), tries, pauses=pauses)["prompt"] == "a fox, idea 1"
        assert model.calls == 1
    assert seedream_emulator.paid_tasks == 2


@pytest.mark.parametrize(
    ("bad", "arguments"),
    [
        ("", {}),
        (["a fox", ""], {}),
        (None, {}),
        (["a fox", "an owl"], {"max_images": 1}),
        (str(["a fox"]), {}),
    ],
)
def test_a_bad_prompt_fails_the_try_and_the_next_one_asks_again(seedream_emulator, bad, arguments):
    model, tries = Model(bad, "a fox"), Tries()
    with pytest.raises(InvalidInputError):
        run(operator(model, **arguments), tries)
    assert run(operator(model, **arguments), tries)["prompt"] == "a fox"
    assert seedream_emulator.paid_tasks == 1


def test_a_price_over_a_ceiling_is_refused_and_the_next_try_asks_again(seedream_emulator):
    model, tries = Model(["a fox", "an owl"], "a fox"), Tries()
    with pytest.raises(AirflowFailException, match="over the ceiling"):
        run(operator(model, max_cost=0.05), tries)
    assert run(operator(model, max_cost=0.05), tries)["requested"] == 1
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.event("A function gives another prompt with each try")
def test_a_clear_asks_again_for_new_pictures_unless_told_to_reuse(seedream_emulator):
    model, tries = Model(), Tries()
    first = run(operator(model), tries)
    tries.clear()
    assert run(operator(model, on_clear="reuse"), tries)["prediction_id"] == first["prediction_id"]
    tries.clear()
    assert run(operator(model), tries)["prompt"] == "a fox, idea 2"
    assert (model.calls, seedream_emulator.paid_tasks) == (2, 2)


def test_a_clear_after_a_prompt_that_was_refused_for_its_content_asks_again_even_to_reuse(seedream_emulator):
    seedream_emulator.faults.add("submit", faults.FailPrediction(code=1200))
    model, tries = Model(), Tries()
    for _ in range(2):
        with pytest.raises(AirflowFailException):
            run(operator(model, on_clear="reuse"), tries)
    assert (model.calls, seedream_emulator.paid_tasks) == (1, 1)
    tries.clear()
    result = run(operator(model, on_clear="reuse"), tries)
    assert result["prompt"] == "a fox, idea 2"
    assert run(operator(model, on_clear="reuse"), tries)["prediction_id"] == result["prediction_id"]
    assert (model.calls, seedream_emulator.paid_tasks) == (2, 2)


def test_a_clear_to_reuse_what_is_lost_does_not_ask_again(seedream_emulator):
    seedream_emulator.configure(result_input=True)
    seedream_emulator.faults.add("submit", faults.DropAfter())
    model, tries = Model(), Tries()
    with pytest.raises((AirflowFailException, LostSubmissionError)):
        run(operator(model), tries)
    tries.clear()
    run(operator(model, on_clear="reuse", on_lost_submission="adopt"), tries)
    assert (model.calls, seedream_emulator.paid_tasks) == (1, 1)


def test_a_clear_of_a_task_whose_prediction_runs_waits_for_that(seedream_emulator):
    model, tries = Model(), Tries()
    overdue(model, tries, seedream_emulator)
    tries.clear()
    result = run(operator(model), tries, between=lambda: seedream_emulator.clock.advance(60))
    assert result["prompt"] == "a fox, idea 1"
    assert (model.calls, seedream_emulator.paid_tasks) == (1, 1)


def test_a_clear_with_other_arguments_asks_again(seedream_emulator):
    model, tries = Model("a fox", ["a fox", "an owl"]), Tries()
    run(operator(model), tries)
    tries.clear()
    assert run(operator(model, max_images=2), tries)["requested"] == 2


@pytest.mark.event("A try finds no record of the tries before it")
@pytest.mark.parametrize("shown", [True, False])
def test_without_a_record_a_retry_pays_nothing_beside_what_an_earlier_prompt_may_have_paid(
    seedream_emulator, shown
):
    seedream_emulator.configure(result_input=shown)
    model, tries = Model(), Tries(store=False)
    overdue(model, tries, seedream_emulator)
    tries.forget()
    seedream_emulator.clock.release()
    with pytest.raises(AirflowFailException, match=seedream_emulator.predictions[0]["id"]):
        run(operator(model), tries)
    assert model.calls == 2
    assert seedream_emulator.paid_tasks == 1


class Item:
    """As a custom XCom backend may hand it on."""

    def __init__(self, name):
        self.name = name


ARGUMENTS = {
    "text": ("fox", "zebra"),
    "mapping": ({"animal": "fox", "place": "snow"}, {"animal": "zebra", "place": "snow"}),
    "nested": ([{"animals": ["fox"]}], [{"animals": ["zebra"]}]),
    "number and text": (1, "1"),
    "scene": (Scene("a fox"), Scene("a zebra")),
    "date": (dt.date(2026, 1, 1), dt.date(2026, 1, 2)),
    "set": ({"fox", "owl"}, {"zebra", "owl"}),
    "bytes": (b"fox", b"zebra"),
    "decimal": (Decimal("1.10"), Decimal("1.20")),
    "object": (Item("fox"), Item("zebra")),
    "range": (range(3), range(4)),
    "nothing": (None, ""),
}


@pytest.mark.event("The arguments of a function change between two tries")
@pytest.mark.parametrize("name", ARGUMENTS)
def test_a_clear_with_other_arguments_of_the_function_delivers_no_images_of_the_old_ones(
    seedream_emulator, name
):
    before, now = ARGUMENTS[name]
    model, tries = Model(), Tries()
    overdue(lambda story: model(), tries, seedream_emulator, op_kwargs={"story": before})
    tries.clear()
    result = run(
        operator(lambda story: model(), op_kwargs={"story": now}),
        tries,
        between=lambda: seedream_emulator.clock.advance(60),
    )
    assert result["prompt"] == "a fox, idea 2"
    assert (model.calls, seedream_emulator.paid_tasks) == (2, 2)


@pytest.mark.event("The arguments of a function change between two tries")
@pytest.mark.parametrize("name", ARGUMENTS)
def test_a_retry_with_equal_arguments_keeps_the_prompt(seedream_emulator, name):
    model, tries = Model(), Tries()
    before, now = (copy.deepcopy(ARGUMENTS[name][0]) for _ in range(2))
    overdue(lambda story: model(), tries, seedream_emulator, op_kwargs={"story": before})
    seedream_emulator.clock.advance(60)
    assert run(operator(lambda story: model(), op_kwargs={"story": now}), tries)["prompt"] == "a fox, idea 1"
    assert (model.calls, seedream_emulator.paid_tasks) == (1, 1)


@pytest.mark.event("The arguments of a function change between two tries")
def test_a_clear_to_reuse_with_other_arguments_delivers_no_images_of_the_old_ones(seedream_emulator):
    tries = Tries()
    first = run(operator(lambda story: f"{story} at dawn", op_kwargs={"story": "fox"}), tries)
    tries.clear()
    with pytest.raises(AirflowFailException, match=first["prediction_id"]):
        run(operator(lambda story: f"{story} at dawn", op_kwargs={"story": "zebra"}, on_clear="reuse"), tries)
    assert seedream_emulator.paid_tasks == 1
    again = operator(lambda story: f"{story} at dawn", op_kwargs={"story": "fox"}, on_clear="reuse")
    assert run(again, tries)["prediction_id"] == first["prediction_id"]


@pytest.mark.event("The arguments of a function change between two tries")
def test_a_retry_with_other_arguments_is_refused_while_another_prompt_is_paid(seedream_emulator):
    tries = Tries()
    overdue(lambda story: f"{story} at dawn", tries, seedream_emulator, op_kwargs={"story": "fox"})
    seedream_emulator.clock.advance(60)
    with pytest.raises(AirflowFailException, match="for another request"):
        run(operator(lambda story: f"{story} at dawn", op_kwargs={"story": "zebra"}), tries)
    assert seedream_emulator.paid_tasks == 1


def test_arguments_that_change_by_themselves_do_no_harm_where_the_prompt_is_the_same(seedream_emulator):
    tries = Tries()
    overdue(lambda now: "a fox", tries, seedream_emulator, op_kwargs={"now": "12:00"})
    seedream_emulator.clock.advance(60)
    assert run(operator(lambda now: "a fox", op_kwargs={"now": "12:05"}), tries)["prompt"] == "a fox"
    assert seedream_emulator.paid_tasks == 1


def test_a_prompt_that_an_older_version_kept_is_gone_on_with(seedream_emulator):
    model, tries = Model(), Tries()
    overdue(model, tries, seedream_emulator)
    tries.store.set("seedream_prompt", tries.store.get("seedream_prompt")["prompt"])
    seedream_emulator.clock.advance(60)
    assert run(operator(model), tries)["prompt"] == "a fox, idea 1"
    assert (model.calls, seedream_emulator.paid_tasks) == (1, 1)


@pytest.mark.parametrize(
    ("argument", "why"),
    [
        ({"prompt": "a fox"}, "the function gives the prompt"),
        ({"max_image": 2}, 'Did you mean "max_images"'),
        ({"on_clear": "again"}, "no such choice"),
    ],
)
def test_an_argument_that_nobody_knows_is_refused_when_the_dag_is_read(argument, why):
    with pytest.raises(InvalidInputError, match=why):
        operator(Model(), **argument)


TROUBLE = {
    "lost": faults.DropAfter(),
    "bad gateway": faults.Html(502, processed=True),
    "never arrived": faults.DropBefore(),
    "failed": faults.FailPrediction(5000),
    "cancelled": faults.EndAs("cancelled"),
    "rate limited": faults.Status(429, headers={"Retry-After": "1"}),
    "not yet over": faults.Takes(3600.0),
}


@pytest.mark.event("A function gives another prompt with each try")
@pytest.mark.parametrize("seed", range(8))
def test_whatever_happens_to_its_tries_one_set_is_paid_and_none_is_refused_for_another_prompt(
    seedream_emulator, seed
):
    seedream_emulator.configure(result_input=True)
    luck, model, tries, told = random.Random(seed), Model(), Tries(), []
    for name in [*luck.choices(list(TROUBLE), k=5), None]:
        seedream_emulator.faults.clear()
        if name is None:
            seedream_emulator.clock.advance(7200)
        else:
            seedream_emulator.faults.add("submit", TROUBLE[name])
        task = operator(model, on_lost_submission=luck.choice(["fail", "adopt"]))
        task.timeout = 0.5
        try:
            run(task, tries)
        except (WaveSpeedError, AirflowFailException) as error:
            told.append(f"{type(error).__name__}: {error}")
        shown = seedream_emulator.predictions
        assert len([each for each in shown if each["status"] not in ("failed", "cancelled")]) <= 1
        assert len({each["input"]["prompt"] for each in shown}) <= 1
    assert not [each for each in told if "RequestChanged" in each]


def test_a_function_may_speak_of_its_reference_images(seedream_emulator):
    arguments = {"images": ["https://example.org/1.png", "https://example.org/2.png"]}
    result = run(operator(Model("Put the fox of the 2 images on a boat"), **arguments), Tries())
    assert (result["requested"], result["prompt"]) == (1, "Put the fox of the 2 images on a boat")
