"""Rounds of drawing and asking, until a person approves."""

from __future__ import annotations

import datetime as dt
import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowOptionalProviderFeatureException,
    TaskGroup,
    task,
)

from airflow_provider_seedream import xcom
from airflow_provider_seedream.operators.arguments import refuse_unknown_arguments
from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator
from airflow_provider_seedream.wavespeed.errors import InvalidInputError
from airflow_provider_seedream.wavespeed.validation import parse_integer

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseNotifier, XComArg
    from airflow.sdk.execution_time.hitl import HITLUser

    from airflow_provider_seedream.wavespeed.prompt import PromptInput

MAX_ROUNDS = 10

# Also where default_args say something else: a round that starts before the review before it is over has no prompt.
_AFTER_A_REVIEW: Mapping[str, Any] = {"trigger_rule": "all_success"}


def approval_rounds(
    *,
    prompt: PromptInput | XComArg,
    rounds: int = 3,
    group_id: str = "approval",
    subject: str = "Publish these images?",
    assigned_users: HITLUser | list[HITLUser] | None = None,
    notifiers: Sequence[BaseNotifier] | BaseNotifier | None = None,
    response_timeout: dt.timedelta | None = None,
    **drawing: Any,
) -> XComArg:
    """Tasks that draw an image set and ask a person, and draw again with the person's note, until one is approved.

    A task group with ``draw_1``, ``review_1``, ``draw_2`` … and ``approved``, whose output, which is given back, is the
    approved image set: publish it. A round is drawn, and paid for, only after the round before was rejected. After an
    approval the rounds left are skipped; after the last rejection ``approved`` is, and what follows it.

    To have other images, reject the form, rather than clear a drawing task or the run: Airflow before 3.4 keeps the first
    form of a review, and a review whose form shows other images fails (:class:`.SeedreamReviewOperator`).

    :param prompt: the scenes of the first round.
    :param rounds: sets that are drawn at the most, 1 to 10; default 3.
    :param group_id: of the task group.
    :param subject: headline of the form.
    :param assigned_users: who may answer; default: whoever may edit the run.
    :param notifiers: called when an answer is wanted.
    :param response_timeout: how long each answer may take; default: for ever. Then the run fails.
    :param drawing: what else ``SeedreamSequentialOperator`` takes, for every round: ``size``, ``max_cost``, ``retries`` …
    :raises InvalidInputError: inside a mapped task group; for what would show no images, or publish before anybody approved.
    :raises AirflowOptionalProviderFeatureException: before Airflow 3.1, which has no such form.
    """
    try:
        from airflow_provider_seedream.operators.review import SeedreamReviewOperator
    except (ImportError, AirflowOptionalProviderFeatureException) as error:
        raise AirflowOptionalProviderFeatureException(
            "approval_rounds() asks people by a form that Airflow has from 3.1 on, with the standard provider "
            f"installed ({error}). Leave the approval out here, or publish to a folder that is looked at by hand."
        ) from None
    own = [name for name in inspect.signature(approval_rounds).parameters if name != "drawing"]
    refuse_unknown_arguments(SeedreamSequentialOperator, drawing, also=own)
    parse_integer("rounds", rounds, 1, MAX_ROUNDS, "Three are usual; each one rejected is paid for.")
    with TaskGroup(group_id=group_id) as group:
        _refuse_mapped(group)
        label: Any = group.child_id
        draws: list[Any] = []
        reviews: list[Any] = []
        next_prompt: Any = prompt
        for number in range(1, rounds + 1):
            draw: Any = SeedreamSequentialOperator(
                **{**drawing, **(_AFTER_A_REVIEW if reviews else {})},
                task_id=f"draw_{number}",
                prompt=next_prompt,
            )
            if reviews:
                # After the draw before as well: where that was cleared, it must be over before its set is looked at.
                [draws[-1], reviews[-1]] >> draw
            _refuse_unfit(draw)
            # A rejection without a note asks for the same again.
            draw.siblings = [each.task_id for each in draws]
            draws.append(draw)
            review: Any = SeedreamReviewOperator(
                task_id=f"review_{number}",
                image_set=draw.output,
                draws=[each.task_id for each in draws],
                rounds=rounds,
                on_approve=label("approved"),
                on_reject=label(f"draw_{number + 1}") if number < rounds else None,
                subject=subject,
                assigned_users=assigned_users,
                notifiers=notifiers,
                response_timeout=response_timeout,
                **_AFTER_A_REVIEW,
            )
            reviews.append(review)
            next_prompt = _prompt_after(draw.task_id, review.task_id)
        approved = task(task_id="approved", trigger_rule="none_failed_min_one_success", do_xcom_push=True)(
            _approved
        )([review.task_id for review in reviews])
        reviews >> approved
    return approved


def _prompt_after(draw: str, review: str) -> str:
    """The template of the prompt that a rejection left behind; empty, hence refused, unless it is of the present set.

    A clear leaves the XCom of a review behind until it starts again, and one that is marked success never does.
    """
    present = f"ti.xcom_pull(task_ids='{draw}')['prediction_id']"
    rejected, prompt = (
        f"ti.xcom_pull(task_ids='{review}', key='{key}')"
        for key in (xcom.REJECTED_PREDICTION_ID, xcom.NEXT_PROMPT)
    )
    return f"{{{{ {prompt} if {rejected} == {present} else '' }}}}"


def _approved(reviews: Sequence[str], **context: Any) -> Mapping[str, Any]:
    """The image set that was approved. After the first approval, what later rounds left behind is of the past."""
    for review in reviews:
        approved: Mapping[str, Any] | None = context["ti"].xcom_pull(
            task_ids=review, key=xcom.APPROVED_IMAGE_SET
        )
        if approved is not None:
            return approved
    raise AirflowFailException(
        "No round is approved. A review that was marked success by hand approves nothing: clear it, and answer its form."
    )


def _refuse_mapped(group: TaskGroup) -> None:
    mapped = next(group.iter_mapped_task_groups(), None)
    if mapped is not None:
        raise InvalidInputError(
            "group_id",
            group.group_id,
            f"{mapped.group_id} is mapped, and the rounds of its instances would be mixed up",
            "Call approval_rounds() in a loop, with a group_id for each, or start a run for each.",
        )


def _refuse_unfit(draw: SeedreamSequentialOperator) -> None:
    # The task and not the keywords: default_args of the DAG count as well.
    for name, rule in (
        ("enable_base64_output", "the form shows images by their links, and such a set has none"),
        ("output_path", "it would publish what nobody has approved"),
        ("outlets", "they would announce what nobody has approved"),
    ):
        if getattr(draw, name):
            way_out = "Leave it out; publish the approved set with SeedreamPublishOperator."
            raise InvalidInputError(name, getattr(draw, name), rule, way_out)
    for name in ("wait_for_completion", "do_xcom_push"):
        if not getattr(draw, name):
            raise InvalidInputError(name, False, "there would be nothing to show", "Leave it out.")
