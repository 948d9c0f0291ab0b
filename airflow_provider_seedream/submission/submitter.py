"""Pays for a request at most once."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from airflow_provider_seedream.submission import lost
from airflow_provider_seedream.submission.kill import NOTHING_SENT, Kill
from airflow_provider_seedream.submission.order import Order, Postponed
from airflow_provider_seedream.submission.pacing import pause
from airflow_provider_seedream.submission.policies import OnClear, OnLostSubmission
from airflow_provider_seedream.submission.record import (
    Changed,
    Collect,
    Decision,
    GiveUp,
    Look,
    Lost,
    Missing,
    Phase,
    Resume,
    SubmissionRecord,
    Submit,
    decide,
)
from airflow_provider_seedream.submission.search import Account, Found, search
from airflow_provider_seedream.waiting.poll import refusal
from airflow_provider_seedream.wavespeed.errors import (
    ApiError,
    Arrival,
    NotFoundError,
    PredictionTimeoutError,
    RateLimitError,
    rule_of,
)
from airflow_provider_seedream.wavespeed.prediction import Prediction, Status

if TYPE_CHECKING:
    from airflow_provider_seedream.submission.store import SubmissionStore
    from airflow_provider_seedream.wavespeed.request import PaidRequest

log = logging.getLogger(__name__)

FORGOTTEN = 7 * 86400.0
"""Seconds for which the API knows a prediction at the least (API reference 3.3)."""


class Api(Account, Protocol):
    """The calls that the submitter needs; the hook has them."""

    def submit(self, request: PaidRequest, *, send_by: float, stopped: Callable[[], bool]) -> Prediction:
        """Submit a request, not later than ``send_by`` (epoch seconds), and never once ``stopped``. This pays."""


@dataclass(frozen=True, slots=True)
class Submitter:
    """Submits one task instance's request, or finds what an earlier try of it submitted.

    :param api: the vendor's API.
    :param store: where the record is kept.
    :param on_clear: what a clear of the task asks for.
    :param on_lost_submission: what to do where a paying request's outcome is unknown.
    :param claimed: gives the ids of predictions known to be other tasks'.
    :param claim: says which prediction is this task's now, and gives whether no other task says so as well.
    :param tell: lets other tasks know of this task's lost submission, or with ``None`` that it is lost no more.
    :param rivals: gives the spans of time, in epoch seconds, in which other tasks of the run lost theirs.
    :param kill: whether the task was killed, and what that finds.
    :param clear: how a person clears the task so that Airflow keeps its record.
    """

    api: Api
    store: SubmissionStore
    on_clear: OnClear
    on_lost_submission: OnLostSubmission
    claimed: Callable[[], Collection[str]]
    claim: Callable[[str], bool]
    tell: Callable[[SubmissionRecord | None], None] = lambda _: None
    rivals: Callable[[], Collection[tuple[float, float]]] = tuple
    kill: Kill = field(default_factory=Kill)
    clear: str = "clear the task"

    def obtain(self, order: Order, *, came_back: bool = False) -> Prediction | Postponed:
        """A prediction for the order: a new one, or the one that an earlier try paid for.

        :param came_back: whether this goes on after a :class:`Postponed` of the same try.
        :raises PredictionFailedError: if the earlier one failed in a way that submitting again would not cure.
        :raises LostSubmissionError: if something may be paid that cannot be found or identified.
        :raises RequestChangedError: if an earlier try paid for another request.
        :raises AccountChangedError: if an earlier try paid with a key from elsewhere.
        :raises BudgetExceededError: if a ceiling would be exceeded.
        """
        record = self.store.read() if came_back or self.store.outlives_a_try else None
        self._refuse_another_account(record, order)
        match self._decide(record, order):
            case Missing():
                return self._recover(order, self._missing(order))
            case Submit(because):
                return self._submit(order, record, because, came_back)
            case Resume(prediction) | Collect(prediction):
                return self._take_up(order, record, prediction)
            case GiveUp(prediction):
                raise prediction.failure()
            case Lost(intent):
                return self._recover(order, intent)
            case Changed(earlier):
                raise lost.changed(earlier, self._way_out)
            case Look():
                raise AssertionError("decide() asked to look twice")

    def would_submit(self, order: Order) -> bool:
        """Whether :meth:`obtain` would pay, rather than go on with, or look for, what is on record."""
        return isinstance(self._decide(self.store.read(), order), Submit)

    def _decide(self, record: SubmissionRecord | None, order: Order) -> Decision:
        decision = decide(
            record, fingerprint=order.fingerprint, attempt=order.attempt, on_clear=self.on_clear
        )
        if not isinstance(decision, Look) or record is None:
            return decision
        return decide(
            record,
            fingerprint=order.fingerprint,
            attempt=order.attempt,
            on_clear=self.on_clear,
            prediction=self._look(
                decision.prediction_id,
                record,
                cleared=record.phase is Phase.DELAYED or record.cleared_since(order.attempt),
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

    def _refuse_another_account(self, record: SubmissionRecord | None, order: Order) -> None:
        if record is None or not record.paid_from or record.paid_from == order.source:
            return
        if record.cleared_since(order.attempt):
            log.warning("The key of %s is used from now on, not that of %s.", order.source, record.paid_from)
        elif record.phase in (Phase.INTENT, Phase.SUBMITTED):
            raise lost.other_account(record, order.source)

    def _submit(
        self, order: Order, before: SubmissionRecord | None, because: str, came_back: bool
    ) -> Prediction | Postponed:
        cost_usd = order.price()
        now = time.time()
        intent = SubmissionRecord.intent(
            before,
            fingerprint=order.fingerprint,
            attempt=order.attempt,
            cost_usd=cost_usd,
            at=now,
            arrives_by=now + order.in_transit,
            deadline=before.deadline if came_back and before and before.deadline else now + order.timeout,
            paid_from=order.source,
        )
        order.check_budget(cost_usd, intent.spent_usd)
        order = replace(order, request=order.prepare())
        asked_for = time.time() - now  # The API's usage figures and uploads may take their time.
        intent = replace(
            intent,
            intent_at=now + asked_for,
            arrives_by=intent.arrives_by + asked_for,
            clock_ahead=self.api.clock_ahead,
        )
        if came_back and before and before.deadline and intent.intent_at >= before.deadline:
            raise PredictionTimeoutError(
                "Our turn to submit did not come before our deadline; nothing is paid."
            )
        request = order.request
        log.info(
            "Submitting %s to %s for $%g (%s, %s): %s.",
            request.describe,
            request.model,
            cost_usd,
            order.source,
            order.origin,
            because,
        )
        self.store.write(intent)
        self.kill.finds = (
            f"A submission of {request.describe} (${cost_usd:g}) is under way; the API cannot cancel it"
        )
        try:
            prediction = self.api.submit(
                request, send_by=intent.intent_at + order.send_within, stopped=lambda: self.kill.came
            )
        except ApiError as error:
            named = self._named_in(error)
            if named is None and rule_of(error).arrival is not Arrival.UNKNOWN:
                self.kill.finds = NOTHING_SENT
                self._put_back(before, intent)
                # A wait's record would take the place of one that says what is lost of another request.
                beside = (
                    before is not None and before.outcome_unknown and before.fingerprint != order.fingerprint
                )
                if isinstance(error, RateLimitError) and not beside:
                    return self._wait_for_a_turn(intent.delayed(), error)
                raise
            log.warning("%s The submission may have been accepted and is not sent again.", error)
            if named is None:
                return self._recover(order, intent, sent_now=True)
            prediction = named
        # Logged first: should the record fail, the log is the one place that knows the id.
        log.info("Prediction %s was submitted: %s, $%g.", prediction.id, request.describe, cost_usd)
        self._keep(intent, prediction, order.timeout)
        if before is not None and before.outcome_unknown:
            self.tell(None)
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

    def _wait_for_a_turn(self, delayed: SubmissionRecord, error: RateLimitError) -> Postponed:
        seconds = pause(error.retry_after, delayed.refusals, random.random())  # noqa: S311 - spreads, hides nothing
        if time.time() + seconds >= (delayed.deadline or 0.0):
            log.warning("Rate limited (HTTP 429) %d times; nothing is paid.", delayed.refusals)
            raise error
        self.store.write(delayed)
        log.info("Rate limited (HTTP 429), nothing is paid; retrying in %.0f s.", seconds)
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

    def _put_back(self, before: SubmissionRecord | None, intent: SubmissionRecord) -> None:
        try:
            # Where there was none, a record that nothing is paid: the next try must not look for what never was.
            self._persist(before or replace(intent, phase=Phase.NOTHING))
        except Exception:
            # What the API said is what a person must see; the next try will look for a submission that never was.
            log.exception("The submission was refused, but the record still says that it may be paid.")

    def _persist(self, record: SubmissionRecord) -> None:
        """Write what nothing else knows: again, if the store is away for a moment."""
        from tenacity import Retrying, stop_after_attempt, wait_exponential

        for attempt in Retrying(stop=stop_after_attempt(4), wait=wait_exponential(0.25, max=2), reraise=True):
            with attempt:
                self.store.write(record)

    def _take_up(self, order: Order, record: SubmissionRecord | None, prediction: Prediction) -> Prediction:
        assert record is not None  # noqa: S101 - nothing can be taken up without one
        log.info(
            "Prediction %s (%s, $%g) was paid for by an earlier try; resuming it.",
            prediction.id,
            prediction.status_word,
            record.cost_usd,
        )
        now = time.time()
        deadline = record.deadline if record.deadline and record.deadline > now else now + order.timeout
        if record.prediction_id is None:
            record = replace(record, fingerprint=order.fingerprint, cost_usd=order.request.cost_usd)
            record = record.submitted(prediction.id, at=prediction.created or now, deadline=deadline)
        self.store.write(record.continued(order.attempt, deadline=deadline))
        return prediction

    def _missing(self, order: Order) -> SubmissionRecord:
        """The record of a try that is not the first and found none: written, so that a try that comes back knows."""
        missing = SubmissionRecord.missing(
            fingerprint=order.fingerprint,
            attempt=order.attempt,
            cost_usd=order.request.cost_usd,
            since=order.began_at,
            arrives_by=max(time.time(), order.quiet_since + order.in_transit),
        )
        log.warning(
            "Try %d finds no record of the tries before it; searching the account for what they may have paid. So that Airflow "
            "keeps its record, %s.",
            order.attempt.try_number,
            self.clear if self.store.outlives_a_try else "use Airflow 3.3 or newer",
        )
        self.store.write(missing)
        return missing

    def _recover(
        self, order: Order, record: SubmissionRecord, *, sent_now: bool = False
    ) -> Prediction | Postponed:
        """Look for what a submission of unknown outcome became; pay only where nothing is there any more.

        A person who cleared the task wants images, and new ones where the old ones were delivered. So a clear takes what
        is identified, in every policy; and it pays beside other candidates only if it came after an error named them.

        :param sent_now: whether this very call sent it, so that the record's times are of this machine's clock.
        """
        missing = record.phase is Phase.MISSING
        cleared_now = record.cleared_since(order.attempt)
        cleared = record.cleared or cleared_now
        wants_new = cleared and self.on_clear == "resubmit"
        if missing:
            record = replace(record, fingerprint=order.fingerprint, cost_usd=order.request.cost_usd)
        else:
            self.tell(record)
        try:
            found = search(self.api, record, order.request, self.claimed, sent_now=sent_now)
        except ApiError as error:
            raise self._lost(order, record, error) from None
        if sent_now and record.clock_ahead is None:
            record = replace(record, clock_ahead=self.api.clock_ahead)
        by = order.tried_at + (self.api.clock_ahead or 0.0)
        takeable = found
        if missing and self.on_lost_submission != "adopt":
            # What may be delivered is what the clear replaces; under "adopt" a person asks for it.
            takeable = found.without(lambda each: lost.may_be_delivered(each, by))
            if wants_new:
                found = takeable
            elif not (order.attempt.retries_a_clear and self.on_clear == "resubmit"):
                takeable = found
        mine = self._mine(takeable, record, identified_is_enough=missing or cleared)
        if mine is not None and self.claim(mine.id):
            self.tell(None)
            taken = record.continued(order.attempt, deadline=time.time() + order.timeout)
            self._keep(replace(taken, paid_from=order.source), mine, order.timeout)
            log.warning(
                "Prediction %s (%s) is %s as the lost submission; resuming it.",
                mine.id,
                mine.status_word,
                "identified" if mine in found.identified else "adopted",
            )
            return mine
        in_doubt = found.possible if self._texts_say_nothing(order, missing) else found.candidates
        if self.on_lost_submission == "fail" and not (missing or wants_new):
            raise self._lost(order, record, in_doubt, found)
        adopts = self.on_lost_submission == "adopt"
        decided = wants_new and cleared_now and not adopts and record.reported == lost.digest_of(in_doubt)
        # After an error said that "adopt" pays nothing, it pays nothing.
        if (in_doubt and not decided) or (adopts and record.reported):
            raise self._lost(order, record, in_doubt, found)
        still_in_transit = record.arrives_by - time.time()
        if still_in_transit > 0:
            log.warning(
                "The lost submission may still arrive; searching again in %.0f s.",
                still_in_transit,
            )
            if sent_now:
                self.store.write(record)
            return Postponed(max(1.0, still_in_transit))
        if missing:
            return self._submit(order, record, "no earlier try of this run paid for what is asked for", False)
        if wants_new:
            return self._submit(
                order, record, "the task was cleared; its lost submission was searched for", False
            )
        if self.on_lost_submission == "resubmit" and not record.resubmitted:
            return self._submit(order, record, "a lost submission was looked for and never arrived", False)
        raise self._lost(order, record, in_doubt, found)

    def _mine(
        self, found: Found, record: SubmissionRecord, *, identified_is_enough: bool
    ) -> Prediction | None:
        """The prediction that the policy lets this task take, if there is one."""
        if self.on_lost_submission == "adopt" and self._adoptable(found, record) is not None:
            return found.adoptable
        if len(found.identified) == 1 and (identified_is_enough or len(found.candidates) == 1):
            return found.identified[0] if identified_is_enough or self.on_lost_submission != "fail" else None
        return None

    def _adoptable(self, found: Found, record: SubmissionRecord) -> Prediction | None:
        """The one candidate, unless it may as well be what another task of the run lost at the same time."""
        only = found.adoptable
        if only is None or only in found.identified:
            return only
        overlaps = (first <= record.arrives_by and record.intent_at <= last for first, last in self.rivals())
        return None if any(overlaps) else only

    def _texts_say_nothing(self, order: Order, missing: bool) -> bool:
        """Whether a prediction with other texts must be taken into account: the vendor may have rewritten them, or the
        task itself writes others with each try."""
        return order.texts_vary or (not missing and self.on_lost_submission == "resubmit")

    @property
    def _way_out(self) -> lost.WayOut:
        return lost.WayOut(self.on_lost_submission, self.on_clear, self.store.outlives_a_try, self.clear)

    def _lost(
        self,
        order: Order,
        record: SubmissionRecord,
        seen: list[Prediction] | ApiError,
        found: Found | None = None,
    ) -> Exception:
        """The error of a submission whose outcome is unknown: with what was found, or why nothing could be searched."""
        if isinstance(seen, ApiError):
            return lost.unsearched(record, order.request, seen, self._way_out)
        try:
            # A person who clears the task from now on has seen the candidates.
            self._persist(record.reported_in(order.attempt, lost.digest_of(seen)))
        except Exception:
            log.exception("The record could not take in that its submission was reported.")
        way_out = self._way_out
        if found is not None:
            identified = len(seen) == len(found.identified) == 1 and record.phase is not Phase.MISSING
            takeable = self._adoptable(found, record) is not None
            way_out = replace(way_out, takeable=takeable, identified=identified)
        return lost.lost(record, order.request, seen, way_out)


def _unseen(prediction_id: str) -> Prediction:
    return Prediction(prediction_id, model="", status=Status.UNKNOWN, status_word="not seen yet")
