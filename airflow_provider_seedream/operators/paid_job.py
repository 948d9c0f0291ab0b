"""What a try of any task that pays does alike: at most one submission, within the ceilings, and named in every error."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, Self

from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_seedream.metrics import Metrics, Resumption
from airflow_provider_seedream.operators.arguments import given, lasting_errors_fail_at_once
from airflow_provider_seedream.operators.runs import (
    CLAIM,
    LOST,
    claimed,
    how_to_clear,
    lost_by_others,
    name_of,
    timing_of,
)
from airflow_provider_seedream.submission.budget import Ceiling, check
from airflow_provider_seedream.submission.order import Order, Postponed
from airflow_provider_seedream.submission.record import Attempt, Phase, SubmissionRecord
from airflow_provider_seedream.submission.store import SubmissionStore, submission_store
from airflow_provider_seedream.submission.submitter import Submitter
from airflow_provider_seedream.waiting.schedule import FIRST_POLL
from airflow_provider_seedream.wavespeed import operations
from airflow_provider_seedream.wavespeed.errors import InvalidInputError
from airflow_provider_seedream.wavespeed.validation import parse_usd

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_seedream.hooks.seedream import SeedreamHook
    from airflow_provider_seedream.submission.kill import Kill
    from airflow_provider_seedream.submission.policies import OnClear, OnLostSubmission
    from airflow_provider_seedream.wavespeed.endpoint import Endpoint
    from airflow_provider_seedream.wavespeed.prediction import Prediction
    from airflow_provider_seedream.wavespeed.request import PaidRequest

SPENT = "spent_usd"
"""XCom of what the task has paid, or may have, since it was last cleared: earlier tries included."""


class PayingTask(Protocol):
    """What a paid job needs of its operator, whose templates are rendered."""

    task_id: str
    seedream_conn_id: str
    deferrable: bool
    timeout: float
    max_cost: float | str | None
    on_clear: OnClear
    on_lost_submission: OnLostSubmission
    next_try: str
    texts_vary: bool
    siblings: Sequence[str]
    retries: int | None
    retry_delay: Any

    @property
    def kill(self) -> Kill:
        """Whether it was killed, and what that finds."""

    @property
    def price_source(self) -> str:
        """Whether the price comes from the ``"table"`` or the ``"api"``."""

    @property
    def hook(self) -> SeedreamHook:
        """The hook of its connection."""

    @property
    def log(self) -> Any:
        """Its logger."""

    @property
    def defer(self) -> Any:
        """Airflow's."""


