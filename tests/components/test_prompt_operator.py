"""The prompt operator: what it makes of what it is given, and an enhancement that is paid at most once."""

from __future__ import annotations

import json

import pytest
import requests
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_seedream.emulator import faults
from airflow_provider_seedream.operators.prompt import SeedreamPromptOperator
from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator
from airflow_provider_seedream.wavespeed import (
    ImageSetPrompt,
    InvalidInputError,
    LostSubmissionError,
    PredictionFailedError,
    PredictionTimeoutError,
)
from airflow_provider_seedream.xcom import SUBMISSION
from tests.components.airflow_context import Tries, rendered, run

pytestmark = pytest.mark.usefixtures("hurried")

SCENES = ["A fox wakes in its den", "It hunts by the river"]
TEXT = "2 images. First, A fox wakes in its den. Second, It hunts by the river."
OPTIMIZER = "wavespeed-ai/prompt-optimizer"


def operator(**arguments):
    return SeedreamPromptOperator(**{"task_id": "gen", "prompt": SCENES, **arguments})


def enhancing(**arguments):
    return operator(enhance=True, **arguments)


@pytest.mark.parametrize(
    "prompt",
    [
        SCENES,
        ImageSetPrompt(SCENES),
        {"scenes": SCENES},
        TEXT,
        json.dumps(SCENES),
        f"Here you are:\n```json\n{json.dumps({'scenes': SCENES})}\n```",
        f"Sure! Here are your 2 scenes:\n1. {SCENES[0]}\n2. {SCENES[1]}",
    ],
)
def test_every_form_of_a_prompt_becomes_the_same_text_and_costs_nothing(seedream_emulator, prompt):
    tries = Tries()
    assert run(operator(prompt=prompt), tries) == TEXT
    assert tries.ti.xcom == {"count": 2, "scenes": SCENES}
    assert seedream_emulator.journal == []


def test_no_connection_is_needed_without_an_enhancement():
    assert run(operator(seedream_conn_id="missing"), Tries()) == TEXT


def test_what_the_scenes_share_is_said_in_each(seedream_emulator):
    text = run(operator(prompt=json.dumps(SCENES), style="noir", palette="teal"), Tries())
    assert text.startswith("2 images. Palette: teal. First, A fox wakes in its den. Style: noir.")
    assert text.count("Style: noir.") == 2


def test_a_text_without_scenes_is_a_prompt_as_it_stands():
    tries = Tries()
    assert run(operator(prompt="a fox", max_images=3), tries) == "3 images. a fox"
    assert tries.ti.xcom == {"count": 3, "scenes": []}


def test_a_model_that_wrote_another_number_of_scenes_than_were_wanted_is_refused():
    with pytest.raises(AirflowFailException, match=r"max_images=3 is refused: the prompt names 2 images"):
        run(rendered(operator(), max_images=3), Tries())


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"prompt": "A fox with:\n- a hat\n- boots"}, "may belong to the scenes of its list"),
        ({"prompt": None}, "it is required"),
        ({"prompt": ["a {{ animal }}", "an owl"]}, "a template that was not rendered"),
        ({"prompt": "a fox", "style": "noir"}, "cannot be taken apart"),
        ({"enhance": True, "enhancement_style": "baroque"}, "enhancement_style='baroque'"),
        ({"enhance": True, "enhancement_mode": "audio"}, "enhancement_mode='audio'"),
    ],
)
def test_what_cannot_be_meant_fails_for_good_before_anything_is_paid(seedream_emulator, arguments, why):
    with pytest.raises(AirflowFailException, match=why):
        run(rendered(operator(), **arguments), Tries())
    assert seedream_emulator.journal == []


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"prompt": None}, "prompt=None"),
        ({"max_images": 3}, "max_images=3 is refused: the prompt names 2 images"),
        ({"max_images": 16, "prompt": "{{ params.x }}"}, "max_images=16"),
        ({"prompt": []}, "scenes"),
        ({"prompt": ["a fox"] * 16}, "scenes"),
        ({"prompt": {"scenes": ["a fox"], "style": "noir"}, "style": "pastel"}, "style"),
        ({"enhancement_style": "baroque"}, "enhancement_style='baroque'"),
        ({"enhancement_mode": "audio"}, "enhancement_mode='audio'"),
        ({"max_cost": "a lot"}, "max_cost='a lot'"),
    ],
)
def test_a_literal_with_a_mistake_is_an_import_error_of_the_dag(arguments, why):
    with pytest.raises(InvalidInputError, match=why):
        operator(**arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        {"prompt": "{{ params.x }}", "max_images": "{{ params.n }}", "max_cost": "{{ params.cost }}"},
        {"prompt": ["{{ params.x }}"], "enhancement_style": "{{ params.style }}"},
        {"prompt": ["scenes/fox.md", "a hen"], "max_images": 2},
        {"prompt": "story.yaml", "max_images": 4, "style": "noir"},
        {"prompt": {"scenes": ["a {{ params.x }}"], "style": "noir"}, "style": "pastel"},
    ],
)
def test_what_a_template_or_a_file_may_make_right_is_no_import_error(arguments):
    operator(**arguments)


