"""The operator that asks a person about an image set. Needs the human-in-the-loop form of Airflow 3.1."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, BranchMixIn, Param
from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.providers.standard.version_compat import AIRFLOW_V_3_1_3_PLUS

from airflow_provider_seedream import wavespeed, xcom
from airflow_provider_seedream.operators import worker
from airflow_provider_seedream.operators.arguments import refuse_unknown_arguments
from airflow_provider_seedream.operators.cost import cost_of
from airflow_provider_seedream.operators.hitl import keep_form
from airflow_provider_seedream.operators.templates import RendersOnlyWhatTheAuthorWrote
from airflow_provider_seedream.wavespeed.errors import InvalidInputError
from airflow_provider_seedream.wavespeed.optimizer import MAX_NOTE, revised

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseNotifier, Context
    from airflow.sdk.execution_time.hitl import HITLUser

    from airflow_provider_seedream.wavespeed.image_set import ImageSet

APPROVE = "Approve"
REJECT = "Reject"
NOTE = "note"

ASK_AGAIN = "Invalid input draws and publishes nothing; clear this task to be asked again, which is free."


class SeedreamReviewOperator(RendersOnlyWhatTheAuthorWrote, HITLOperator, BranchMixIn):
    """Shows an image set to a person, who approves it or rejects it with a note: one round of an approval.

    ``approval_rounds()`` puts rounds together. Without an answer within ``response_timeout`` the task fails, and nothing
    is drawn or published. No other argument ends the wait: ``execution_timeout`` is ignored, also in ``default_args``.

    Airflow before 3.4 never changes the form of a task instance: after a clear it shows what it showed first. So the task
    compares the form that Airflow keeps with the one it wants to show, and fails before it asks where they differ.

    :param image_set: the result of the task that drew it.
    :param draws: the drawing tasks of all rounds so far, for their cost.
    :param rounds: how many rounds there are.
    :param on_approve: the task that follows an approval; it finds the set under the XCom key ``approved_image_set``.
    :param on_reject: the task that draws the next round, from the prompt under the XCom key ``next_prompt``, which is
        about the set under ``rejected_prediction_id``; ``None`` in the last round.
    :param subject: headline of the form.
    :param assigned_users: who may answer; default: whoever may edit the run.
    :param notifiers: called when an answer is wanted.
    :param response_timeout: how long to wait for an answer; default: for ever.
    """

    template_fields: Sequence[str] = ("subject", "image_set")
    inherits_from_skipmixin = True
    ui_color = "#f5e1ec"

    def __init__(
        self,
        *,
        image_set: Mapping[str, Any] | str,
        draws: Sequence[str],
        rounds: int,
        on_approve: str,
        on_reject: str | None,
        subject: str = "Publish these images?",
        assigned_users: HITLUser | list[HITLUser] | None = None,
        notifiers: Sequence[BaseNotifier] | BaseNotifier | None = None,
        response_timeout: dt.timedelta | None = None,
        **kwargs: Any,
    ) -> None:
        refuse_unknown_arguments(type(self), kwargs)
        # What is given here does not come from default_args: a default answer would approve, and Airflow's form operator
        # reads execution_timeout as response_timeout.
        super().__init__(
            **{
                **kwargs,
                "subject": subject,
                "body": None,
                "options": [APPROVE, REJECT],
                "defaults": None,
                "multiple": False,
                "assigned_users": assigned_users,
                "notifiers": notifiers,
                "response_timeout": response_timeout,
                "execution_timeout": None,
            }
        )
        self.image_set = image_set
        self.draws = list(draws)
        self.rounds = rounds
        self.on_approve = on_approve
        self.on_reject = on_reject

    @property
    def serialized_params(self) -> dict[str, Any]:
        """The fields of the form: the note, and nothing of the DAG's params.

        It is none of the task's own ``params`` either: the configuration of a run may have a ``note``, which Airflow would
        check as the answer of a person.
        """
        note = Param(
            None,
            # Airflow's form lets nobody answer before what is not nullable is filled in.
            type=["null", "string"],
            format="multiline",
            title="What should be different?",
            # Airflow would end the review over a longer note with an error of its own; ours says what to do.
            description=f"Goes into the prompt of the next round; {MAX_NOTE} characters at most. Not needed to approve.",
        )
        note.source = "task"
        return {NOTE: note.serialize()} if AIRFLOW_V_3_1_3_PLUS else {NOTE: None}

    def execute(self, context: Context) -> None:
        """Ask.

        :raises InvalidInputError: for an image set that does not tell its prompt and count.
        :raises AirflowFailException: where Airflow keeps the form of another image set, or another price.
        """
        image_set = wavespeed.read_image_set(self.image_set)
        if image_set.prompt is None or image_set.requested is None:
            raise InvalidInputError(
                "image_set",
                image_set.prediction_id,
                "it does not tell its prompt and count, without which nothing can be drawn again",
                "Give the output of a SeedreamSequentialOperator.",
            )
        self.body = worker.review_form(
            image_set,
            number=len(self.draws),
            rounds=self.rounds,
            spent_usd=round(sum(cost_of(context["ti"], draw).cost_usd for draw in self.draws), 6),
        )
        kept = keep_form(
            context["ti"],
            subject=self.subject,
            body=self.body,
            options=self.options,
            params=self.serialized_params,
            assigned_users=self.assigned_users or (),
        )
        self._refuse_form_of_another(image_set, kept)
        context["ti"].xcom_push(key=xcom.SHOWN_PREDICTION_ID, value=image_set.prediction_id)
        context["ti"].xcom_push(key=xcom.SHOWN_IMAGE_URLS, value=[image.url for image in image_set.images])
        super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> None:
        """Go on as the answer says.

        :raises InvalidInputError: for an answer that is neither, or a note that the prompt cannot take in. Nothing is drawn;
            a retry, or a clear, asks again.
        :raises AirflowFailException: where other images than the form shows have taken their place.
        """
        answer = super().execute_complete(context, event)
        chosen = list(answer["chosen_options"])
        image_set = wavespeed.read_image_set(self.image_set)
        self._refuse_unseen(image_set, context)
        if chosen == [APPROVE]:
            self.log.info("Prediction %s is approved.", image_set.prediction_id)
            context["ti"].xcom_push(key=xcom.APPROVED_IMAGE_SET, value=image_set.to_json())
            follow = self.on_approve
        elif chosen == [REJECT] and self.on_reject is not None:
            note = note_of(answer["params_input"])
            try:
                prompt = revised(image_set.prompt or "", image_set.requested or 0, note)
            except InvalidInputError as error:
                raise InvalidInputError(
                    NOTE, error.value, error.allowed, f"{error.way_out} {ASK_AGAIN}"
                ) from None
            self.log.info("Prediction %s is rejected; drawing again: %r", image_set.prediction_id, prompt)
            context["ti"].xcom_push(key=xcom.NEXT_PROMPT, value=prompt)
            context["ti"].xcom_push(key=xcom.REJECTED_PREDICTION_ID, value=image_set.prediction_id)
            follow = self.on_reject
        elif chosen == [REJECT]:
            self.log.info("Prediction %s is rejected, and no round is left.", image_set.prediction_id)
            follow = None
        else:
            raise InvalidInputError(
                "chosen_options", chosen, f"one answer is needed, {APPROVE} or {REJECT}", ASK_AGAIN
            )
        self.do_branch(context, follow)

    def validate_chosen_options(self, chosen_options: list[str]) -> None:
        """Leave the options to :meth:`execute_complete`, which says how to be asked again."""

    def validate_params_input(self, params_input: Mapping[str, Any]) -> None:
        """Leave the note to :meth:`execute_complete`: an approval needs none, whatever it is."""

    def defer(self, *, trigger: Any, **kwargs: Any) -> Any:
        """Wait for the answer, before Airflow 3.3, by a trigger that does not check the note either.

        :param trigger: Airflow's, for this form.
        """
        trigger.params = type(trigger.params)({})
        return super().defer(trigger=trigger, **kwargs)

    def _refuse_form_of_another(self, image_set: ImageSet, kept: Any) -> None:
        """A form of other images, of another price, or for other people is never answered in the name of these."""
        body = getattr(kept, "body", None) or ""
        may_answer = {user.id for user in getattr(kept, "assigned_users", None) or ()}
        if not worker.asks_the_same(body, self.body or ""):
            shown = worker.prediction_of(body)
            differs = "images" if shown is None else f"images, of prediction {shown}"
            if shown == image_set.prediction_id:
                differs = "images of it, another price or another number of rounds"
        elif may_answer != {user["id"] for user in self.assigned_users or ()}:
            differs = "people who may answer"
        else:
            return
        raise AirflowFailException(
            f"Nobody is asked about prediction {image_set.prediction_id}: before 3.4, Airflow never changes the form of a task "
            f"instance, and the form of this one is about other {differs}. Nothing is published; {image_set.prediction_id} "
            "stays paid. To be asked about it, which is free: once the run is over, delete this task instance over Airflow's "
            "REST API and clear the failed tasks with run_on_latest_version, as docs/pipelines.md (Approval) shows. A clear "
            "alone ends here again, and a new run draws and pays again."
        )

    def _refuse_unseen(self, image_set: ImageSet, context: Context) -> None:
        """The answer is about what was shown; a clear of the drawing task alone puts another set in its place."""
        ti = context["ti"]
        shown, links = (
            ti.xcom_pull(task_ids=self.task_id, key=key, map_indexes=ti.map_index)
            for key in (xcom.SHOWN_PREDICTION_ID, xcom.SHOWN_IMAGE_URLS)
        )
        # A form that an older version of this provider asked left no links behind.
        same_links = links is None or links == [image.url for image in image_set.images]
        if shown != image_set.prediction_id or not same_links:
            raise AirflowFailException(
                f"Prediction {shown} was shown, and now there is {image_set.prediction_id}: the images were drawn again since "
                "they were shown; clear the review to be asked again, which is free. Before Airflow 3.4 it must be given a new form "
                "for that, as docs/pipelines.md (Approval) shows."
            )

    def process_trigger_event_error(self, event: dict[str, Any]) -> None:
        """Fail for good where nobody answered: a retry would ask, and wait, as long again."""
        if event["error_type"] == "timeout":
            raise AirflowFailException(
                f"Nobody answered within {self.response_timeout}. Nothing is drawn or published; clear the task to ask again."
            )
        super().process_trigger_event_error(event)


def note_of(params_input: Mapping[str, Any]) -> str:
    """The note of an answer, empty where there is none.

    :raises InvalidInputError: for what is no text, or stands under another name: drawing without it would pay for what
        nobody asked for.
    """
    if NOTE not in params_input and params_input:
        raise InvalidInputError("params_input", sorted(params_input), f"it has no {NOTE}", ASK_AGAIN)
    note = params_input.get(NOTE)
    if note is not None and not isinstance(note, str):
        raise InvalidInputError(NOTE, note, "it must be text", ASK_AGAIN)
    return note or ""
