"""What both clients do alike: which attempts a call has, what is sent beside it, and what its end without an answer means."""

from __future__ import annotations

import errno
import io
import random
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from typing import Any

from tenacity import retry_if_exception, wait_random_exponential

from airflow_provider_seedream import __version__
from airflow_provider_seedream.wavespeed.endpoint import Endpoint
from airflow_provider_seedream.wavespeed.errors import (
    ApiConnectionError,
    ApiError,
    ApiTimeoutError,
    Failure,
    rule_for,
    rule_of,
)
from airflow_provider_seedream.wavespeed.operations import Answer, Call, unreadable
from airflow_provider_seedream.wavespeed.transport import Exchange, NotSentError, UnfitBodyError
from airflow_provider_seedream.wavespeed.validation import plain

ATTEMPTS = 5
"""Most attempts of a call, where sending again is allowed."""

UPLOADS = 2
"""Most attempts of an upload that got no answer: a server that closes while it is sent to may have refused it in vain."""

PASSING = (ConnectionError, TimeoutError, socket.gaierror, ssl.SSLEOFError, ssl.SSLZeroReturnError)
"""What hinders a connection for a while: refused, reset, closed, silent, a name that is not found. All else, such as a
certificate that is not trusted or a proxy's name that makes no sense, waits for a person."""

PASSING_ERRNO = frozenset({errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EHOSTUNREACH})
"""The same, where Python has no class for it."""

LONGEST_WAIT = 30.0
"""Most seconds between two attempts; where a server asks for more, its error is raised instead."""


def policy(call: Call[Any], attempts: int) -> dict[str, Any]:
    """The arguments of tenacity for a call."""
    backoff = wait_random_exponential(multiplier=0.5, max=10)

    def wait(state: Any) -> float:
        # Jitter on top of what was asked for: the server gave everybody the same.
        asked = state.outcome.exception().retry_after
        return float(asked) * random.uniform(1.0, 1.1) if asked else float(backoff(state))  # noqa: S311

    def may_resend(error: BaseException) -> bool:
        return (
            isinstance(error, ApiError)
            and rule_of(error).may_resend(pays=call.pays)
            and (error.retry_after or 0) <= LONGEST_WAIT
        )

    def is_last(state: Any) -> bool:
        unheard = call.content is not None and isinstance(state.outcome.exception(), ApiTimeoutError)
        most = min(attempts, UPLOADS) if unheard else attempts
        return state.attempt_number >= most or _is_late(call, state.upcoming_sleep)

    return {
        "stop": is_last,
        "wait": wait,
        "retry": retry_if_exception(may_resend),
        "reraise": True,
    }


def answer_of(endpoint: Endpoint, status: int, content: bytes, headers: Mapping[str, str]) -> Answer:
    """What came back, as an :class:`Answer`."""
    return Answer(status, content.decode("utf-8", "replace"), headers, endpoint.redaction)


def unfit(call: Call[Any], status: int, error: UnfitBodyError) -> ApiError:
    """The error of a body that was not read to its end."""
    return unreadable(call, status, str(error), too_large=error.too_large)


def _is_late(call: Call[Any], after: float = 0.0) -> bool:
    return call.stopped() or (call.send_by is not None and time.time() + after > call.send_by)


def refuse_late(call: Call[Any]) -> None:
    """Refuse to send after the time to send it, or for a killed task: a worker that slept may have been replaced."""
    if call.stopped():
        raise ApiConnectionError(f"{call.method} {call.path} was not sent: the task was killed before.")
    if _is_late(call):
        raise ApiConnectionError(f"{call.method} {call.path} was not sent: the time to send it is over.")


def headers(library: str) -> Mapping[str, str]:
    """The headers of every request."""
    return {
        "X-Client-Name": "airflow-provider-seedream",
        "X-Client-Version": __version__,
        "Accept-Encoding": "identity",
        "User-Agent": f"airflow-provider-seedream/{__version__} {library}",
    }


def stream(call: Call[Any]) -> io.BytesIO | None:
    """A body as a file: whole, it would have to leave within the time that is meant for connecting (requests)."""
    return None if call.content is None else io.BytesIO(call.content.body)


def content_type(call: Call[Any]) -> Mapping[str, str]:
    """The header of a body that is not JSON."""
    return {} if call.content is None else {"Content-Type": call.content.media_type}


def failed(call: Call[Any], endpoint: Endpoint, exchange: Exchange, error: Exception) -> ApiError:
    """The error of a call without an answer: whether a byte of it may have left decides, not what the libraries say."""
    what = (
        f"got no answer ({call.read_timeout or endpoint.read_timeout:g} s allowed)"
        if exchange.begun
        else "found no connection"
    )
    # Where a proxy refuses, aiohttp raises an error with its status.
    refusal = exchange.proxy_status or (None if exchange.begun else getattr(error, "status", None))
    refusal = None if refusal == 200 else refusal
    reason = _reason(error) if refusal is None else f"the proxy answered {refusal}"
    failure = Failure.NO_ANSWER if exchange.begun else _not_connected(error, refusal)
    rule = rule_for(failure)
    message = f"{call.method} {endpoint.origin}{call.path} {what}: {reason}. {rule.way_out}"
    return rule.error(message.strip(), failure=failure)


def _not_connected(error: Exception, refusal: int | None) -> Failure:
    """Whether a connection that did not come about may come about later without a change by a person."""
    if refusal is not None:
        passes = refusal == 429 or refusal >= 500
    else:
        passes = any(
            isinstance(each, PASSING) or (isinstance(each, OSError) and each.errno in PASSING_ERRNO)
            for each in _causes(error)
        )
    return Failure.UNREACHABLE if passes else Failure.NOT_CONNECTED


def _reason(error: BaseException) -> str:
    """The system's own word for a failure, or the class of the library's: its text may repeat what was sent."""
    for cause in _causes(error):
        if isinstance(cause, NotSentError):
            return str(cause)
        if isinstance(cause, OSError) and cause.strerror:
            return plain(cause.strerror, 200)
    return type(error).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what it came from, in the several ways in which the libraries hang one on another."""
    cause: BaseException | None = error
    for _ in range(10):
        if cause is None:
            return
        yield cause
        inner = (*cause.args, getattr(cause, "reason", None), cause.__cause__, cause.__context__)
        cause = next((each for each in inner if isinstance(each, BaseException)), None)