def test_the_name_of_a_file_that_came_from_a_task_is_not_read():
    task = operator(prompt="{{ params.x }}")
    task.prompt = "../secrets.txt"
    with pytest.raises(AirflowFailException, match="Name it in the DAG"):
        run(task, Tries())


@pytest.mark.parametrize("name", ["story.yaml", "my story.yml"])
def test_the_name_of_a_yaml_file_that_a_mapped_task_got_is_not_its_content(seedream_emulator, name):
    with pytest.raises(AirflowFailException, match="no YAML of scenes"):
        run(enhancing(prompt=name), Tries())
    assert seedream_emulator.journal == []


@pytest.mark.parametrize(("name", "value"), [("max_images", 2), ("max_cost", 0.5), ("style", "noir")])
def test_an_argument_that_a_native_template_left_without_a_value_is_refused(seedream_emulator, name, value):
    task = enhancing(**{name: value})
    setattr(task, name, None)
    with pytest.raises(AirflowFailException, match=f"{name}=None.*gave nothing"):
        run(task, Tries())
    assert seedream_emulator.journal == []


@pytest.mark.parametrize(
    ("argument", "why"),
    [
        ({"styles": "noir"}, 'Did you mean "style"'),
        ({"on_unusable_enhancement": "ignore"}, "keep_original"),
        ({"enhance": 1}, "True or False"),
        ({"timeout": 1}, "10 seconds"),
        ({"on_clear": "again"}, "no such choice"),
    ],
)
def test_an_argument_that_nobody_knows_is_refused_when_the_dag_is_read(argument, why):
    with pytest.raises(InvalidInputError, match=why):
        operator(**argument)


def test_an_enhancement_is_paid_once_and_told_in_full(seedream_emulator):
    tries = Tries()
    text = run(enhancing(enhancement_style="anime"), tries)
    (prediction,) = seedream_emulator.predictions
    assert prediction["model"] == OPTIMIZER
    assert prediction["input"]["text"] == TEXT
    assert prediction["input"]["style"] == "anime"
    assert text.startswith(TEXT.rstrip("."))
    assert "Anime" in text
    assert tries.ti.xcom["count"] == 2
    assert len(tries.ti.xcom["scenes"]) == 2
    assert tries.ti.xcom["enhancement"] == {
        "prediction_id": prediction["id"],
        "text": text,
        "cost_usd": 0.001,
        "unusable": None,
    }
    assert seedream_emulator.paid_tasks == 1


def test_the_next_task_takes_an_enhanced_prompt_as_it_is(seedream_emulator):
    text = run(enhancing(), Tries())
    drawn = run(SeedreamSequentialOperator(task_id="gen", prompt=text), Tries())
    assert drawn["prompt"] == text
    assert len(drawn["images"]) == 2


def test_a_lost_count_and_a_list_in_place_of_ordinals_are_put_right(seedream_emulator):
    seedream_emulator.faults.add(
        "submit", faults.Writes("1. A fox waking in a den\n2. It hunts by a misty river")
    )
    assert (
        run(enhancing(), Tries())
        == "2 images. First, A fox waking in a den. Second, It hunts by a misty river."
    )


