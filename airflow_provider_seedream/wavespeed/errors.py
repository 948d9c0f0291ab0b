"""The error classes of the WaveSpeedAI API, and the one table that classifies answers and failures.

WaveSpeedError
  + InvalidInputError
  + ApiError
    + BadRequestError
    + AuthenticationError
    + InsufficientBalanceError
    + PermissionDeniedError
    + NotFoundError
    + RateLimitError
    + InternalServerError
    + ApiConnectionError
    + ApiTimeoutError
    + InvalidResponseError
      + OversizedAnswerError
  + PredictionFailedError
  + PredictionTimeoutError
  + PollRejectedError
  + PollInterruptedError
  + ConnectionUnusableError
  + LostSubmissionError
  + RequestChangedError
  + AccountChangedError
  + BudgetExceededError
  + DeliveryError
  + UnusableEnhancementError
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any


class WaveSpeedError(Exception):
    """Root of every error this package raises.

    ``transient`` says whether trying again may help without anything being fixed first.
    """

    transient: bool = False


class InvalidInputError(WaveSpeedError, ValueError):
    """An input that is refused before anything is sent, hence before anything is paid.

    :param field: name of the parameter, as the user wrote it.
    :param value: what was given.
    :param allowed: the rule it breaks, with the allowed range.
    :param way_out: what to write instead.
    :param transient: whether the next try may get another value.
    """

    def __init__(
        self, field: str, value: object, allowed: str, way_out: str, *, transient: bool = False
    ) -> None:
        shown = repr(value[:200] if isinstance(value, str) else value)
        if len(shown) > 120:
            shown = f"{shown[:117]}..."
        super().__init__(f"{field}={shown} is refused: {allowed}. {way_out}")
        self.field = field
        self.value = value
        self.allowed = allowed
        self.way_out = way_out
        self.transient = transient

    def for_another_try(self) -> InvalidInputError:
        """The same error, where the next try may get another value."""
        return InvalidInputError(self.field, self.value, self.allowed, self.way_out, transient=True)


class ApiError(WaveSpeedError):
    """A call that the API did not answer with success.

    :param message: what happened, for people.
    :param status: HTTP status, or ``None`` where there was no answer.
    :param code: the code that was classified: the envelope's where it differs from the HTTP status.
    :param retry_after: seconds the server asked to wait, or ``None``.
    :param prediction_id: the prediction that an answer to a submission names although it is no success.
    :param failure: how the call ended without an answer, where it did.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: int | None = None,
        retry_after: float | None = None,
        prediction_id: str | None = None,
        failure: Failure | None = None,
    ) -> None:
        super().__init__(message)
        self.failure = failure
        self.prediction_id = prediction_id
        self.status = status
        self.code = code
        self.retry_after = retry_after


class BadRequestError(ApiError):
    """The API refused the request's content."""


class AuthenticationError(ApiError):
    """The API key is missing, wrong or not active (401)."""


class InsufficientBalanceError(ApiError):
    """The account cannot pay (402)."""


class PermissionDeniedError(ApiError):
    """The account or the key's role may not do this (403; at times also an exhausted balance)."""


class NotFoundError(ApiError):
    """No such model or prediction (404)."""


class RateLimitError(ApiError):
    """Too many requests (429): certainly refused, so sending again pays nothing twice."""

    transient = True


class InternalServerError(ApiError):
    """The server or its gateway failed (5xx); what became of the request is not known."""

    transient = True


class ApiConnectionError(ApiError):
    """No connection came about, so the request certainly did not arrive."""

    transient = True


class ApiTimeoutError(ApiError):
    """The request left but no answer came (time-out, dropped connection)."""

    transient = True


class InvalidResponseError(ApiError):
    """An answer came that is not the API's (a gateway page, a redirect, cut-off JSON)."""

    transient = True


class OversizedAnswerError(InvalidResponseError):
    """An answer that was not read to its end, for it is larger than what was asked for can be."""


class PredictionFailedError(WaveSpeedError):
    """A prediction ended without images.

    :param prediction_id: the prediction.
    :param status: the status it ended in, in the API's word.
    :param code: the task code of API reference section 8.3, or ``None``.
    :param error: the API's own text.
    """

    def __init__(self, prediction_id: str, status: str, code: int | None, error: str) -> None:
        meaning, self.transient = task_code(code, status)
        super().__init__(
            f"Prediction {prediction_id} ended as {status}"
            f"{f' (code {code}: {meaning})' if code else ''}: {(error or 'no reason given').rstrip('.')}."
        )
        self.prediction_id = prediction_id
        self.status = status
        self.code = code


class PredictionTimeoutError(WaveSpeedError):
    """We stopped waiting; the prediction may still succeed and stays paid."""

    transient = True


class PollRejectedError(WaveSpeedError):
    """The API refuses to show a paid prediction (401, 403, 404): polling again would not change that."""


class PollInterruptedError(WaveSpeedError):
    """Polling a paid prediction was interrupted on our side; a retry resumes it where the record lasts."""

    def __init__(self, message: str, *, transient: bool = True) -> None:
        super().__init__(message)
        self.transient = transient


class ConnectionUnusableError(WaveSpeedError):
    """The Airflow connection is missing or makes no sense where a paid prediction is waited for."""


class LostSubmissionError(WaveSpeedError):
    """A paying request whose outcome is not known. It is never sent again by itself.

    :param transient: whether a later search for it may do better.
    :param question: what a form asks a person about it; ``None`` where only a later search can tell more.
    """

    def __init__(self, message: str, *, transient: bool = False, question: Any = None) -> None:
        super().__init__(message)
        self.transient = transient
        self.question = question


