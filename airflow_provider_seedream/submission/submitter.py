"""Pays for a request at most once."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from airflow_provider_seedream.submission import lost
from airflow_provider_seedream.submission.pacing import pause
from airflow_provider_seedream.submission.policies import OnClear, OnLostSubmission
from airflow_provider_seedream.submission.record import (
    Changed,
    Collect,
    Decision,
    GiveUp,
    Look,
    Lost,
    Resume,
    SubmissionRecord,
    Submit,
    decide,
)
from airflow_provider_seedream.submission.search import Account, search
from airflow_provider_seedream.wavespeed.errors import (
    ApiError,
    Arrival,
    DeadlineReachedError,
    NotFoundError,
    RateLimitedError,
    rule_of,
)
from airflow_provider_seedream.wavespeed.polling import refusal
from airflow_provider_seedream.wavespeed.prediction import Prediction, Status

if TYPE_CHECKING:
    from airflow_provider_seedream.submission.store import SubmissionStore
    from airflow_provider_seedream.wavespeed.paid_request import PaidRequest

log = logging.getLogger(__name__)

SEND_WITHIN = 60.0
"""Seconds from the intent within which the paying request may be sent: attempts that find no connection included."""

GATEWAY_PATIENCE = 60.0
"""Seconds that a gateway may hold a request before it reaches the API."""

FORGOTTEN = 7 * 86400.0
"""Seconds for which the API knows a prediction at the least (API reference 3.3)."""


class Api(Account, Protocol):
    """The calls that the submitter needs; the hook has them."""

    def submit(self, request: PaidRequest, *, send_by: float) -> Prediction:
        """Submit a request, not later than ``send_by`` (epoch seconds). This pays."""


@dataclass(frozen=True, slots=True)
class Order:
    """What one try wants.

    :param request: what to submit.
    :param prepare: gives it as it is sent, its reference pictures uploaded. Asked only before paying, and free.
    :param fingerprint: of all that is billed.
    :param max_tries: Airflow's, of the task instance.
    :param price: asks for the price in USD. Asked only before paying, as the next one.
    :param check_budget: given the price and what this task may have spent before since it was last cleared, raises
        where a ceiling would be exceeded.
    :param account: who pays, and where: for the log.
    :param timeout: seconds to wait, for a turn to submit and again for the result.
    :param answer_timeout: seconds that one request may take.
    """

    request: PaidRequest
    prepare: Callable[[], PaidRequest]
    fingerprint: str
    max_tries: int
    price: Callable[[], float]
    check_budget: Callable[[float, float], None]
    account: str
    timeout: float
    answer_timeout: float


@dataclass(frozen=True, slots=True)
class Postponed:
    """Nothing can be decided yet; come back in so many seconds.

    :param seconds: how long to stay away.
    """

    seconds: float


@dataclass(frozen=True, slots=True)
class Submitter:
    """Submits one task instance's request, or finds what an earlier try of it submitted.

    :param api: the vendor's API.
    :param store: where the record is kept.
    :param on_clear: what a clear of the task asks for.
    :param on_lost_submission: what to do where a paying request's outcome is unknown.
    :param claimed: gives the ids of predictions known to be other tasks'.
    :param claim: says which prediction is this task's now, and gives whether no other task says so as well.
    """

    api: Api
    store: SubmissionStore
    on_clear: OnClear
    on_lost_submission: OnLostSubmission
    claimed: Callable[[], Collection[str]]
    claim: Callable[[str], bool]

    def obtain(self, order: Order, *, came_back: bool = False) -> Prediction | Postponed:
        """A prediction for the order: a new one, or the one that an earlier try paid for.

        :param came_back: whether this goes on after a :class:`Postponed` of the same try.
        :raises PredictionFailedError: if the earlier one failed in a way that submitting again would not cure.
        :raises LostSubmissionError: if something may be paid that cannot be found or told apart.
        :raises RequestChangedError: if an earlier try paid for another request.
        :raises BudgetExceededError: if a ceiling would be exceeded.
        """
        record = self.store.read() if came_back or self.store.outlives_a_try else None
        match self._decide(record, order):
            case Submit(because):
                return self._submit(order, record, because, came_back)
            case Resume(prediction) | Collect(prediction):
                return self._take_up(order, record, prediction)
            case GiveUp(prediction):
                raise prediction.failure()
            case Lost(intent):
                return self._recover(order, intent)
            case Changed(earlier):
                raise lost.changed(earlier, self.on_clear)
            case Look():
                raise AssertionError("decide() asked to look twice")

    def would_submit(self, order: Order) -> bool:
        """Whether :meth:`obtain` would pay, rather than go on with, or look for, what is on record."""
        return isinstance(self._decide(self.store.read(), order), Submit)

    def _decide(self, record: SubmissionRecord | None, order: Order) -> Decision:
        decision = decide(
            record, fingerprint=order.fingerprint, max_tries=order.max_tries, on_clear=self.on_clear
        )
        if not isinstance(decision, Look) or record is None:
            return decision
        return decide(
            record,
            fingerprint=order.fingerprint,
            max_tries=order.max_tries,
            on_clear=self.on_clear,
            prediction=self._look(
                decision.prediction_id, record, cleared=order.max_tries != record.max_tries
            ),
        )

    def _look(self, prediction_id: str, record: SubmissionRecord, *, cleared: bool) -> Prediction:
        """A prediction as far as it can be seen: one that cannot be seen now is waited for like one that runs."""
        try:
            return self.api.prediction(prediction_id)
        except ApiError as error:
            if error.transient and cleared and self.on_clear == "resubmit":
                # Whether there is something to resume decides whether a new set is paid for.
                raise
            if error.transient:
                log.warning("Prediction %s cannot be seen now, and is waited for: %s", prediction_id, error)
                return _unseen(prediction_id)
            forgotten = self.on_clear == "resubmit" or time.time() - (record.submitted_at or 0.0) > FORGOTTEN
            if not cleared or not forgotten or not isinstance(error, NotFoundError):
                raise refusal(prediction_id, error) from None
        return Prediction(prediction_id, model="", status=Status.DELETED, status_word="not found")

    def _submit(
        self, order: Order, before: SubmissionRecord | None, because: str, came_back: bool
    ) -> Prediction | Postponed:
        cost_usd = order.price()
        now = time.time()
        intent = SubmissionRecord.intent(
            before,
            fingerprint=order.fingerprint,
            max_tries=order.max_tries,
            cost_usd=cost_usd,
            at=now,
            arrives_by=now + SEND_WITHIN + order.answer_timeout + GATEWAY_PATIENCE,
            deadline=before.deadline if came_back and before and before.deadline else now + order.timeout,
        )
        order.check_budget(cost_usd, intent.spent_usd)
        order = replace(order, request=order.prepare())
        asked_for = time.time() - now  # The API's usage figures and uploads may take their time.
        intent = replace(intent, intent_at=now + asked_for, arrives_by=intent.arrives_by + asked_for)
        if came_back and before and before.deadline and intent.intent_at >= before.deadline:
            raise DeadlineReachedError(
                "Our turn to submit did not come before our deadline; nothing is paid."
            )
        request = order.request
        log.info(
            "Submitting %s to %s for $%g (%s): %s.",
            request.asks_for,
            request.model,
            cost_usd,
            order.account,
            because,
        )
        self.store.write(intent)
        try:
            prediction = self.api.submit(request, send_by=intent.intent_at + SEND_WITHIN)
        except ApiError as error:
            named = self._named_in(error)
            if named is None and rule_of(error).arrival is not Arrival.UNKNOWN:
                self._put_back(before)
                if isinstance(error, RateLimitedError):
                    return self._wait_for_a_turn(intent.delayed(), error)
                raise
            log.warning("%s The submission may have been accepted and is not sent again.", error)
            if named is None:
                return self._recover(order, intent)
            prediction = named
        # Logged first: should the record fail, the log is the one place that knows the id.
        log.info("Prediction %s was submitted: %s, $%g.", prediction.id, request.asks_for, cost_usd)
        self._keep(intent, prediction, order.timeout)
        return prediction

    def _named_in(self, error: ApiError) -> Prediction | None:
        """The prediction that an answer names although it is no success, if the API knows it: a gateway has ids, too."""
        if error.prediction_id is None:
            return None
        try:
            return self.api.prediction(error.prediction_id)
        except ApiError as unseen:
            log.warning(
                "The answer names prediction %s, which cannot be seen: %s", error.prediction_id, unseen
            )
            return None

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
        try:
            self._persist(record.submitted(prediction.id, at=now, deadline=now + timeout))
        except Exception:
            # The prediction is paid and its id is at hand: a store that is away must not lose it.
            log.exception(
                "Prediction %s is paid ($%g) but could not be recorded; this try goes on with it.",
                prediction.id,
                record.cost_usd,
            )

    def _put_back(self, before: SubmissionRecord | None) -> None:
        try:
            self._persist(before)
        except Exception:
            # What the API said is what a person must see; the next try will look for a submission that never was.
            log.exception("The submission was refused, but the record still says that it may be paid.")

    def _persist(self, record: SubmissionRecord | None) -> None:
        """Write, or remove, what would otherwise be known to nobody: again, if the store is away for a moment."""
        from tenacity import Retrying, stop_after_attempt, wait_exponential

        for attempt in Retrying(stop=stop_after_attempt(4), wait=wait_exponential(0.25, max=2), reraise=True):
            with attempt:
                if record is None:
                    self.store.forget()
                else:
                    self.store.write(record)

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
        self.store.write(record.continued(max_tries=order.max_tries, deadline=deadline))
        return prediction

    def _recover(self, order: Order, intent: SubmissionRecord) -> Prediction | Postponed:
        try:
            found, examined = search(self.api, intent, order.request, self.claimed)
        except ApiError as error:
            raise self._lost(order, intent, [], error) from None
        if examined and len(found) == 1 and self._may_take(found[0], order) and self.claim(found[0].id):
            self._keep(intent, found[0], order.timeout)
            log.warning("Prediction %s was taken for the lost submission.", found[0].id)
            return found[0]
        if self.on_lost_submission == "fail" or found:
            raise self._lost(order, intent, found)
        still_in_transit = intent.arrives_by - time.time()
        if still_in_transit > 0:
            log.warning("The lost submission is not listed yet; looking again in %.0f s.", still_in_transit)
            return Postponed(max(1.0, still_in_transit))
        if self.on_lost_submission == "resubmit" and not intent.resubmitted:
            return self._submit(order, intent, "a lost submission was looked for and never arrived", False)
        raise self._lost(order, intent, found)

    def _may_take(self, found: Prediction, order: Order) -> bool:
        if self.on_lost_submission == "adopt":
            return lost.may_be_taken(found, order.request)
        return self.on_lost_submission == "resubmit" and lost.identified(found, order.request)

    def _lost(
        self,
        order: Order,
        intent: SubmissionRecord,
        found: list[Prediction],
        unsearched: ApiError | None = None,
    ) -> Exception:
        return lost.lost(
            intent,
            order.request,
            found,
            on_lost_submission=self.on_lost_submission,
            on_clear=self.on_clear,
            unsearched=unsearched,
            remembered=self.store.outlives_a_try,
        )


def _unseen(prediction_id: str) -> Prediction:
    return Prediction(prediction_id, model="", status=Status.UNKNOWN, status_word="not seen yet")
