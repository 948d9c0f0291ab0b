"""Which listed predictions may be a submission whose answer was lost. Pure.

A listed prediction is *possible* if it was created while the request may have arrived, by either clock, has not failed,
and is of the same model and count. It is a *candidate* if no input that the API shows contradicts one that the request
sends. (One that the request does not send says nothing: the API may show defaults.) It is *identified* if the API shows
all inputs that identify a request, and they are equal.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import html
import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from airflow_provider_seedream.submission.record import ACCOUNT, Phase, SubmissionRecord
from airflow_provider_seedream.wavespeed.operations import CLOCK_SKEW
from airflow_provider_seedream.wavespeed.prediction import Prediction, Status
from airflow_provider_seedream.wavespeed.request import PaidRequest
from airflow_provider_seedream.wavespeed.validation import as_integer

CLOCKS_APART = 900.0
"""Seconds by which the clock of a worker may be wrong. Nothing is known of the clock of a worker that was killed before
the API answered it: then a prediction that is so much older or younger than the request may still be its own."""

SLACK = 5.0
"""Seconds by which a prediction may seem older than the request that made it: the header ``Date``, by which the API's
clock is known, has whole seconds, and an answer takes time to arrive."""


_SIDES = re.compile(r"([0-9]{1,6})\s*[*xX×]\s*([0-9]{1,6})")


@dataclass(frozen=True, slots=True)
class Window:
    """When the API may have created a prediction.

    :param first: epoch seconds before which the request had not left, by the worker's clock.
    :param last: epoch seconds after which it cannot arrive.
    :param clock_ahead: seconds by which the API's clock is ahead of the worker's, as its answers say; ``None``: they say
        nothing. The two differ where one of them is wrong; either may be.
    :param apart: seconds by which the worker's clock may be wrong beyond that.
    :param hint: ``clock_ahead`` by an answer that need not be the API's own.
    :param early: seconds before ``first`` from which on what is identified is in doubt: without a record ``first`` is the
        start of the run, by the scheduler's clock.
    """

    first: float
    last: float
    clock_ahead: float | None
    apart: float = 0.0
    early: float = 0.0
    hint: float | None = None

    @classmethod
    def of(cls, record: SubmissionRecord, clock_ahead: float | None, *, sent_now: bool = False) -> Window:
        """The window of a record whose outcome is unknown.

        :param clock_ahead: seconds by which the API's clock is ahead of this worker's; the record may be another's.
        :param sent_now: whether this very try wrote the record, so that the two workers are one.
        """
        ahead = clock_ahead if record.clock_ahead is None else record.clock_ahead
        same_clock = sent_now or record.clock_ahead is not None or record.phase is not Phase.INTENT
        known = same_clock and ahead is not None
        early = CLOCKS_APART if record.phase is Phase.MISSING else 0.0
        apart = 0.0 if known else CLOCKS_APART
        return cls(record.intent_at, record.arrives_by, ahead, apart, early, record.clock_hint)

    @property
    def listed(self) -> tuple[dt.datetime, dt.datetime]:
        """The span to list: wider than the window, since the first answer may correct what is known of the clocks."""
        ahead, margin = self.clock_ahead or 0.0, max(CLOCK_SKEW, self.apart)
        return (
            dt.datetime.fromtimestamp(self.first + min(0.0, ahead) - max(margin, self.early), dt.UTC),
            dt.datetime.fromtimestamp(self.last + max(0.0, ahead) + margin, dt.UTC),
        )

    def holds(self, prediction: Prediction) -> bool:
        """Whether a prediction may have been created within the window, by the API's clock or by the worker's.

        Unknown counts as yes.
        """
        created, slack = prediction.created, SLACK + self.apart
        return created is None or any(
            self._holds(created, ahead, slack) for ahead in (self.clock_ahead or 0.0, 0.0)
        )

    def nearly_holds(self, prediction: Prediction) -> bool:
        """The same, from ``early`` seconds before on."""
        return replace(self, first=self.first - self.early).holds(prediction)

    def surely_holds(self, prediction: Prediction) -> bool:
        """Whether it was, by the API's clock alone. Of a clock that is not known, nothing is sure."""
        created, ahead = prediction.created, self.clock_ahead
        return created is not None and ahead is not None and self._holds(created, ahead, SLACK)

    def hinted(self, prediction: Prediction) -> bool:
        """Whether it may have been, by the clock that any answer showed. Without such an answer, yes."""
        created = prediction.created
        return created is not None and (self.hint is None or self._holds(created, self.hint, SLACK))

    def _holds(self, created: float, ahead: float, slack: float) -> bool:
        return self.first + ahead - slack <= created <= self.last + ahead + slack


