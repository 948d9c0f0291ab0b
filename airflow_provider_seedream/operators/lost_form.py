"""Asks a person, by Airflow's form, what became of a lost submission. Needs the form of Airflow 3.1.

The answer goes where Variable ``seedream_answer_…`` goes (:mod:`~airflow_provider_seedream.submission.recovery`): it is the same
decision, made by a click. A form of Airflow before 3.4 belongs to its task instance for good, so a task instance asks once.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.triggers.hitl import HITLTrigger

from airflow_provider_seedream.operators.hitl import keep_form
from airflow_provider_seedream.operators.review_form import CAPTION, linked_image, plain
from airflow_provider_seedream.submission.recovery import SUBMIT
from airflow_provider_seedream.waiting.poll import KEPT_BY_API

try:
    from airflow.sdk.exceptions import TaskAwaitingInput
except ImportError:  # before Airflow 3.3 a trigger waits for the answer
    TaskAwaitingInput = None  # type: ignore[assignment,misc]

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator, Context

    from airflow_provider_seedream.submission.advice import Question
    from airflow_provider_seedream.wavespeed.prediction import Prediction

TAKE = "Take "
"""The first part of the option that takes a prediction; its id follows."""

SUBMIT_AGAIN = "Submit again"
STOP = "Stop"

OFFERED = 8
"""Candidates that a form offers; the error of ``Stop`` names all."""

WAITS_FOR = dt.timedelta(seconds=KEPT_BY_API)
"""How long a form waits: after that the API shows no candidate any more."""


def ask(operator: BaseOperator, context: Context, question: Question) -> None:
    """Show the form and wait for its answer in :meth:`execute_answered`, holding no worker.

    Gives nothing back where it asks. Returns where Airflow keeps the form of an earlier question.
    """
    ti = context["ti"]
    offered = question.candidates[:OFFERED]
    options = [*(f"{TAKE}{each.id}" for each in offered), SUBMIT_AGAIN, STOP]
    body = form(question, dt.datetime.now(dt.UTC))
    kept = keep_form(ti, subject="What became of this submission?", body=body, options=options)
    if getattr(kept, "body", None) != body:
        operator.log.warning("Airflow keeps the form of an earlier question, so this one is not asked.")
        return
    operator.log.info("Asking a person which prediction is the lost submission.")
    if TaskAwaitingInput is not None:
        raise TaskAwaitingInput(method_name="execute_answered", timeout=WAITS_FOR)
    until = dt.datetime.now(dt.UTC) + WAITS_FOR
    trigger = HITLTrigger(ti_id=ti.id, options=options, params={}, timeout_datetime=until)
    operator.defer(trigger=trigger, method_name="execute_answered")


def said(event: Any) -> str | None:
    """What a form's answer means to a lost submission: an id, ``"submit"``, or ``None`` for ``Stop`` and for no answer."""
    (option,) = event.get("chosen_options") or (STOP,)
    if option == SUBMIT_AGAIN:
        return SUBMIT
    return option.removeprefix(TAKE) if option.startswith(TAKE) else None


def form(question: Question, asked_at: dt.datetime) -> str:
    """The text of the form, in Markdown as Airflow shows it."""
    ways = (
        f"**{TAKE.strip()}** pays nothing. **{SUBMIT_AGAIN}** pays ${question.cost_usd:g}, also if the submission above is paid. "
        f"**{STOP}** pays nothing: the task fails, and says what else can be done."
    )
    shown = [_candidate(each) for each in question.candidates[:OFFERED]]
    more = len(question.candidates) - len(shown)
    return "\n\n".join(
        [
            plain(question.what, 1000),
            *(shown or ["The API shows no prediction that may be this one."]),
            *([f"{more} more are not shown here. Choose {STOP}: the error names them."] if more > 0 else []),
            ways,
            f"Asked at {asked_at:%Y-%m-%d %H:%M:%S.%f}Z",
        ]
    )


def _candidate(prediction: Prediction) -> str:
    made = plain(prediction.created_at or "at an unknown time", CAPTION)
    head = f"**{plain(prediction.id, CAPTION)}**: {plain(prediction.status_word, CAPTION)}, made {made}"
    images = [linked_image(number, url) for number, url in enumerate(prediction.outputs, 1)]
    return "\n\n".join([head, *(each for each in images if each)])
