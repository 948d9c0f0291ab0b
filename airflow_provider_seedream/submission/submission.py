"""Pays for a request at most once.

Theory of operation. One :class:`Submission` serves one try of one task, from its start to its end or its deferral. It
reads the record (:mod:`.record`) once, and again after each pause, as another try may have begun. It first repeats what
earlier tries said to other tasks. Then it decides, and the operator acts on the decision:

- ``Submit``: the operator asks the price, checks ceilings, uploads references, then calls :meth:`~Submission.pay`;
- ``Resume`` (wait on), ``Collect`` (it is complete): :meth:`~Submission.resume` continues with the recorded prediction;
- ``Recover``: something may be paid whose id is not known; :meth:`~Submission.recover` searches the account, and gives
  the prediction, ``Submit`` where nothing arrived or a person decided so, ``RetryLater``, or raises what a person must know;
- ``RetryLater``: nothing can be decided yet. The operator defers, or sleeps and calls :meth:`~Submission.reopen`;
- ``GiveUp``: the operator raises the error.

Must never happen: a POST before ``intent`` is in the store (other tasks can see it, too, if Airflow stores it: :mod:`.claims`);
a POST after the task was killed, or later than ``send_within`` after ``intent``; a second POST while the outcome of the first
is not known, unless a person asked for it (see :mod:`.record`); a known id that is dropped because the store is away (see
:mod:`.second_place`). Only ``pay`` sends what pays. Whether a request that failed may have been accepted is said by the error
table (``Arrival``), by whether a byte left, or by a prediction that the answer names: never by a text.

What only this try knows (an id, a refusal, a clock) goes to memory first, and to the store in four attempts; all else goes to
the store first. A worker that is killed between any two writes leaves a record that the next try can act on. Constants: see
:mod:`.timing`.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

from tenacity import Retrying, stop_after_attempt, wait_exponential

from airflow_provider_seedream import xcom
from airflow_provider_seedream.submission import advice, recovery, second_place
from airflow_provider_seedream.submission.claims import ClaimsUnreadableError
from airflow_provider_seedream.submission.decisions import (
    Changed,
    Collect,
    Decision,
    Fetch,
    GiveUp,
    Lost,
    Missing,
    Paid,
    Recover,
    Resume,
    RetryLater,
    Submit,
    Unseen,
    decide,
)
from airflow_provider_seedream.submission.matching import digest_of, digests_of
from airflow_provider_seedream.submission.record import Phase, SubmissionRecord, spent_before
from airflow_provider_seedream.submission.timing import Timing
from airflow_provider_seedream.wavespeed.errors import (
    ApiError,
    Arrival,
    PredictionTimeoutError,
    rule_of,
)
from airflow_provider_seedream.wavespeed.prediction import Prediction
from airflow_provider_seedream.wavespeed.transport import steady

if TYPE_CHECKING:
    from airflow_provider_seedream.hooks.seedream import SeedreamHook
    from airflow_provider_seedream.submission.claims import Claims
    from airflow_provider_seedream.submission.run import Terms
    from airflow_provider_seedream.submission.store import TaskStore
    from airflow_provider_seedream.wavespeed.request import PaidRequest

log = logging.getLogger(__name__)

NOTHING_SENT = "Nothing was sent that pays"


class Submission:
    """What one try does about its paid prediction: see the head of this module.

    :param store: where the record is kept.
    :param hook: the API.
    :param claims: which predictions the tasks of the DAG claim.
    :param terms: what Airflow and the author of the DAG say of this try.
    :param resumed: whether this continues a try after a deferral.
    :param timing: how long to wait for what.
    :ivar killed: whether the task was killed. From then on nothing is sent that pays.
    :ivar sent: what was and what was not sent at this moment, for the log of a kill.
    """

    def __init__(
        self,
        store: TaskStore,
        hook: SeedreamHook,
        claims: Claims,
        terms: Terms,
        *,
        resumed: bool = False,
        timing: Timing | None = None,
    ) -> None:
        self.store = store
        self.hook = hook
        self.claims = claims
        self.terms = terms
        self.resumed = resumed
        self.timing = timing or Timing()
        self.killed = False
        self.sent = NOTHING_SENT
        self._left_at: float | None = None

    @cached_property
    def record(self) -> SubmissionRecord | None:
        """What is remembered: read once, when it is first needed, and kept equal to what is written.

        :raises UnreadableRecordError: if there is one that cannot be read.
        """
        stored = self.store.get(xcom.SUBMISSION)
        if stored is None:
            return None
        record = SubmissionRecord.from_json(stored, self.store.place(xcom.SUBMISSION))
        return second_place.completed(self.store.own, record)

    def reopen(self) -> None:
        """Read the record again after a pause: another try of the task may have begun."""
        self.resumed, self._left_at = True, None
        self.__dict__.pop("record", None)

    @property
    def spent_usd(self) -> float:
        """What this task may have paid before, in USD, since it was last cleared."""
        return spent_before(self.record, self.terms.attempt)

    @property
    def deadline(self) -> float:
        """Epoch seconds at which we stop waiting."""
        record = self.record
        return record.deadline if record and record.deadline else time.time() + self.terms.timeout

    def repeat_claims(self) -> None:
        """Say first of all in a try what earlier tries paid for, or may have: other tasks must not take it."""
        if self.record is not None:
            self.claims.repeat(self.record)
        elif not self.terms.attempt.first:
            # Of tries without a record only the time is known.
            began = self.terms.moments.run_began_at
            self.claims.repeat(SubmissionRecord.missing(self.terms.attempt, began, time.time()))

    def decide(self, request: PaidRequest) -> Submit | Resume | Collect | Recover | GiveUp:
        """What to do next for a request. Pays nothing and writes nothing; may fetch the recorded prediction.

        :raises ApiError: if the prediction must be seen to decide, and cannot be seen now.
        :raises PollRejectedError: if the API refuses to show it for good.
        """
        record, source = self.record, self.hook.settings.source
        if record is not None and record.of_another_key(source, self._account):
            if record.cleared_since(self.terms.attempt):
                log.warning("The key of %s is used from now on, not that of %s.", source, record.paid_from)
            elif record.phase in (Phase.INTENT, Phase.SUBMITTED):
                return GiveUp(advice.other_account(record, source))
        match self._decided(request):
            case Missing() | Lost():
                return Recover()
            case Changed(earlier):
                return GiveUp(advice.changed(earlier, self._way_out))
            case Fetch():
                raise AssertionError("decide() asked to fetch twice")
            case decision:
                return decision

    def _decided(self, request: PaidRequest) -> Decision:
        terms, fingerprint = self.terms, request.fingerprint(self.terms.conn_id)
        known = partial(
            decide, self.record, fingerprint=fingerprint, attempt=terms.attempt, on_clear=terms.on_clear
        )
        decision, record = known(), self.record
        if isinstance(decision, Fetch):
            assert record is not None  # noqa: S101 - it named the prediction
            said = (self.store.answer() or "") if record.cleared_since(terms.attempt) else ""
            if said.lower() == recovery.SUBMIT:
                self.store.remove_answer()
                return Submit(f"a person asked for a new set by Variable {self.store.answer_name}")
            seen = recovery.recorded(self.hook, record, terms, decision.prediction_id)
            decision = known(prediction=seen)
        return decision

    def pay(self, request: PaidRequest, because: str, *, cost_usd: float) -> Paid | RetryLater | Recover:
        """Submit a request, once.

        :param request: as it is sent, its references uploaded.
        :param because: why a new prediction is paid for, for the log.
        :param cost_usd: its price, which was checked against all ceilings.
        :raises ApiError: if the API refused it, or it was never sent: nothing is paid.
        :raises PredictionTimeoutError: if our turn to submit came after our deadline.
        """
        # Its imports take a second on a busy machine: before the intent, not between that and the request.
        client = self.hook.client
        recovery.learn_clock(self.hook, self.terms)
        before, intent = self.record, self._intent(request, cost_usd)
        recovery.refuse_unheeded_answer(self.store, before)
        settings = self.hook.settings
        to = f"{request.model} for ${cost_usd:g} ({settings.source}, {settings.endpoint.origin})"
        log.info("Submitting %s to %s: %s.", request.describe, to, because)
        self._write(intent)
        # So that no other task takes what this request brings.
        self.claims.expect(intent)
        self.sent = (
            f"A submission of {request.describe} (${cost_usd:g}) is under way; the API cannot cancel it"
        )
        send_by = intent.intent_at + self.timing.send_within
        try:
            prediction = self.hook.submit(request, send_by=send_by, stopped=lambda: self.killed)
        except ApiError as error:
            self._left_at = client.left_at
            named = recovery.named_in(self.hook, error, request, intent, self.claims)
            if named is None:
                return self._without_id(error, before, intent)
            prediction = named
        except BaseException:
            # Airflow's execution_timeout is no Exception. It can come while there is no connection yet.
            self._left_at = client.left_at
            if self._left_at is None:
                self._put_back(before, intent)
            self._note_clocks()
            raise
        # Logged first: should the record fail, the log is the one place that knows the id.
        log.info("Prediction %s was submitted: %s, $%g.", prediction.id, request.describe, cost_usd)
        self._keep(intent, prediction)
        return Paid(prediction.id, prediction)

    def _intent(self, request: PaidRequest, cost_usd: float) -> SubmissionRecord:
        now, before = time.time(), self.record
        waiting_since_before = self.resumed and before is not None and not before.outcome_unknown
        deadline = before.deadline if before is not None and waiting_since_before else None
        if deadline and now >= deadline:
            raise PredictionTimeoutError(
                "Our turn to submit did not come before our deadline; nothing is paid."
            )
        return SubmissionRecord.intent(
            before,
            fingerprint=request.fingerprint(self.terms.conn_id),
            attempt=self.terms.attempt,
            cost_usd=cost_usd,
            at=now,
            arrives_by=now + self.timing.in_transit(request, self.hook.settings.endpoint),
            deadline=deadline or now + self.terms.timeout,
            clock_ahead=self.hook.clock_ahead,
            paid_from=self.hook.settings.source,
            inputs=digests_of(request, self._account),
            resumed=self.resumed,
        )

    def _without_id(
        self, error: ApiError, before: SubmissionRecord | None, intent: SubmissionRecord
    ) -> RetryLater | Recover:
        """What follows a paying request that brought no id."""
        if rule_of(error).arrival is Arrival.UNKNOWN:
            log.warning("%s The submission may have been accepted and is not sent again.", error)
            return Recover()
        self._put_back(before, intent)
        return self._delayed(error, before, intent)

    def put_off(self, request: PaidRequest, error: ApiError) -> RetryLater:
        """Wait for a turn to submit after an error of a call that comes before the paying request.

        :raises ApiError: ``error``, where waiting does not help, or has lasted for too long.
        """
        return self._delayed(error, self.record, self._intent(request, request.cost_usd))

    def _delayed(
        self, error: ApiError, before: SubmissionRecord | None, intent: SubmissionRecord
    ) -> RetryLater:
        rule = rule_of(error)
        # The record of a wait would take the place of one that says what is lost.
        beside = before is not None and before.outcome_unknown
        if beside or self.killed or not rule.waits:
            raise error
        delayed = intent.delayed(reached=rule.arrival is Arrival.REFUSED)
        seconds = self.timing.until_turn(error.retry_after, delayed)
        if time.time() + seconds >= (delayed.deadline or 0.0):
            log.warning("%s, %d times; nothing is paid.", rule.waits, delayed.unreached or delayed.refusals)
            raise error
        self._write(delayed)
        log.info("%s, nothing is paid; retrying in %.0f s. %s", rule.waits, seconds, error)
        return RetryLater(seconds)

    def _put_back(self, before: SubmissionRecord | None, intent: SubmissionRecord) -> None:
        """Record that nothing was sent, or that the API refused it."""
        self.sent = NOTHING_SENT
        self.claims.report_lost(before)
        # Where there was none, a record that nothing is paid: the next try must not search for what never was.
        self._note(before or replace(intent, phase=Phase.NOTHING), "nothing was paid")

    def resume(self, request: PaidRequest, decision: Resume | Collect) -> Paid:
        """Continue with the recorded prediction."""
        record, seen = self.record, decision.prediction
        assert record is not None  # noqa: S101 - nothing can be resumed without one
        log.info(
            "Prediction %s (%s, $%g) was paid for by an earlier try; resuming it.",
            decision.prediction_id,
            seen.status_word if seen else Unseen.FOR_NOW.value,
            record.cost_usd,
        )
        now = time.time()
        deadline = record.deadline if record.deadline and record.deadline > now else now + self.terms.timeout
        if record.prediction_id is None:
            record = replace(
                record, fingerprint=request.fingerprint(self.terms.conn_id), cost_usd=request.cost_usd
            ).submitted(decision.prediction_id, at=(seen and seen.created) or now, deadline=deadline)
        self._write(record.continued(self.terms.attempt, deadline=deadline))
        return Paid(decision.prediction_id, seen)

    def recover(self, request: PaidRequest) -> Paid | RetryLater | Submit:
        """Search for what a submission of unknown outcome became; pay only where nothing is there any more.

        :raises LostSubmissionError: if something may be paid that cannot be found or identified.
        """
        self._note_clocks()
        record = self.record or self._missing(request)
        self.record = record = recovery.of_request(record, request, self.terms, self._account)
        self.claims.report_lost(record)
        try:
            said = recovery.answered(self.store, self.hook, self.claims, record, request)
            if isinstance(said, Prediction):
                return self._adopt(said, record, "named by a person")
            if said is not None:
                return said
            found = self._searched(record, request)
            record, ahead = self.record, self.hook.clock_ahead or 0.0
            judged = recovery.Judgement(record, found, self.terms, ahead)
            mine = judged.mine
            if mine is not None and self.claims.claim_alone(mine.id, record.known_ids):
                how = "identified" if mine in judged.found.identified else "adopted"
                return self._adopt(mine, record, how)
        except (ApiError, ClaimsUnreadableError) as error:
            raise advice.unsearched(record, request, error, self._way_out) from None
        step = judged.next_step(time.time())
        if step is None:
            # A person who clears the task from now on has seen the candidates.
            reported = record.reported_in(self.terms.attempt, digest_of(judged.in_doubt))
            self._note(record if self.terms.asks else reported, "its submission was reported")
            raise advice.lost(record, request, judged.in_doubt, judged.way_out(self._way_out))
        if isinstance(step, RetryLater):
            log.warning("The lost submission may still arrive; searching again in %.0f s.", step.seconds)
        return step

    def _searched(self, record: SubmissionRecord, request: PaidRequest) -> recovery.Found:
        pauses, sent_now = self.timing.searches, self._left_at is not None
        try:
            found = recovery.search(self.hook, record, request, self.claims, pauses=pauses, sent_now=sent_now)
        finally:
            self._note_clocks()
        return found.identified_only if record.lost_on_another(self._account) else found

    def _note_clocks(self) -> None:
        """Keep when the request left, and how far the API's clock is ahead: only the worker that sent it can know."""
        record = self.record
        if self._left_at is None or record is None or record.phase is not Phase.INTENT:
            return
        left_at = time.time() - (steady() - self._left_at)
        noted = record.sent(left_at, ahead=self.hook.clock_ahead, hint=self.hook.client.clock_hint)
        if noted != record:
            self._note(noted, "the clocks are known")

    @property
    def _account(self) -> str:
        return self.hook.settings.endpoint.account

    def _missing(self, request: PaidRequest) -> SubmissionRecord:
        """The record of a try that is not the first and found none: written, so that it is known after a deferral."""
        transit = self.timing.in_transit(request, self.hook.settings.endpoint)
        self._write(missing := recovery.missing_record(self.terms, transit))
        return missing

    def _adopt(self, mine: Prediction, record: SubmissionRecord, how: str) -> Paid:
        continued = record.continued(self.terms.attempt, deadline=time.time() + self.terms.timeout)
        self._keep(replace(continued, paid_from=self.hook.settings.source), mine)
        log.warning(
            "Prediction %s (%s) is %s as the lost submission; resuming it.", mine.id, mine.status_word, how
        )
        return Paid(mine.id, mine)

    @property
    def _way_out(self) -> advice.WayOut:
        return advice.WayOut(self.terms.on_lost_submission, self.terms.on_clear, self.store.answer_name)

    def _note(self, record: SubmissionRecord, what: str) -> None:
        """Keep what makes a later decision easier. Nothing is lost where it cannot be kept."""
        try:
            self._persist(record)
        except Exception:
            log.warning("The record could not take in that %s.", what, exc_info=True)

    def kill(self) -> str:
        """Send nothing any more that pays. Gives what was sent, which the API cannot cancel, and what a retry does."""
        self.killed = True
        return self.sent if self.sent == NOTHING_SENT else f"{self.sent}; {advice.NEXT_TRY}"

    def billed(self, prediction_id: str, cost_usd: float | None = None) -> None:
        """Let a kill say from now on that a prediction is paid."""
        price = "" if cost_usd is None else f" (${cost_usd:g})"
        self.sent = f"Prediction {prediction_id} is not cancelled and stays billed{price}"

    def remember(self, prediction_id: str) -> None:
        """Record what was submitted, where the record was away at that time."""
        record = self.record
        if record is None or record.phase is not Phase.INTENT:
            return
        deadline = record.deadline or time.time() + self.terms.timeout
        try:
            self._write(record.submitted(prediction_id, at=record.intent_at, deadline=deadline))
        except Exception:
            log.exception("Prediction %s could not be recorded.", prediction_id)

    def delivered(self) -> None:
        """Record that the result goes to Airflow now: only a clear, no retry, can follow."""
        if self.record is not None:
            self._note(replace(self.record, delivered=True), "the set was delivered")

    def failed(self, *, for_good: bool) -> None:
        """Record that this try failed.

        :param for_good: whether only a clear, no retry, can follow.
        """
        if self.record is None and self.terms.attempt.first:
            # So that a retry need not search the account for what this try may have paid.
            self._write(SubmissionRecord.nothing(self.terms.attempt))
        elif self.record is not None and for_good and not self.record.given_up:
            self._write(replace(self.record, given_up=True))

    def _keep(self, record: SubmissionRecord, prediction: Prediction) -> None:
        now = time.time()
        second_place.keep(self.store.own, record, prediction.id)
        try:
            self._persist(record.submitted(prediction.id, at=now, deadline=now + self.terms.timeout))
        except Exception:
            # The prediction is paid and its id is at hand: a store that is away must not lose it.
            what = "Prediction %s is paid ($%g) but could not be recorded; this try goes on with it."
            log.exception(what, prediction.id, record.cost_usd)

    def _write(self, record: SubmissionRecord) -> None:
        self.store.set(xcom.SUBMISSION, record.to_json())
        self.record = record
        second_place.remove(self.store.own, record)

    def _persist(self, record: SubmissionRecord) -> None:
        """Write what no one else knows: again, if the store is away for a moment. It holds in memory in any case."""
        self.record = record
        for attempt in Retrying(stop=stop_after_attempt(4), wait=wait_exponential(0.25, max=2), reraise=True):
            with attempt:
                self._write(record)