def unclaimed(listed: Iterable[Prediction], claimed: Collection[str]) -> list[Prediction]:
    """The listed predictions that no other submission is known to have, each once.

    A list that grows while it is read shows a prediction on two pages.

    :param listed: what the API lists within the window.
    :param claimed: ids that are known to be another submission's.
    """
    return [each for each in {each.id: each for each in listed}.values() if each.id not in claimed]


def possible(found: Iterable[Prediction], request: PaidRequest) -> list[Prediction]:
    """The predictions that may be a request's, whatever their texts say: a vendor may write a text in another form."""
    return [
        each
        for each in found
        if (each.status is Status.COMPLETED or not each.status.ended)
        and each.model in ("", request.model)
        and len(each.outputs) <= request.most_outputs
        and not _differs_in_count(each.input or {}, request)
    ]


def candidates(found: Iterable[Prediction], request: PaidRequest) -> list[Prediction]:
    """The possible predictions whose inputs do not contradict the request."""
    return [each for each in possible(found, request) if not _differs(each.input or {}, request)]


def adoptable(found: Prediction, request: PaidRequest) -> bool:
    """Whether ``on_lost_submission="adopt"`` may adopt the only candidate: a text that the API shows must be whole, and no
    switch that it shows may differ."""
    shown = found.input or {}
    texts = {name: value for name, value in request.identifying_inputs().items() if isinstance(value, str)}
    shows = any(shown.get(name) is not None for name in texts)
    whole = all(_plain(shown[name]) == _plain(value) for name, value in texts.items() if shown.get(name))
    switched = any(
        isinstance(shown.get(name), bool) and shown[name] is not value
        for name, value in request.priced_inputs().items()
        if isinstance(value, bool)
    )
    return found.model in ("", request.model) and (not shows or whole) and not switched


def has_other_references(found: Prediction, request: PaidRequest, sent: Mapping[str, str]) -> bool:
    """Whether the API shows other reference images than a request had, of which a later try knows no links.

    :param sent: digests of what the lost request sent.
    """
    return any(
        _digest(name, (found.input or {}).get(name)) not in (None, sent.get(name, ""))
        for name, value in request.identifying_inputs().items()
        if isinstance(value, list) and None in value and name in sent
    )


def identified(found: Prediction, request: PaidRequest, sent: Mapping[str, str] | None = None) -> bool:
    """Whether the API itself shows that a prediction is a request's: all identifying inputs are equal, and so is every
    other input that it shows.

    :param sent: digests of what the lost request sent: they stand for links that only its own try knew.
    """
    shown, identifying = found.input or {}, request.identifying_inputs()
    needed = [name for name, value in identifying.items() if value and not isinstance(value, int)]
    return all(shown.get(name) is not None for name in needed) and all(
        shown.get(name) is None
        or _alike(shown[name], value)
        or (
            isinstance(value, list)
            and None in value
            and _digest(name, shown[name]) == (sent or {}).get(name, "")
        )
        for name, value in {**request.priced_inputs(), **identifying}.items()
    )


def digests_of(request: PaidRequest, account: str) -> dict[str, str]:
    """What a task lets others know of its request: a digest of each input, by its name, of the model and of the account.

    :param account: tells the account that pays from others.
    """
    asked = {**request.priced_inputs(), **request.identifying_inputs(), "model": request.model}
    digests = {name: digest for name, value in asked.items() if (digest := _digest(name, value))}
    return {**digests, ACCOUNT: account}