UNUSABLE = [
    ("A majestic fox through the day", "cannot be separated"),
    ("3 images. First, a fox. Second, an owl. Third, a hare.", "names 3 images"),
    ("2 images. First, it hunts by the river. Second, a fox wakes in its den.", "another order"),
    ("", "it is empty"),
]


def test_what_the_optimizer_writes_cannot_write_lines_into_the_log(seedream_emulator, capsys, caplog):
    forged = "2 images. First, a fox,\n2026-01-01 ERROR forged\x1b[31m. Second, an owl."
    seedream_emulator.faults.add("submit", faults.Writes(forged))
    with caplog.at_level("INFO"):
        run(operator(prompt=["a fox", "an owl"], enhance=True), Tries())
    said = capsys.readouterr().out + caplog.text
    assert "enhanced the prompt" in said
    assert "\x1b[31m. Second" not in said
    assert "\n2026-01-01 ERROR forged" not in said


@pytest.mark.event("An enhanced prompt cannot be used")
@pytest.mark.parametrize(("written", "why"), UNUSABLE)
def test_an_enhancement_that_cannot_be_used_leaves_the_prompt_as_it_was(seedream_emulator, written, why):
    seedream_emulator.faults.add("submit", faults.Writes(written))
    tries = Tries()
    assert run(enhancing(), tries) == TEXT
    assert tries.ti.xcom["scenes"] == SCENES
    assert tries.ti.xcom["enhancement"]["text"] == written
    assert why in tries.ti.xcom["enhancement"]["unusable"]


@pytest.mark.event("An enhanced prompt cannot be used")
@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("2 images. First, a f\x00ox. Second, an owl.", "no database stores"),
        ("2 images. First, a fox" + " in the snow" * 2000 + ". Second, an owl.", "longer than 20,000"),
    ],
    ids=["NUL", "long"],
)
def test_an_enhancement_of_which_something_had_to_go_is_not_used(seedream_emulator, written, why):
    seedream_emulator.faults.add("submit", faults.Writes(written))
    tries = Tries()
    assert run(enhancing(), tries) == TEXT
    assert why in tries.ti.xcom["enhancement"]["unusable"]


@pytest.mark.event("An enhanced prompt cannot be used")
@pytest.mark.parametrize(("written", "why"), UNUSABLE)
def test_or_fails_for_good_with_the_id_and_what_was_written(seedream_emulator, written, why):
    seedream_emulator.faults.add("submit", faults.Writes(written))
    tries = Tries()
    task = enhancing(on_unusable_enhancement="fail")
    with pytest.raises(AirflowFailException, match=why) as failure:
        run(task, tries)
    assert seedream_emulator.predictions[0]["id"] in str(failure.value)
    assert repr(written) in str(failure.value)
    assert tries.ti.xcom["enhancement"]["text"] == written
    with pytest.raises(AirflowFailException, match=why):
        run(task, tries)
    assert seedream_emulator.paid_tasks == 1


def test_a_retry_takes_up_the_enhancement_that_an_earlier_try_paid_for(seedream_emulator):
    seedream_emulator.clock.hold()
    tries = Tries()
    task = enhancing()
    task.timeout = 0.2
    with pytest.raises(PredictionTimeoutError):
        run(task, tries)
    assert tries.store.get(SUBMISSION)["phase"] == "submitted"
    seedream_emulator.clock.advance(60)
    assert run(enhancing(), tries).startswith(TEXT.rstrip("."))
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.parametrize(
    ("fault", "paid"),
    [
        (faults.DropAfter(), 1),
        (faults.Html(502, processed=True), 1),
        (faults.DropBefore(), 0),
        (faults.Status(503), 0),
    ],
    ids=repr,
)
def test_a_lost_answer_is_never_sent_again(seedream_emulator, fault, paid):
    seedream_emulator.faults.add("submit", fault)
    tries = Tries()
    for _ in range(3):
        with pytest.raises(
            AirflowFailException, match=r"an enhanced prompt \(\$0.001\) got no answer.*Not sent again"
        ):
            run(enhancing(), tries)
    assert seedream_emulator.paid_tasks == paid


