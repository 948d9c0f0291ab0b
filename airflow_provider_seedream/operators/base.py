"""What operators that pay have in common: at most one submission, within the ceilings, and named in every error."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_seedream import submission as paying
from airflow_provider_seedream import xcom
from airflow_provider_seedream.hooks.seedream import SeedreamHook
from airflow_provider_seedream.operators import worker
from airflow_provider_seedream.operators.arguments import lasting_errors_fail_at_once, reject_blank
from airflow_provider_seedream.operators.templates import RendersOnlyWhatTheAuthorWrote
from airflow_provider_seedream.wavespeed.errors import ApiError, BudgetExceededError, LostSubmissionError
from airflow_provider_seedream.wavespeed.validation import parse_usd

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_seedream.options import OnClear, OnLostSubmission, PriceSource
    from airflow_provider_seedream.submission import Paid, Step, Submission
    from airflow_provider_seedream.wavespeed.request import PaidRequest


@dataclass(frozen=True, slots=True)
class Ceiling:
    """One amount that a submission must not exceed.

    :param usd: the amount; ``None`` sets no limit.
    :param set_by: where a person finds it.
    :param spent_usd: what counts towards it already.
    :param spent_on: what that was spent on.
    """

    usd: float | None
    set_by: str
    spent_usd: float = 0.0
    spent_on: str = ""


class PayingOperator(RendersOnlyWhatTheAuthorWrote):
    """An operator that may pay for a prediction, which nothing can cancel."""

    seedream_conn_id: str
    deferrable: bool
    timeout: float
    price_source: PriceSource
    max_cost: float | str | None
    on_clear: OnClear
    on_lost_submission: OnLostSubmission

    texts_vary: ClassVar[bool] = False
    """Whether each try may write another prompt."""

    siblings: Sequence[str] = ()
    """Other tasks that may have asked for the very same: what they did is not this one's lost submission."""

    timing: ClassVar[paying.Timing | None] = None
    """How long a submission waits for what; ``None``: as long as :class:`~.submission.Timing` says."""

    killed = False
    _stopped = False
    """Whether a person answered the form by stopping."""

    _submission: Submission | None = None

    @cached_property
    def hook(self) -> SeedreamHook:
        """The hook of this task's connection."""
        inline = getattr(self, "enable_base64_output", False)
        return SeedreamHook(self.seedream_conn_id, inline_images=inline)

    def on_kill(self) -> None:
        """Send nothing any more that pays, and log what was sent: the API cannot cancel it, and a retry resumes it."""
        self.killed = True
        sent = self._submission.kill() if self._submission is not None else "Nothing was sent that pays"
        self.log.warning("Killed. %s.", sent)

    def _store(self, context: Context) -> paying.TaskStore:
        return paying.TaskStore(context, self.task_id, lambda: self.hook.settings.endpoint.api_key)

    def _open(self, context: Context, *, resumed: bool = False) -> Submission:
        """The submission of this try.

        :param resumed: whether this continues a try after a deferral.
        """
        self._submission = paying.Submission(
            self._store(context),
            self.hook,
            paying.Claims(context, self._paying_tasks()),
            paying.Terms.of(
                context,
                conn_id=self.seedream_conn_id,
                retries=self.retries,
                retry_delay=self._least_retry_delay,
                on_clear=self.on_clear,
                on_lost_submission="fail" if self.on_lost_submission == "ask" else self.on_lost_submission,
                asks=self._asks,
                timeout=self.timeout,
                texts_vary=self.texts_vary,
            ),
            resumed=resumed,
            timing=self.timing,
        )
        self._submission.killed = self.killed
        return self._submission

    def _pay_once(self, request: PaidRequest, submission: Submission, context: Context) -> Paid:
        """A prediction for the request: paid for now, or by an earlier try. Defers until it is our turn to submit.

        :raises PredictionFailedError: if the earlier one failed in a way that submitting again would not cure.
        :raises LostSubmissionError: if something may be paid that cannot be found or identified.
        :raises RequestChangedError: if an earlier try paid for another request.
        :raises AccountChangedError: if an earlier try paid with a key from elsewhere.
        :raises BudgetExceededError: if a ceiling would be exceeded.
        :raises ApiConnectionError: if the API cannot be reached for minutes, or for a cause that no wait cures.
        """
        before = submission.record
        with worker.Resumption(type(self).__name__, before).traced() as resumption:
            step: Step = submission.decide(request)
            while not isinstance(step, paying.Paid):
                match step:
                    case paying.Submit(because):
                        try:
                            cost_usd = self._price(request)
                            self._check_budget(cost_usd, submission.spent_usd)
                            request = self._prepared(request, context)
                        except ApiError as error:
                            step = submission.put_off(request, error)
                        else:
                            step = submission.pay(request, because, cost_usd=cost_usd)
                    case paying.Resume() | paying.Collect():
                        step = submission.resume(request, step)
                    case paying.Recover():
                        step = self._recovered(submission, request, context)
                    case paying.RetryLater(seconds):
                        self._pause(seconds)
                        submission.reopen()
                        step = submission.decide(request)
                    case paying.GiveUp(error):
                        raise error
            resumption.decided(step.prediction_id, ended=step.ended)
        record = submission.record
        cost_usd = record.cost_usd if record else request.cost_usd
        if before is None or before.prediction_id != step.prediction_id:
            self._metrics.submitted(request.model, cost_usd)
        submission.billed(step.prediction_id, cost_usd)
        submission.claims.claim(step.prediction_id, record.earlier if record else ())
        self._push(context, xcom.SPENT_USD, record.may_be_spent_usd if record else cost_usd)
        return step

    def _recovered(
        self, submission: Submission, request: PaidRequest, context: Context
    ) -> Paid | paying.RetryLater | paying.Submit:
        try:
            return submission.recover(request)
        except LostSubmissionError as error:
            if not self._asks or error.question is None:
                raise
            worker.ask(self, context, error.question)
        # Nobody is asked: the error says what a person can do, and is known to have said it.
        submission.terms = replace(submission.terms, asks=False)
        return submission.recover(request)

    def execute_answered(self, context: Context, event: Any) -> Any:
        """Continue after a person answered the form about a lost submission.

        :param event: the answer.
        """
        said = worker.said(event)
        who = (event.get("responded_by_user") or {}).get("name")
        self.log.info(
            "The form about the lost submission is answered by %.100r: %.100r.", who, said or "stop"
        )
        if said is None:
            self._stopped = True
        else:
            self._store(context).keep_answer(said)
        return self.execute_postponed(context)

    def execute_postponed(self, context: Context, event: Any = None) -> Any:
        """Continue after a pause that held no worker."""
        raise NotImplementedError

    @property
    def _asks(self) -> bool:
        return self.on_lost_submission == "ask" and not self._stopped

    def _price(self, request: PaidRequest) -> float:
        return self.hook.price(request) if self.price_source == "api" else request.cost_usd

    def _prepared(self, request: Any, context: Context) -> Any:
        """The request as it is sent. Asked for only where it is about to be paid."""
        return request

    def _check_budget(self, cost_usd: float, spent_usd: float) -> None:
        """Refuse a price that, with what this task spent before, is over any ceiling.

        :raises BudgetExceededError: naming the price, the ceiling and where it was set.
        """
        check(cost_usd, self._ceilings(spent_usd))

    def _ceilings(self, spent_usd: float) -> Iterator[Ceiling]:
        own = parse_usd("max_cost", reject_blank("max_cost", self.max_cost))
        return ceilings(self.hook, own, "max_cost of this task", spent_usd=spent_usd)

    def _pause(self, seconds: float) -> None:
        if not self.deferrable:
            time.sleep(seconds)
            return
        # Not sooner than the scheduler can have read that the task deferred; see FIRST_POLL. Twice that: a turn to submit
        # comes by the minute, and many tasks that wait for one keep the scheduler busy.
        pause = dt.timedelta(seconds=max(2 * worker.FIRST_POLL, seconds))
        self.defer(trigger=worker.TimeDeltaTrigger(pause), method_name="execute_postponed")

    @contextmanager
    def _errors_name_what_is_paid(
        self, submission: Submission, context: Context, *, may_pay: bool = True
    ) -> Iterator[None]:
        """See to it that no error hides what is paid, not even from other tasks, and that no retry burns time where it
        cannot help.

        :param may_pay: whether this task pays as it is set now.
        """
        try:
            with lasting_errors_fail_at_once(), self._errors_counted():
                if not submission.resumed and (may_pay or not submission.terms.attempt.first):
                    # First of all: whatever ends this try, other tasks must not take what it paid for.
                    submission.repeat_claims()
                yield
        except Exception as error:
            self._report_what_is_paid(error, submission, context)
            raise

    @contextmanager
    def _errors_counted(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self._metrics.failed(error)
            raise

    def _report_what_is_paid(self, error: Exception, submission: Submission, context: Context) -> None:
        try:
            record = submission.record
            if record is not None:
                self._push(context, xcom.SPENT_USD, record.may_be_spent_usd)
                if record.prediction_id is not None:
                    submission.claims.claim(record.prediction_id, record.earlier)
            submission.failed(for_good=isinstance(error, AirflowFailException))
        except Exception:
            self.log.exception("The submission record could not be read or written.")
            return
        if record is not None and record.prediction_id and record.prediction_id not in str(error):
            paid = (record.prediction_id, record.cost_usd, paying.NEXT_TRY)
            self.log.error("Prediction %s is paid ($%g); %s.", *paid)

    def _paying_tasks(self) -> list[str]:
        """This task, its siblings, and all tasks of the DAG that may pay."""
        own = [self.task_id, *self.siblings]
        if not self.has_dag():  # type: ignore[no-untyped-call]
            return own
        others = (
            each.task_id
            for each in self.dag.tasks
            if issubclass(getattr(each, "operator_class", type(each)), PayingOperator)
        )
        return list(dict.fromkeys((*own, *others)))

    @property
    def _least_retry_delay(self) -> dt.timedelta:
        """How long after the end of a try the next one begins, or longer."""
        if getattr(self, "retry_policy", None) is not None:
            return dt.timedelta()  # it may say anything
        longest: Any = self.max_retry_delay  # Airflow makes a timedelta of a number
        return min(self.retry_delay, longest or self.retry_delay)

    @property
    def _metrics(self) -> worker.Metrics:
        return worker.Metrics(self.seedream_conn_id)

    @staticmethod
    def _push(context: Context, key: str, value: Any) -> None:
        context["ti"].xcom_push(key=key, value=value)

    def _pull(self, context: Context, key: str) -> Any:
        """What this very task instance pushed."""
        ti = context["ti"]
        return ti.xcom_pull(task_ids=self.task_id, key=key, map_indexes=ti.map_index)


def ceilings(
    hook: SeedreamHook, own: float | None, set_by: str, *, spent_usd: float = 0.0
) -> Iterator[Ceiling]:
    """Every ceiling of a submission. Asks the API where the connection has one for the day.

    :param own: the submission's own, in USD; ``None``: it has none.
    :param set_by: where a person finds that one.
    :param spent_usd: what earlier submissions of the same task cost, or may have.
    """
    settings = hook.settings
    connection = f"in the extra of connection {hook.seedream_conn_id}"
    earlier = "that earlier submissions of this task cost, or may have"
    yield Ceiling(own, set_by, spent_usd, earlier)
    yield Ceiling(settings.max_cost, f"max_cost {connection}", spent_usd, earlier)
    if settings.max_cost_per_day is not None:
        today = hook.spent_today()
        yield Ceiling(settings.max_cost_per_day, f"max_cost_per_day {connection}", today, "spent today (UTC)")


def check(cost_usd: float, ceilings: Iterable[Ceiling]) -> None:
    """Refuse a price that, with what was spent before, is over any ceiling.

    :raises BudgetExceededError: naming the price, the ceiling and where it was set.
    """
    for ceiling in ceilings:
        if ceiling.usd is not None and cost_usd + ceiling.spent_usd > ceiling.usd + 1e-9:
            before = f", and ${ceiling.spent_usd:g} {ceiling.spent_on}" if ceiling.spent_usd else ""
            raise BudgetExceededError(
                f"This submission costs ${cost_usd:g}{before}: over the ceiling of ${ceiling.usd:g} set by "
                f"{ceiling.set_by}. Nothing was sent. Ask for less, or raise the ceiling."
            )