@dataclass(frozen=True, slots=True)
class PaidJob:
    """One try of one task that pays for a prediction.

    :param task: the operator, with its templates rendered.
    :param context: Airflow's.
    :param store: where the submission record is kept.
    """

    task: PayingTask
    context: Context
    store: SubmissionStore

    @classmethod
    def of(cls, task: PayingTask, context: Context) -> Self:
        """The job with the best store that the running Airflow offers."""
        job = cls(task, context, submission_store(context, task.task_id))
        task.next_try = job.next_try()
        return job

    def obtain(
        self, request: PaidRequest, *, came_back: bool, prepare: Callable[[], PaidRequest] | None = None
    ) -> Prediction:
        """A prediction for the request: submitted now, or by an earlier try. Defers until it is our turn to submit.

        :param came_back: whether this goes on after a pause within the same try.
        :param prepare: gives the request as it is sent; asked only before paying. Default: as it is.
        """
        self._refuse_a_record_that_success_removes()
        order, submitter = self._order(request), self._submitter()
        if prepare is not None:
            order = replace(order, prepare=prepare)
        before = self.store.read() if came_back or self.store.outlives_a_try else None
        if before is not None and before.prediction_id is not None and not came_back:
            # Airflow empties XCom before each try, and other tasks must know whose prediction this is.
            self.push(CLAIM, before.prediction_id)
        resumption = Resumption(type(self.task).__name__, before, remembers=self.store.outlives_a_try)
        with resumption.traced():
            obtained = submitter.obtain(order, came_back=came_back)
            while isinstance(obtained, Postponed):
                if self.task.deferrable:
                    self._come_back_in(obtained.seconds)
                time.sleep(obtained.seconds)
                obtained = submitter.obtain(order, came_back=True)
            resumption.decided(obtained)
        record = self.store.read()
        cost_usd = record.cost_usd if record else request.cost_usd
        if before is None or before.prediction_id != obtained.id:
            self.metrics.submitted(request.model, cost_usd)
        self.billed(obtained.id, cost_usd)
        self.push(CLAIM, obtained.id)
        self.push(SPENT, record.may_be_spent_usd if record else cost_usd)
        return obtained

    @property
    def metrics(self) -> Metrics:
        """The counters of its connection."""
        return Metrics(self.task.seedream_conn_id)

    def would_submit(self, request: PaidRequest) -> bool:
        """Whether this try would pay for the request, rather than go on with, or look for, what is on record."""
        return self._submitter().would_submit(self._order(request))

    @contextmanager
    def errors_told(self) -> Iterator[None]:
        """See to it that no error hides what is paid, and that no retry burns time where it cannot help."""
        try:
            with lasting_errors_fail_at_once(), self._errors_counted():
                yield
        except Exception as error:
            self._tell_what_is_paid(error, for_good=isinstance(error, AirflowFailException))
            raise

    @contextmanager
    def _errors_counted(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self.metrics.failed(error)
            raise

    def deadline(self) -> float:
        """Epoch seconds at which we stop waiting."""
        record = self.store.read()
        return record.deadline if record and record.deadline else time.time() + self.task.timeout

    def remember(self, prediction_id: str) -> None:
        """Record what was submitted, where the record was away at that time."""
        try:
            record = self.store.read()
            if record is not None and record.phase is Phase.INTENT:
                deadline = record.deadline or time.time() + self.task.timeout
                self.store.write(record.submitted(prediction_id, at=record.intent_at, deadline=deadline))
        except Exception:
            self.task.log.exception("Prediction %s could not be recorded.", prediction_id)

    def billed(self, prediction_id: str, cost_usd: float | None = None) -> None:
        """Let a kill say from now on that a prediction is paid."""
        price = "" if cost_usd is None else f" (${cost_usd:g})"
        self.task.kill.finds = f"Prediction {prediction_id} is not cancelled and stays billed{price}"

    def mark_delivered(self) -> None:
        """Record that the result goes to Airflow now: only a clear, no retry, can follow."""
        if not self.store.outlives_a_try:
            return
        try:
            record = self.store.read()
            if record is not None:
                self.store.write(replace(record, delivered=True))
        except Exception:
            self.task.log.warning("The record could not take in that the set was delivered.", exc_info=True)

    def _mark_given_up(self, record: SubmissionRecord) -> None:
        """Record that this try fails for good: only a clear, no retry, can follow."""
        if self.store.outlives_a_try and not record.given_up:
            self.store.write(replace(record, given_up=True))

    def attempt(self) -> Attempt:
        """This try, by Airflow's counters."""
        ti, run = self.context["ti"], self.context.get("dag_run")
        return Attempt(
            max_tries=ti.max_tries,
            try_number=ti.try_number,
            retries=self.task.retries or 0,
            clear_number=getattr(run, "clear_number", 0) or 0,
        )

    def push(self, key: str, value: Any) -> None:
        """Push an XCom."""
        self.context["ti"].xcom_push(key=key, value=value)

    def next_try(self) -> str:
        """What becomes of what is paid, for people."""
        if self.store.outlives_a_try:
            return 'a retry takes it up; so does a clear with on_clear="reuse"'
        return "this Airflow keeps no record of it; a retry searches the account for it before it pays"

    def _refuse_a_record_that_success_removes(self) -> None:
        if not self.store.outlives_a_try or self.task.on_clear != "reuse":
            return
        from airflow.providers.common.compat.sdk import conf

        if conf.getboolean("state_store", "clear_on_success", fallback=False):
            raise InvalidInputError(
                "on_clear",
                "reuse",
                "this Airflow removes the record of a task that succeeds ([state_store] clear_on_success), so a clear would "
                "find nothing to reuse and pay again",
                'Set clear_on_success to False, or use on_clear="resubmit".',
            )

    def _order(self, request: PaidRequest) -> Order:
        hook, settings = self.task.hook, self.task.hook.settings
        attempt = self.attempt()
        timing = timing_of(self.context, attempt, self.task.retry_delay)
        return Order(
            request=request,
            prepare=lambda: request,
            fingerprint=request.fingerprint(self.task.seedream_conn_id),
            attempt=attempt,
            began_at=timing.run_began_at,
            tried_at=timing.tried_at,
            quiet_since=timing.quiet_since,
            price=lambda: hook.price(request) if self.task.price_source == "api" else request.cost_usd,
            check_budget=lambda cost_usd, spent_usd: check(cost_usd, self._ceilings(spent_usd)),
            source=settings.source,
            origin=settings.endpoint.origin,
            timeout=self.task.timeout,
            answer_timeout=answer_timeout(settings.endpoint, request),
            texts_vary=self.task.texts_vary,
        )

    def _ceilings(self, spent_usd: float) -> Iterator[Ceiling]:
        settings = self.task.hook.settings
        connection = f"in the extra of connection {self.task.seedream_conn_id}"
        earlier = "that earlier submissions of this task cost, or may have"
        own = parse_usd("max_cost", given("max_cost", self.task.max_cost))
        yield Ceiling(own, "max_cost of this task", spent_usd, earlier)
        yield Ceiling(settings.max_cost, f"max_cost {connection}", spent_usd, earlier)
        if settings.max_cost_per_day is not None:
            today = self.task.hook.spent_today()
            yield Ceiling(
                settings.max_cost_per_day, f"max_cost_per_day {connection}", today, "spent today (UTC)"
            )

    def _submitter(self) -> Submitter:
        return Submitter(
            api=self.task.hook,
            store=self.store,
            on_clear=self.task.on_clear,
            on_lost_submission=self.task.on_lost_submission,
            claimed=lambda: claimed(self.context, self.task),
            claim=self._claim,
            tell=self._tell_what_is_lost,
            rivals=lambda: lost_by_others(self.context, self.task),
            kill=self.task.kill,
            clear=how_to_clear(),
        )

    def _claim(self, prediction_id: str) -> bool:
        """Say first, then see whether another task said the same: of two that do, one at most goes on."""
        self.push(CLAIM, prediction_id)
        if claimed(self.context, self.task).count(prediction_id) <= 1:
            return True
        self.push(CLAIM, None)
        return False

    def _tell_what_is_lost(self, record: SubmissionRecord | None) -> None:
        """Let other tasks of the run know when a submission of this one was lost; ``None``: it is lost no more."""
        own = [name_of(self.context), record.intent_at, record.arrives_by] if record is not None else None
        self.push(LOST, own)

    def _come_back_in(self, seconds: float) -> None:
        from airflow.providers.common.compat.standard.triggers import TimeDeltaTrigger

        # Not sooner than the scheduler can have read that the task deferred; see FIRST_LOOK. Twice that: a turn to submit
        # comes by the minute, and many tasks that wait for one keep the scheduler busy.
        pause = dt.timedelta(seconds=max(2 * FIRST_POLL, seconds))
        self.task.defer(trigger=TimeDeltaTrigger(pause), method_name="execute_postponed")

    def _tell_what_is_paid(self, error: Exception, *, for_good: bool) -> None:
        try:
            record = self.store.read()
            if record is None and self.store.outlives_a_try and self.attempt().first:
                # So that a retry need not search the account for what this try may have paid.
                self.store.write(SubmissionRecord.nothing(self.attempt()))
            if record is not None:
                self.push(SPENT, record.may_be_spent_usd)
                if record.prediction_id is not None:
                    self.push(CLAIM, record.prediction_id)
                if for_good:
                    self._mark_given_up(record)
        except Exception:
            self.task.log.exception("The submission record could not be read.")
            return
        if record is not None and record.prediction_id and record.prediction_id not in str(error):
            paid = (record.prediction_id, record.cost_usd, self.next_try())
            self.task.log.error("Prediction %s is paid ($%g); %s.", *paid)


def answer_timeout(endpoint: Endpoint, request: PaidRequest) -> float:
    """Seconds that the paying request may take, from its first attempt to connect to its answer."""
    return endpoint.connect_timeout + (operations.submission_timeout(request) or endpoint.read_timeout)