def test_a_worker_killed_before_it_could_record_the_id_is_followed_by_a_try_that_finds_it(
    seedream_emulator, monkeypatch
):
    tries = Tries()
    with monkeypatch.context() as patch:
        patch.setattr("airflow_provider_seedream.submission.submission.Submission._keep", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(enhancing(on_lost_submission="adopt"), tries)
    assert tries.store.get(SUBMISSION)["phase"] == "intent"
    assert run(enhancing(on_lost_submission="adopt"), tries).startswith(TEXT.rstrip("."))
    assert seedream_emulator.paid_tasks == 1


def interrupted(*_):
    """Stands for SIGKILL: nothing of ours runs after it."""
    raise KeyboardInterrupt


def test_a_lost_answer_is_adopted_only_where_its_text_is_ours(seedream_emulator):
    seedream_emulator.configure(result_input=True)
    seedream_emulator.faults.add("submit", faults.DropAfter())
    headers = {"Authorization": f"Bearer {seedream_emulator.api_key}"}
    tries = Tries()
    with pytest.raises(AirflowFailException):
        run(enhancing(), tries)
    other = {"text": "somebody else's prompt"}
    requests.post(f"{seedream_emulator.url}/api/v3/{OPTIMIZER}", json=other, headers=headers, timeout=10)
    assert run(enhancing(on_lost_submission="adopt"), tries).startswith(TEXT.rstrip("."))
    assert seedream_emulator.paid_tasks == 2


def test_two_that_may_be_ours_are_not_chosen_between(seedream_emulator):
    seedream_emulator.faults.add("submit", faults.DropAfter(), times=2)
    first, second = Tries(), Tries()
    for tries in (first, second):
        with pytest.raises((AirflowFailException, LostSubmissionError)):
            run(enhancing(), tries)
    with pytest.raises(LostSubmissionError):
        run(enhancing(on_lost_submission="adopt"), first)
    assert seedream_emulator.paid_tasks == 2


def test_a_clear_has_it_written_anew_unless_told_to_reuse(seedream_emulator):
    tries = Tries()
    run(enhancing(), tries)
    tries.clear()
    run(enhancing(on_clear="reuse"), tries)
    assert seedream_emulator.paid_tasks == 1
    tries.clear()
    run(enhancing(), tries)
    assert seedream_emulator.paid_tasks == 2


def test_a_failure_that_may_pass_is_submitted_once_more_by_the_next_try(seedream_emulator):
    seedream_emulator.faults.add("submit", faults.FailPrediction(5000))
    tries = Tries()
    with pytest.raises(PredictionFailedError):
        run(enhancing(), tries)
    assert run(enhancing(), tries).startswith(TEXT.rstrip("."))
    assert seedream_emulator.paid_tasks == 2


def test_a_text_that_the_api_holds_for_improper_fails_for_good(seedream_emulator):
    seedream_emulator.faults.add("submit", faults.FailPrediction(1200))
    with pytest.raises(AirflowFailException, match="content moderation"):
        run(enhancing(), Tries())


@pytest.mark.parametrize("extra", [{}, {"max_cost": 0.0005}], ids=["task", "connection"])
def test_a_price_over_a_ceiling_is_refused_before_anything_is_sent(seedream_emulator, monkeypatch, extra):
    monkeypatch.setenv("AIRFLOW_CONN_SEEDREAM_DEFAULT", seedream_emulator.airflow_connection(**extra))
    arguments = {} if extra else {"max_cost": 0.0005}
    with pytest.raises(
        AirflowFailException, match=r"This submission costs \$0.001: over the ceiling of \$0.0005"
    ):
        run(enhancing(**arguments), Tries())
    assert seedream_emulator.paid_tasks == 0


def test_the_api_may_be_asked_for_the_price(seedream_emulator):
    run(enhancing(price_source="api"), Tries())
    assert [each.route for each in seedream_emulator.journal].count("price") == 1


def test_a_rate_limit_is_waited_out_without_a_worker_and_resumed_in_the_same_try(seedream_emulator):
    pauses = []
    seedream_emulator.faults.add("submit", faults.Status(429, headers={"Retry-After": "20"}))
    assert run(enhancing(), Tries(), pauses=pauses).startswith(TEXT.rstrip("."))
    assert len(pauses) == 1
    assert seedream_emulator.paid_tasks == 1
