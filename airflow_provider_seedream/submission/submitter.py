"""Pays for an image set at most once."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from airflow_provider_seedream.submission import lost
from airflow_provider_seedream.submission.record import (
    Changed,
    Collect,
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
    LostSubmissionError,
    RequestChangedError,
    rule_of,
)

if TYPE_CHECKING:
    from airflow_provider_seedream.submission.store import SubmissionStore
    from airflow_provider_seedream.wavespeed.image_set import ImageSetRequest
    from airflow_provider_seedream.wavespeed.prediction import Prediction

log = logging.getLogger(__name__)

SEARCHES = (0.0, 5.0, 10.0)
"""Seconds before each search for a lost submission: the API may list a new prediction late (API reference 4.1)."""

SUBMISSION_MAY_TAKE = 300.0
"""Seconds after which a paying request can no longer arrive; longer than any of our time-outs with its attempts."""


class Api(Protocol):
    """The calls that the submitter needs; the hook has them."""

    def submit(self, request: ImageSetRequest) -> Prediction:
        """Submit an image set. This pays."""

    def prediction(self, prediction_id: str) -> Prediction:
        """Look at a prediction."""

    def predictions(
        self, *, model: str, created_after: datetime, created_before: datetime
    ) -> list[Prediction]:
        """The predictions of a model within a window of time."""


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

    def obtain(
        self,
        request: ImageSetRequest,
        *,
        fingerprint: str,
        generation: int,
        cost_usd: float,
        timeout: float,
        check_budget: Callable[[], None],
    ) -> Prediction:
        """A prediction for the request: a new one, or the one that an earlier try paid for.

        :param fingerprint: of all that is billed.
        :param generation: this try's count of clears.
        :param cost_usd: the price.
        :param timeout: seconds to wait for the pictures.
        :param check_budget: raises where the price is over a ceiling; asked only before paying.
        :raises PredictionFailedError: if the earlier one failed in a way that submitting again would not cure.
        :raises LostSubmissionError: if something may be paid that cannot be found or told apart.
        :raises RequestChangedError: if an earlier try paid for another request.
        """
        record = self.store.read() if self.store.outlives_a_try else None
        decision = decide(record, fingerprint=fingerprint, generation=generation, on_clear=self.on_clear)
        if isinstance(decision, Look):
            decision = decide(
                record,
                fingerprint=fingerprint,
                generation=generation,
                on_clear=self.on_clear,
                prediction=self.api.prediction(decision.prediction_id),
            )
        match decision:
            case Submit(because):
                check_budget()
                return self._submit(request, fingerprint, generation, cost_usd, timeout, because)
            case Resume(prediction) | Collect(prediction):
                log.info(
                    "Prediction %s (%s, $%g) was paid for by an earlier try; taking it up again.",
                    prediction.id,
                    prediction.status_word,
                    cost_usd,
                )
                self._go_on(record, prediction, generation, timeout)
                return prediction
            case GiveUp(prediction):
                raise prediction.failure()
            case Lost(intent):
                return self._recover(intent, request, generation, timeout, check_budget)
            case Changed(earlier):
                raise _changed(earlier)
            case Look():
                raise AssertionError("decide() asked to look twice")

    def _submit(
        self,
        request: ImageSetRequest,
        fingerprint: str,
        generation: int,
        cost_usd: float,
        timeout: float,
        because: str,
    ) -> Prediction:
        now = time.time()
        intent = SubmissionRecord(
            phase=Phase.INTENT,
            fingerprint=fingerprint,
            generation=generation,
            cost_usd=cost_usd,
            intent_at=now,
            arrives_by=now + SUBMISSION_MAY_TAKE,
        )
        log.info(
            "Submitting %d image(s) of %s to %s for $%g: %s.",
            request.max_images,
            request.size,
            request.model,
            cost_usd,
            because,
        )
        self.store.write(intent)
        try:
            prediction = self.api.submit(request)
        except ApiError as error:
            if rule_of(error).arrival is not Arrival.UNKNOWN:
                self.store.forget()
                raise
            log.warning("%s The submission may have been accepted and is not sent again.", error)
            return self._recover(intent, request, generation, timeout, None)
        self._keep(intent, prediction, timeout)
        log.info(
            "Prediction %s was submitted: %d image(s), $%g.", prediction.id, request.max_images, cost_usd
        )
        return prediction

    def _keep(self, record: SubmissionRecord, prediction: Prediction, timeout: float) -> None:
        now = time.time()
        self.store.write(record.submitted(prediction.id, at=now, deadline=now + timeout))

    def _go_on(
        self, record: SubmissionRecord | None, prediction: Prediction, generation: int, timeout: float
    ) -> None:
        assert record is not None  # noqa: S101 - nothing can be resumed without one
        now = time.time()
        deadline = record.deadline if record.deadline and record.deadline > now else now + timeout
        self.store.write(record.continued(generation=generation, deadline=deadline))

    def _recover(
        self,
        intent: SubmissionRecord,
        request: ImageSetRequest,
        generation: int,
        timeout: float,
        check_budget: Callable[[], None] | None,
    ) -> Prediction:
        found = self._search(intent, request)
        if self.on_lost_submission == "adopt" and len(found) == 1:
            adopted = found[0]
            self._keep(intent, adopted, timeout)
            log.warning("Prediction %s was taken for the lost submission.", adopted.id)
            return adopted
        if self.on_lost_submission == "resubmit" and not found and check_budget is not None:
            check_budget()
            return self._submit(
                request,
                intent.fingerprint,
                generation,
                intent.cost_usd,
                timeout,
                "a lost submission was not found",
            )
        raise _lost(intent, request, found, self.on_lost_submission)

    def _search(self, intent: SubmissionRecord, request: ImageSetRequest) -> list[Prediction]:
        created_after, created_before = lost.window(intent)
        found: list[Prediction] = []
        for pause in SEARCHES:
            time.sleep(pause)
            listed = self.api.predictions(
                model=request.model, created_after=created_after, created_before=created_before
            )
            found = lost.candidates(listed, inputs=request.inputs(), claimed=self.claimed())
            if found:
                break
        return found


def _lost(
    intent: SubmissionRecord, request: ImageSetRequest, found: list[Prediction], policy: OnLostSubmission
) -> LostSubmissionError:
    since = datetime.fromtimestamp(intent.intent_at, UTC).strftime("%H:%M:%SZ")
    listed = ", ".join(f"{each.id} ({each.status_word}, created {each.created_at})" for each in found)
    return LostSubmissionError(
        f"A submission of {request.max_images} image(s) (${intent.cost_usd:g}) got no answer; it may have been accepted. "
        f"Not sent again. Candidates since {since}: {listed or 'none seen'}. on_lost_submission={policy!r}. "
        'Set it to "adopt" to take a single candidate, or clear the task to make a new image set.',
        transient=policy != "fail",
    )


def _changed(earlier: SubmissionRecord) -> RequestChangedError:
    what = (
        f"prediction {earlier.prediction_id}" if earlier.prediction_id else "a submission without an answer"
    )
    return RequestChangedError(
        f"An earlier try paid ${earlier.cost_usd:g} for {what}, for another request than this try would make (model, "
        "prompt, size, count, format or connection differ). Nothing was sent. A prompt that changes with each try "
        "does this. Clear the task to make a new image set."
    )
