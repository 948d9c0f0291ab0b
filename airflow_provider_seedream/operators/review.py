"""The operator that asks a person about an image set. Needs the human-in-the-loop form of Airflow 3.1."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, BranchMixIn, Param
from airflow.providers.standard.operators.hitl import HITLOperator

from airflow_provider_seedream.operators.arguments import refuse_unknown_arguments
from airflow_provider_seedream.operators.templates import RendersOnlyWhatTheAuthorWrote
from airflow_provider_seedream.wavespeed.errors import InvalidInputError
from airflow_provider_seedream.wavespeed.revision import MAX_NOTE, revised

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseNotifier, Context
    from airflow.sdk.execution_time.hitl import HITLUser

APPROVE = "Approve"
REJECT = "Reject"
NOTE = "note"

APPROVED_SET = "approved_image_set"
"""XCom of the image set, once it is approved."""

NEXT_PROMPT = "next_prompt"
"""XCom of the prompt with the note in it, once the set is rejected. Nothing is drawn without it."""


REJECTED = "rejected_prediction_id"
"""XCom of the prediction that was rejected: the next prompt is for what follows it, and for nothing else."""

SHOWN = "shown_prediction_id"
"""XCom of the prediction whose pictures the form shows."""


class SeedreamReviewOperator(RendersOnlyWhatTheAuthorWrote, HITLOperator, BranchMixIn):
    """Shows an image set to a person, who approves it or rejects it with a note: one round of an approval.

    ``approval_rounds()`` puts rounds together. Without an answer within ``response_timeout`` the task fails, and nothing
    is drawn or published.

    :param image_set: the result of the task that drew it.
    :param draws: the drawing tasks of all rounds so far, for their cost.
    :param rounds: how many rounds there are.
    :param on_approve: the task that follows an approval; it finds the set under the XCom key ``approved_image_set``.
    :param on_reject: the task that draws the next round, from the prompt under the XCom key ``next_prompt``, which is
        about the set under ``rejected_prediction_id``; ``None`` in the last round.
    :param subject: headline of the form.
    :param assigned_users: who may answer; default: whoever may edit the run.
    :param notifiers: told when an answer is wanted.
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
        subject: str = "Publish these pictures?",
        assigned_users: HITLUser | list[HITLUser] | None = None,
        notifiers: Sequence[BaseNotifier] | BaseNotifier | None = None,
        response_timeout: dt.timedelta | None = None,
        **kwargs: Any,
    ) -> None:
        refuse_unknown_arguments(type(self), kwargs)
        note = Param(
            None,
            # Airflow's form lets nobody answer before what is not nullable is filled in.
            type=["null", "string"],
            format="multiline",
            maxLength=MAX_NOTE,
            title="What should be different?",
            description="Goes into the prompt of the next round. Not needed to approve.",
        )
        super().__init__(
            subject=subject,
            options=[APPROVE, REJECT],
            params={NOTE: note},
            assigned_users=assigned_users,
            notifiers=notifiers,
            response_timeout=response_timeout,
            **kwargs,
        )
        self.image_set = image_set
        self.draws = list(draws)
        self.rounds = rounds
        self.on_approve = on_approve
        self.on_reject = on_reject

    def execute(self, context: Context) -> None:
        """Ask."""
        from airflow_provider_seedream.operators.cost import cost_of
        from airflow_provider_seedream.operators.publish import read_image_set
        from airflow_provider_seedream.operators.review_form import review_form

        image_set = read_image_set(self.image_set)
        if image_set.prompt is None or image_set.requested is None:
            raise InvalidInputError(
                "image_set",
                image_set.prediction_id,
                "it does not tell its prompt and count, without which nothing can be drawn anew",
                "Give the output of a SeedreamSequentialOperator.",
            )
        self.body = review_form(
            image_set,
            number=len(self.draws),
            rounds=self.rounds,
            spent_usd=round(sum(cost_of(context["ti"], draw).cost_usd for draw in self.draws), 6),
        )
        context["ti"].xcom_push(key=SHOWN, value=image_set.prediction_id)
        super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> None:
        """Go on as the answer says.

        :raises InvalidInputError: for an answer that is neither, or a note that the prompt cannot take in. Nothing is drawn;
            clear the task to be asked again.
        :raises AirflowFailException: where other pictures than the form shows have taken their place.
        """
        from airflow_provider_seedream.operators.publish import read_image_set

        answer = super().execute_complete(context, event)
        chosen, note = list(answer["chosen_options"]), answer["params_input"].get(NOTE) or ""
        image_set = read_image_set(self.image_set)
        self._refuse_unseen(image_set.prediction_id, context)
        if chosen == [APPROVE]:
            self.log.info("Prediction %s is approved.", image_set.prediction_id)
            context["ti"].xcom_push(key=APPROVED_SET, value=image_set.to_json())
            follow = self.on_approve
        elif chosen == [REJECT] and self.on_reject is not None:
            prompt = revised(image_set.prompt or "", image_set.requested or 0, note)
            self.log.info("Prediction %s is rejected; drawing anew: %r", image_set.prediction_id, prompt)
            context["ti"].xcom_push(key=NEXT_PROMPT, value=prompt)
            context["ti"].xcom_push(key=REJECTED, value=image_set.prediction_id)
            follow = self.on_reject
        elif chosen == [REJECT]:
            self.log.info("Prediction %s is rejected, and no round is left.", image_set.prediction_id)
            follow = None
        else:
            raise InvalidInputError(
                "chosen_options", chosen, "one answer is needed", f"{APPROVE} or {REJECT}."
            )
        self.do_branch(context, follow)

    def _refuse_unseen(self, prediction_id: str, context: Context) -> None:
        """The answer is about what was shown; a clear of the drawing task alone puts another set in its place."""
        ti = context["ti"]
        shown = ti.xcom_pull(task_ids=self.task_id, key=SHOWN, map_indexes=ti.map_index)
        if shown != prediction_id:
            raise AirflowFailException(
                f"Prediction {shown} was shown, and now there is {prediction_id}: the pictures were drawn anew since they "
                "were shown; clear the review to be asked again, which is free."
            )

    def process_trigger_event_error(self, event: dict[str, Any]) -> None:
        """Fail for good where nobody answered: a retry would ask, and wait, as long again."""
        if event["error_type"] == "timeout":
            raise AirflowFailException(
                f"Nobody answered within {self.response_timeout}. Nothing is drawn or published; clear the task to ask again."
            )
        super().process_trigger_event_error(event)
