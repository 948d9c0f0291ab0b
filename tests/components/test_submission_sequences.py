"""Whatever happens in whatever order, nothing is paid beside a prediction that may still bring its pictures."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from airflow_provider_seedream.submission import (
    GiveUp,
    Paid,
    Recover,
    RetryLater,
    Submission,
    Submit,
    Terms,
    Timing,
    recovery,
    submission,
)
from airflow_provider_seedream.submission.attempt import Attempt
from airflow_provider_seedream.submission.claims import Others
from airflow_provider_seedream.submission.record import SubmissionRecord
from airflow_provider_seedream.submission.run import Moments
from airflow_provider_seedream.wavespeed import (
    ApiConnectionError,
    ApiTimeoutError,
    BadRequestError,
    ImageSetRequest,
    InternalServerError,
    LostSubmissionError,
    NotFoundError,
    PollRejectedError,
    Prediction,
    PredictionFailedError,
    RateLimitError,
    RequestChangedError,
    Status,
)
from airflow_provider_seedream.wavespeed.errors import Failure

FATES = (
    "accepted",
    "accepted, answer lost",
    "accepted, gateway error",
    "accepted, worker killed",
    "never arrived, no answer",
    "never arrived, gateway error",
    "worker killed before",
    "not connected",
    "not connected now",
    "rate limited",
    "refused",
)
READS = ("answered", "answered", "no answer", "rate limit")
ENDINGS = ("completed", "failed", "failed in passing", "cancelled", "timeout", "deleted", "forgotten")
TIMEOUT = 3600.0
FAILED = (Status.FAILED, Status.CANCELLED, Status.TIMEOUT, Status.DELETED)


class KilledError(BaseException):
    """Stands for SIGKILL."""


@dataclass
class World:
    """The vendor, the clock and the record, as one task instance meets them."""

    now: float = 1_000_000.0
    fate: str = "accepted"
    read: str = "answered"
    generation: int = 1
    max_tries: int = 1
    cleared_in_doubt: bool = False
    prompt: str = "a fox"
    asked_for: str = ""
    predictions: dict[str, Prediction] = field(default_factory=dict)
    generations: dict[str, int] = field(default_factory=dict)
    record: SubmissionRecord | None = None
    recorded: str | None = None
    beside: list[str] = field(default_factory=list)

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def may_still_come(self, prompt: str) -> list[str]:
        """What must not be paid beside.

        A prediction of this generation that is not known to have failed; and the one on record, from before a clear,
        that runs and is for the same request.
        """
        return [
            each.id
            for each in self.predictions.values()
            if (self.generations[each.id] == self.generation and each.status not in FAILED)
            or (each.id == self.recorded and not each.status.ended and each.input == {"prompt": prompt})
        ]

    def submit(self, request: ImageSetRequest, *, send_by: float, stopped: Callable[[], bool]) -> Prediction:
        self.asked_for = request.prompt
        if self.fate == "worker killed before":
            raise KilledError
        if self.fate == "not connected":
            raise ApiConnectionError("x")
        if self.fate == "not connected now":
            raise ApiConnectionError("x", failure=Failure.UNREACHABLE)
        if self.fate == "rate limited":
            raise RateLimitError("x", code=429, retry_after=30.0)
        if self.fate == "refused":
            raise BadRequestError("x", code=400)
        if self.fate == "never arrived, no answer":
            raise ApiTimeoutError("x")
        if self.fate == "never arrived, gateway error":
            raise InternalServerError("x", code=502)
        self.beside += self.may_still_come(request.prompt)
        prediction = Prediction(
            f"p{len(self.predictions)}",
            model=request.model,
            status=Status.PROCESSING,
            status_word="processing",
            created_at=dt.datetime.fromtimestamp(self.now, dt.UTC).isoformat(),
            input={"prompt": request.prompt},
        )
        self.predictions[prediction.id] = prediction
        self.generations[prediction.id] = self.generation
        if self.fate == "accepted, worker killed":
            raise KilledError
        if self.fate == "accepted, answer lost":
            raise ApiTimeoutError("x")
        if self.fate == "accepted, gateway error":
            raise InternalServerError("x", code=504)
        return prediction

    def prediction(self, prediction_id: str, *, attempts: int = 5) -> Prediction:
        self._may_fail()
        found = self.predictions[prediction_id]
        if found.status_word == "forgotten":
            raise NotFoundError("x", code=404)
        return found

    def predictions_listed(self, **_: object) -> list[Prediction]:
        self._may_fail()
        return [each for each in self.predictions.values() if each.status_word != "forgotten"]

    def _may_fail(self) -> None:
        if self.read == "no answer":
            raise ApiTimeoutError("x")
        if self.read == "rate limit":
            raise RateLimitError("x", code=429, retry_after=60.0)


class Sequences(RuleBasedStateMachine):
    """One task instance under ``on_lost_submission="fail"``; subclasses try the other policies."""

    policy = "fail"
    answer_name = "answer"
    own = "own"

    def __init__(self) -> None:
        super().__init__()
        # What a try keeps on this machine is of one task instance.
        self.own = uuid.uuid4().hex
        self.world = World()
        self._usual_time, self._usual_steady = submission.time, submission.steady
        submission.time = recovery.time = self.world  # type: ignore[assignment]
        submission.steady = self.world.time

    def teardown(self) -> None:
        submission.time = recovery.time = self._usual_time
        submission.steady = self._usual_steady

    def place(self, key: str) -> str:
        return key

    def answer(self) -> None:
        return None

    def get(self, key: str) -> Any:
        return None if self.world.record is None else self.world.record.to_json()

    def set(self, key: str, value: Any) -> None:
        self.world.record = record = SubmissionRecord.from_json(value)
        self.world.recorded = record.prediction_id or self.world.recorded

    @rule(fate=st.sampled_from(FATES), read=st.sampled_from(READS), comes_back=st.booleans())
    def a_try(self, fate: str, read: str, comes_back: bool) -> None:
        self.world.fate, self.world.read = fate, read
        if self.world.record is not None and self.world.record.outcome_unknown:
            self.world.recorded = None
        request = ImageSetRequest.build(prompt=self.world.prompt)
        api = SimpleNamespace(
            submit=self.world.submit,
            prediction=self.world.prediction,
            predictions=self.world.predictions_listed,
            clock_ahead=0.0,
            client=SimpleNamespace(left_at=self.world.now, clock_hint=0.0),
            settings=SimpleNamespace(
                source="c", endpoint=SimpleNamespace(origin="o", account="a", connect_timeout=0.0)
            ),
        )
        claims = SimpleNamespace(
            others=lambda _: Others(),
            claim_alone=lambda *_: True,
            expect=lambda _: None,
            report_lost=lambda _: None,
        )
        terms = Terms(
            conn_id="c",
            attempt=Attempt(self.world.max_tries),
            moments=Moments(0.0, self.world.now, self.world.now),
            on_clear="resubmit",
            on_lost_submission=self.policy,  # type: ignore[arg-type]
            timeout=TIMEOUT,
        )
        one = Submission(self, api, claims, terms, timing=Timing(answer_within=60.0))  # type: ignore[arg-type]
        pauses = 3 if comes_back else 0
        try:
            step = one.decide(request)
            while not isinstance(step, Paid):
                match step:
                    case Submit(because):
                        step = one.pay(request, because, cost_usd=0.035)
                    case Recover():
                        step = one.recover(request)
                    case RetryLater(seconds):
                        if not pauses:
                            return
                        pauses -= 1
                        self.world.sleep(seconds)
                        one.reopen()
                        step = one.decide(request)
                    case GiveUp(error):
                        raise error
                    case _:
                        step = one.resume(request, step)
        except (KilledError, ApiTimeoutError, ApiConnectionError, RateLimitError, BadRequestError):
            return
        except (LostSubmissionError, PollRejectedError, PredictionFailedError, RequestChangedError):
            return
        if isinstance(step, Paid):
            assert self.world.record is not None
            assert self.world.record.prediction_id == step.prediction_id, (
                "what a try goes on with is recorded"
            )

    @precondition(lambda self: self.world.predictions)
    @rule(ending=st.sampled_from(ENDINGS), data=st.data())
    def a_prediction_ends(self, ending: str, data: st.DataObject) -> None:
        running = [each for each in self.world.predictions.values() if not each.status.ended]
        if not running:
            return
        ended = data.draw(st.sampled_from(running))
        code = 5000 if ending == "failed in passing" else 1200 if ending == "failed" else None
        word = {"failed in passing": "failed", "forgotten": "deleted"}.get(ending, ending)
        shown = ending if ending == "forgotten" else word
        self.world.predictions[ended.id] = replace(ended, status=Status(word), status_word=shown, code=code)

    @rule()
    def a_person_clears_the_task(self) -> None:
        # A clear means "pay again" only where the set came, where an error showed what may be paid, or for another request.
        record = self.world.record
        self.world.max_tries += 1
        in_doubt = record is not None and record.outcome_unknown and not record.reported
        if in_doubt and self.world.asked_for == self.world.prompt:
            self.world.cleared_in_doubt = True
        else:
            self.world.generation += 1
            self.world.cleared_in_doubt = False

    @rule(prompt=st.sampled_from(["a fox", "an owl"]))
    def the_prompt_changes(self, prompt: str) -> None:
        if self.world.cleared_in_doubt and prompt != self.world.prompt:
            # A clear, and another request: a person gave up what may be paid for the one before.
            self.world.generation += 1
            self.world.cleared_in_doubt = False
        self.world.prompt = prompt

    @rule(seconds=st.sampled_from([1.0, 100.0, 10_000.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.sleep(seconds)

    @invariant()
    def nothing_was_paid_beside_a_prediction_that_may_still_come(self) -> None:
        assert self.world.beside == []


class AdoptingSequences(Sequences):
    policy = "adopt"


class ResubmittingSequences(Sequences):
    policy = "resubmit"


_settings = settings(max_examples=400, stateful_step_count=25, deadline=None)
TestSequences = Sequences.TestCase
TestSequences.settings = _settings
TestAdoptingSequences = AdoptingSequences.TestCase
TestAdoptingSequences.settings = _settings
TestResubmittingSequences = ResubmittingSequences.TestCase
TestResubmittingSequences.settings = _settings