def may_be_of(found: Prediction, digests: Mapping[str, str], *, whole: bool = False) -> bool:
    """Whether no input that the API shows contradicts the request of which these are the digests.

    :param whole: whether its texts are known to be shown whole; else one that ends in dots may be shortened.
    """
    shown = {**(found.input or {}), "model": found.model}
    return all(
        (not whole and str(shown.get(name)).rstrip().endswith(("...", "…")))
        or _digest(name, shown.get(name)) in (None, digest)
        for name, digest in digests.items()
    )


def _digest(name: str, value: object) -> str | None:
    """A digest of what two forms of one input share; ``None`` for what is missing, blank or odd."""
    form: object
    if name == "size":
        form = _sides(value)
    elif name == "output_format":
        form = _format(value)
    elif isinstance(value, list):
        form = [_plain(each) for each in value] if all(isinstance(each, str) for each in value) else None
    else:
        form = None if value is None else _plain(value)
    return hashlib.sha256(repr(form).encode()).hexdigest()[:16] if form else None


def may_be_delivered(found: Prediction, by: float) -> bool:
    """Whether a try that ended before ``by`` (epoch seconds, the API's clock) may have delivered a prediction's images."""
    created = found.created
    return (
        found.status is Status.COMPLETED
        and created is not None
        and created + (found.inference_ms or 0) / 1000 < by
    )


def digest_of(found: Iterable[Prediction]) -> str:
    """What a record keeps of the candidates that a person was shown: whether these are still all there are."""
    return hashlib.sha256(",".join(sorted(each.id for each in found)).encode()).hexdigest()[:16]


def _differs_in_count(shown: Mapping[str, Any], request: PaidRequest) -> bool:
    for name, value in request.priced_inputs().items():
        number = as_integer(shown.get(name))
        if isinstance(value, int) and not isinstance(value, bool) and number not in (None, value):
            return True
    return False


def _differs(shown: Mapping[str, Any], request: PaidRequest) -> bool:
    """Whether inputs contradict the request. What is missing, blank, shortened or odd contradicts nothing."""
    asked = {**request.priced_inputs(), **request.identifying_inputs()}
    return any(
        _sides(shown.get(name)) not in (None, _sides(value))
        if name == "size"
        else _contradicts(_format(shown.get(name)), _format(value))
        if name == "output_format"
        else _contradicts(shown.get(name), value)
        for name, value in asked.items()
    )


def _sides(size: object) -> tuple[int, ...] | None:
    """Width and height, whichever way a size is written; ``None`` for what is none."""
    sides = _SIDES.fullmatch(str(size).strip())
    return sides and tuple(map(int, sides.groups()))


def _format(shown: object) -> object:
    """A format, whichever way it is written."""
    plain = shown.strip().lower().removeprefix("image/") if isinstance(shown, str) else None
    return "jpeg" if plain == "jpg" else plain


def _contradicts(shown: object, asked: object) -> bool:
    if shown is None or asked is None or isinstance(asked, int):
        return False
    if isinstance(asked, list):
        return isinstance(shown, list) and (len(shown) != len(asked) or any(map(_contradicts, shown, asked)))
    if not isinstance(shown, str) or not shown.strip():
        return False
    said, wanted = _plain(shown), _plain(asked)
    if said.endswith(("...", "…")):
        return not wanted.startswith(said.rstrip(".… "))
    return said != wanted


def _plain(text: object) -> str:
    """A text without what a vendor may change: Unicode form, HTML escapes, case, blanks."""
    return " ".join(unicodedata.normalize("NFKC", html.unescape(str(text))).casefold().split())


def _alike(shown: object, asked: object) -> bool:
    if isinstance(asked, list):
        return isinstance(shown, list) and len(shown) == len(asked) and all(map(_alike, shown, asked))
    if asked is None:
        return False
    if isinstance(asked, bool) or not isinstance(asked, int):
        said, wanted = (unicodedata.normalize("NFC", str(each)).split() for each in (shown, asked))
        return said == wanted
    return as_integer(shown) == asked
