"""Pays for an image set at most once."""

from __future__ import annotations

import datetime as dt
import logging
import random
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from airflow_provider_seedream.submission import lost
from airflow_provider_seedream.submission.pacing import pause
from airflow_provider_seedream.submission.record import (
    Changed,
    Collect,
    Decision,
    GiveUp,
    Look,
    Lost,
    OnClear,
    OnLostSubmission,
    Phase,
    Resume,
    SubmissionRecord,
    Submit,
    decide,
)
from airflow_provider_seedream.wavespeed.errors import (
    ApiError,
    Arrival,
    NotFoundError,
    RateLimitedError,
    rule_of,
)
from airflow_provider_seedream.wavespeed.polling import refused
from airflow_provider_seedream.wavespeed.prediction import Prediction, Status

if TYPE_CHECKING:
    from airflow_provider_seedream.submission.store import SubmissionStore
    from airflow_provider_seedream.wavespeed.image_set import ImageSetRequest

log = logging.getLogger(__name__)

SEARCHES = (0.0, 5.0, 10.0)
"""Seconds before each search for a lost submission: the API may list a new prediction late (API reference 4.1)."""

IN_TRANSIT = 120.0
"""Seconds after which a paying request can no longer arrive: our own time-outs, and a gateway's patience."""


class Api(Protocol):
    """The calls that the submitter needs; the hook has them."""

    def submit(self, request: ImageSetRequest) -> Prediction:
        """Submit an image set. This pays."""

    def prediction(self, prediction_id: str) -> Prediction:
        """Look at a prediction."""

    def predictions(
        self, *, model: str, created_after: dt.datetime, created_before: dt.datetime
    ) -> list[Prediction]:
        """The predictions of a model within a window of time."""


@dataclass(frozen=True, slots=True)
class Order:
    """What one try wants.

    :param request: the image set.
    :param fingerprint: of all that is billed.
    :param generation: this try's count of clears.
    :param cost_usd: the price.
    :param timeout: seconds to wait, for a turn to submit and again for the pictures.
    :param check_budget: given what this task spent before since it was last cleared, raises where a ceiling would be
        exceeded. Asked only before paying.
    """

    request: ImageSetRequest
    fingerprint: str
    generation: int
    cost_usd: float
    timeout: float
    check_budget: Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Postponed:
    """Nothing can be decided yet; come back in so many seconds.

    :param seconds: how long to stay away.
    """

    seconds: float