class RequestChangedError(WaveSpeedError):
    """An earlier try paid for another request than the one this try would make."""


class AccountChangedError(WaveSpeedError):
    """The key that an earlier try paid with comes from elsewhere now, perhaps from another account: nothing was sent."""

    transient = True


class BudgetExceededError(WaveSpeedError):
    """The price is over a ceiling; nothing was sent."""


class DeliveryError(WaveSpeedError):
    """A completed prediction whose images the task's policies refuse (too few, or flagged)."""


class UnusableEnhancementError(WaveSpeedError):
    """A paid enhancement whose text no longer asks for the images that the prompt asked for."""


class Failure(enum.Enum):
    """Ways in which a call ends without an answer of the API."""

    NOT_CONNECTED = "no connection"
    UNREACHABLE = "no connection now"
    NO_ANSWER = "no answer"
    UNREADABLE = "unreadable answer"


class Arrival(enum.Enum):
    """What an unsuccessful answer means for a paying request."""

    NEVER = "certainly did not arrive"
    REFUSED = "certainly refused"
    UNKNOWN = "may have been accepted"


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table.

    :param error: the class to raise.
    :param arrival: what it means for a request that pays.
    :param way_out: what a person can do about it.
    :param waits: why a submission waits for its turn after it, for the log; blank where waiting does not help.
    """

    error: type[ApiError]
    arrival: Arrival
    way_out: str = ""
    waits: str = ""

    def may_resend(self, *, pays: bool) -> bool:
        """Whether the same call may be sent again at once: if it can help.

        A call that pays only where it certainly did not arrive. One that was rate limited may be sent again,
        too, but waiting for its turn is the submitter's business, who holds no worker for it.
        """
        return self.error.transient and (not pays or self.arrival is Arrival.NEVER)


_NOTHING_SENT = "Nothing was sent. Check the connection's host, DNS, proxy and certificates."

RULES: Mapping[int | Failure, Rule] = MappingProxyType(
    {
        400: Rule(BadRequestError, Arrival.REFUSED),
        401: Rule(AuthenticationError, Arrival.REFUSED, "Check the API key, the password of the connection."),
        402: Rule(InsufficientBalanceError, Arrival.REFUSED, "Top up the account."),
        403: Rule(PermissionDeniedError, Arrival.REFUSED, "Check the balance, and the role of the API key."),
        404: Rule(NotFoundError, Arrival.REFUSED),
        405: Rule(BadRequestError, Arrival.REFUSED),
        413: Rule(BadRequestError, Arrival.REFUSED),
        415: Rule(BadRequestError, Arrival.REFUSED),
        422: Rule(BadRequestError, Arrival.REFUSED),
        # A gateway answers 408 when it lost patience with the connection: no word of the API on the request.
        408: Rule(ApiTimeoutError, Arrival.UNKNOWN),
        429: Rule(RateLimitError, Arrival.REFUSED, waits="Rate limited (HTTP 429)"),
        Failure.NOT_CONNECTED: Rule(
            ApiConnectionError,
            Arrival.NEVER,
            _NOTHING_SENT,
        ),
        Failure.UNREACHABLE: Rule(
            ApiConnectionError, Arrival.NEVER, _NOTHING_SENT, waits="No connection to the API"
        ),
        Failure.NO_ANSWER: Rule(ApiTimeoutError, Arrival.UNKNOWN),
        Failure.UNREADABLE: Rule(InvalidResponseError, Arrival.UNKNOWN),
    }
)
"""HTTP-like codes (API reference 8.2) and failures of transport. What is not listed goes by its hundred."""

OTHER_CODES: Mapping[int, Rule] = MappingProxyType(
    {4: Rule(BadRequestError, Arrival.UNKNOWN), 5: Rule(InternalServerError, Arrival.UNKNOWN)}
)
"""A 4xx that the API does not document may be a gateway's, sent after it had passed the request on."""

TASK_CODES: Mapping[int, tuple[str, bool]] = MappingProxyType(
    {
        1200: ("content moderation; change the prompt", False),
        1400: ("a required parameter is missing", False),
        1401: ("a parameter is invalid", False),
        1402: ("an input image could not be fetched", False),
        1403: ("the task could not be executed", False),
        1405: ("the task failed", False),
        5000: ("internal error; a new submission may pass", True),
        5003: ("service unavailable; a new submission may pass", True),
        5004: ("timeout; a new submission may pass", True),
    }
)
"""Codes of a failed prediction (API reference 8.3): meaning, and whether a new submission may pass."""


def rule_for(code: int | Failure) -> Rule:
    """The row of the table for an HTTP-like code or a failure of transport."""
    listed = RULES.get(code)
    if listed is not None:
        return listed
    hundred = code // 100 if isinstance(code, int) else 0
    return OTHER_CODES.get(hundred, RULES[Failure.UNREADABLE])


def rule_of(error: ApiError) -> Rule:
    """The row of the table that an error was raised from."""
    if error.code is not None:
        return rule_for(error.code)
    if error.failure is not None:
        return RULES[error.failure]
    return next(rule for rule in RULES.values() if isinstance(error, rule.error))


def task_code(code: int | None, status: str) -> tuple[str, bool]:
    """Meaning of a failed prediction's code, and whether a new submission may pass.

    Codes that are not listed go by the API's rule: 1xxx asks for another request, 5xxx may pass. Without a code,
    ``failed`` counts as final, and the statuses that speak of the server's side (``cancelled``, ``timeout``,
    ``deleted``) may pass.
    """
    if code is not None and code in TASK_CODES:
        return TASK_CODES[code]
    if code:
        return "not documented", code >= 5000
    return "no code", status != "failed"