@dataclass(frozen=True, slots=True)
class Submitter:
    """Submits one task instance's image set, or finds what an earlier try of it submitted.

    :param api: the vendor's API.
    :param store: where the record is kept.
    :param on_clear: what a clear of the task asks for.
    :param on_lost_submission: what to do where a paying request's outcome is unknown.
    :param claimed: gives the ids of predictions known to be other tasks'.
    """

    api: Api
    store: SubmissionStore
    on_clear: OnClear
    on_lost_submission: OnLostSubmission
    claimed: Callable[[], Collection[str]]

    def obtain(self, order: Order, *, came_back: bool = False) -> Prediction | Postponed:
        """A prediction for the order: a new one, or the one that an earlier try paid for.

        :param came_back: whether this goes on after a :class:`Postponed` of the same try.
        :raises PredictionFailedError: if the earlier one failed in a way that submitting again would not cure.
        :raises LostSubmissionError: if something may be paid that cannot be found or told apart.
        :raises RequestChangedError: if an earlier try paid for another request.
        :raises BudgetExceededError: if a ceiling would be exceeded.
        """
        record = self.store.read() if came_back or self.store.outlives_a_try else None
        try:
            return self._carry_out(self._decide(record, order), order, record, came_back)
        except RateLimitedError as error:
            pause_ends = time.time() + (error.retry_after or 0.0)
            if (
                record is None
                or not error.retry_after
                or pause_ends >= (record.deadline or record.arrives_by)
            ):
                raise
            log.info("%s Coming back in %.0f s.", error, error.retry_after)
            return Postponed(error.retry_after)

    def _carry_out(
        self, decision: Decision, order: Order, record: SubmissionRecord | None, came_back: bool
    ) -> Prediction | Postponed:
        match decision:
            case Submit(because):
                return self._submit(order, record, because, came_back)
            case Resume(prediction) | Collect(prediction):
                return self._take_up(order, record, prediction)
            case GiveUp(prediction):
                raise prediction.failure()
            case Lost(intent):
                return self._recover(order, intent)
            case Changed(earlier):
                raise lost.changed(earlier)
            case Look():
                raise AssertionError("decide() asked to look twice")

    def _decide(self, record: SubmissionRecord | None, order: Order) -> Decision:
        decision = decide(
            record, fingerprint=order.fingerprint, generation=order.generation, on_clear=self.on_clear
        )
        if not isinstance(decision, Look) or record is None:
            return decision
        return decide(
            record,
            fingerprint=order.fingerprint,
            generation=order.generation,
            on_clear=self.on_clear,
            prediction=self._look(decision.prediction_id, cleared=order.generation != record.generation),
        )

    def _look(self, prediction_id: str, *, cleared: bool) -> Prediction:
        try:
            return self.api.prediction(prediction_id)
        except NotFoundError as error:
            if not cleared:
                raise refused(prediction_id, error) from None
            # The API forgets a prediction after seven days (API reference 3.3), and may then be paid for a new one.
            return Prediction(prediction_id, model="", status=Status.DELETED, status_word="not found")
        except ApiError as error:
            if error.transient:
                raise
            raise refused(prediction_id, error) from None

    def _submit(
        self, order: Order, before: SubmissionRecord | None, because: str, came_back: bool
    ) -> Prediction | Postponed:
        now = time.time()
        intent = SubmissionRecord(
            phase=Phase.INTENT,
            fingerprint=order.fingerprint,
            generation=order.generation,
            cost_usd=order.cost_usd,
            intent_at=now,
            arrives_by=now + IN_TRANSIT,
            spent_usd=_spent(before, order.generation),
            refusals=before.refusals if before and came_back else 0,
        )
        order.check_budget(intent.spent_usd)
        log.info(
            "Submitting %d image(s) of %s to %s for $%g: %s.",
            order.request.max_images,
            order.request.size,
            order.request.model,
            order.cost_usd,
            because,
        )
        self.store.write(intent)
        try:
            prediction = self.api.submit(order.request)
        except ApiError as error:
            if rule_of(error).arrival is Arrival.UNKNOWN:
                log.warning("%s The submission may have been accepted and is not sent again.", error)
                return self._recover(order, intent)
            self._put_back(before)
            if not isinstance(error, RateLimitedError):
                raise
            give_up_at = before.deadline if before and came_back else None
            return self._wait_for_a_turn(intent.delayed(deadline=give_up_at or now + order.timeout), error)
        # Logged first: should the record fail, the log is the one place that knows the id.
        log.info(
            "Prediction %s was submitted: %d image(s), $%g.",
            prediction.id,
            order.request.max_images,
            order.cost_usd,
        )
        self._keep(intent, prediction, order.timeout)
        return prediction

    def _wait_for_a_turn(self, delayed: SubmissionRecord, error: RateLimitedError) -> Postponed:
        seconds = pause(error.retry_after, delayed.refusals, random.random())  # noqa: S311 - spreads, hides nothing
        if time.time() + seconds >= (delayed.deadline or 0.0):
            log.warning("Refused for its rate %d times; nothing is paid.", delayed.refusals)
            raise error
        self.store.write(delayed)
        log.info("Refused for its rate (nothing is paid); coming back in %.0f s.", seconds)
        return Postponed(seconds)

    def _keep(self, record: SubmissionRecord, prediction: Prediction, timeout: float) -> None:
        now = time.time()
        self.store.write(record.submitted(prediction.id, at=now, deadline=now + timeout))

    def _put_back(self, before: SubmissionRecord | None) -> None:
        if before is None:
            self.store.forget()
        else:
            self.store.write(before)

    def _take_up(self, order: Order, record: SubmissionRecord | None, prediction: Prediction) -> Prediction:
        assert record is not None  # noqa: S101 - nothing can be taken up without one
        log.info(
            "Prediction %s (%s, $%g) was paid for by an earlier try; taking it up again.",
            prediction.id,
            prediction.status_word,
            record.cost_usd,
        )
        now = time.time()
        deadline = record.deadline if record.deadline and record.deadline > now else now + order.timeout
        self.store.write(record.continued(generation=order.generation, deadline=deadline))
        return prediction

    def _recover(self, order: Order, intent: SubmissionRecord) -> Prediction | Postponed:
        found = self._search(order, intent)
        if self.on_lost_submission == "adopt" and len(found) == 1:
            self._keep(intent, found[0], order.timeout)
            log.warning("Prediction %s was taken for the lost submission.", found[0].id)
            return found[0]
        if self.on_lost_submission == "fail" or found:
            raise lost.lost(intent, order.request, found, self.on_lost_submission)
        still_in_transit = intent.arrives_by - time.time()
        if still_in_transit > 0:
            log.warning("The lost submission is not listed yet; looking again in %.0f s.", still_in_transit)
            return Postponed(max(1.0, still_in_transit))
        if self.on_lost_submission == "resubmit":
            self.store.forget()
            return self._submit(order, None, "a lost submission was looked for and never arrived", False)
        raise lost.lost(intent, order.request, found, self.on_lost_submission)

    def _search(self, order: Order, intent: SubmissionRecord) -> list[Prediction]:
        created_after, created_before = lost.window(intent)
        found: list[Prediction] = []
        for seconds in SEARCHES:
            time.sleep(seconds)
            listed = self.api.predictions(
                model=order.request.model, created_after=created_after, created_before=created_before
            )
            unclaimed = lost.unclaimed(listed, self.claimed())
            found = lost.candidates(map(self._with_input, unclaimed), inputs=order.request.inputs())
            if found:
                break
        return found

    def _with_input(self, listed: Prediction) -> Prediction:
        """A listed prediction with its input, if the API tells it anywhere: not promised, neither here nor there."""
        if listed.input is not None:
            return listed
        try:
            return self.api.prediction(listed.id)
        except ApiError:
            return listed


def _spent(before: SubmissionRecord | None, generation: int) -> float:
    """What this task paid for before, since it was last cleared."""
    if before is None or before.generation != generation:
        return 0.0
    return before.spent_usd + (before.cost_usd if before.phase is Phase.SUBMITTED else 0.0)
