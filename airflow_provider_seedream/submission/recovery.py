"""Searches the account for a submission of unknown outcome, and judges what the result lets a try do."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airflow_provider_seedream.submission.advice import WayOut, no_record
from airflow_provider_seedream.submission.claims import Claims, ClaimsUnreadableError, OpenSubmission
from airflow_provider_seedream.submission.decisions import RetryLater, Submit, Unseen
from airflow_provider_seedream.submission.matching import (
    SLACK,
    Window,
    adoptable,
    candidates,
    digest_of,
    digests_of,
    has_other_references,
    identified,
    may_be_delivered,
    possible,
    unclaimed,
)
from airflow_provider_seedream.submission.record import Phase, SubmissionRecord
from airflow_provider_seedream.submission.run import Terms
from airflow_provider_seedream.waiting.poll import KEPT_BY_API, refusal
from airflow_provider_seedream.wavespeed import operations
from airflow_provider_seedream.wavespeed.errors import ApiError, InvalidInputError, NotFoundError
from airflow_provider_seedream.wavespeed.prediction import Prediction
from airflow_provider_seedream.wavespeed.request import PaidRequest
from airflow_provider_seedream.wavespeed.validation import is_id

if TYPE_CHECKING:
    from airflow_provider_seedream.hooks.seedream import SeedreamHook
    from airflow_provider_seedream.submission.store import TaskStore

log = logging.getLogger(__name__)

SUBMIT = "submit"
"""What a person says to pay for a new set."""

_ANSWERS = 'Set it to the id of the prediction, or to "submit" to pay for a new set; or delete it.'

EXAMINED = 200
"""Listed predictions that one search fetches one by one for their input; the others stay candidates."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found.

    :param possible: predictions that may be the one, whatever their texts say.
    :param candidates: those of them whose texts do not contradict the request.
    :param identified: those of them that the API shows to be the one, by all their inputs.
    :param adoptable: the one candidate, if there is one, its input was fetched, it is not older than the request, and it
        is identified or no other task's.
    :param rivals: the open submissions of other tasks that may have brought the one candidate.
    """

    possible: list[Prediction]
    candidates: list[Prediction]
    identified: list[Prediction]
    adoptable: Prediction | None
    rivals: Sequence[OpenSubmission] = ()

    @property
    def identified_only(self) -> Found:
        """The same for a task whose account may be another than that which paid."""
        return self if self.adoptable in self.identified else replace(self, adoptable=None)

    def without(self, gone: Callable[[Prediction], bool]) -> Found:
        """What is left without some of the predictions."""
        possible, candidates, identified = (
            [each for each in group if not gone(each)]
            for group in (self.possible, self.candidates, self.identified)
        )
        adoptable = self.adoptable if self.adoptable in candidates else None
        return Found(possible, candidates, identified, adoptable, self.rivals)


def recorded(
    hook: SeedreamHook, record: SubmissionRecord, terms: Terms, prediction_id: str
) -> Prediction | Unseen:
    """The recorded prediction, as it is now. A passing fault counts as "still running".

    :raises ApiError: if it passes, and what is seen decides whether a new set is paid for.
    :raises PollRejectedError: if the API refuses to show it for good.
    """
    wants_new = terms.on_clear == "resubmit"
    cleared = record.phase is Phase.DELAYED or record.cleared_since(terms.attempt)
    try:
        return hook.prediction(prediction_id)
    except ApiError as error:
        if error.transient and cleared and wants_new:
            # Whether there is something to resume decides whether a new set is paid for.
            raise
        if error.transient:
            log.warning("Prediction %s cannot be seen now, and is waited for: %s", prediction_id, error)
            return Unseen.FOR_NOW
        old = time.time() - (record.submitted_at or 0.0) > KEPT_BY_API
        forgotten = old or (wants_new and (record.delivered or record.phase is Phase.DELAYED))
        if not cleared or not forgotten or not isinstance(error, NotFoundError):
            raise refusal(prediction_id, error) from None
        return Unseen.FORGOTTEN


def named_in(
    hook: SeedreamHook, error: ApiError, request: PaidRequest, record: SubmissionRecord, claims: Claims
) -> Prediction | None:
    """The prediction that an answer names although it is no success, if it may be what the request of this try brought.

    A gateway has ids that the API does not know, and an answer can name another's prediction.
    """
    if error.prediction_id is None:
        return None
    try:
        named = hook.prediction(error.prediction_id)
        others = claims.others(record)
    except (ApiError, ClaimsUnreadableError) as unseen:
        log.warning("The answer names prediction %s, which is not visible: %s", error.prediction_id, unseen)
        return None
    in_time = Window.of(record, hook.clock_ahead, sent_now=True).holds(named)
    rivals = () if identified(named, request) else [each for each in others.submissions if each.may_be(named)]
    free = named.id not in {*others.ids, *record.known_ids} and not rivals
    return named if free and in_time and candidates([named], request) else None


def answered(
    store: TaskStore, hook: SeedreamHook, claims: Claims, record: SubmissionRecord, request: PaidRequest
) -> Prediction | RetryLater | Submit | None:
    """What a person said became of a lost submission, by a Variable. It counts once.

    :raises InvalidInputError: if it is no answer, or names a prediction that cannot be the one.
    :raises ApiError: if the API cannot be asked now.
    """
    variable, said = store.answer_name, store.answer()
    if said is None:
        return None
    if said.lower() == SUBMIT:
        # Else a request that is on its way could be paid beside the new one.
        if record.arrives_by > (now := time.time()):
            return RetryLater(record.arrives_by - now)
        store.remove_answer()
        return Submit(f"a person asked for a new set by Variable {variable}")
    named = _named_by_a_person(hook, said, variable, request, record)
    if not claims.claim_alone(named.id, record.known_ids):
        raise InvalidInputError(variable, said, "another task has this prediction", _ANSWERS)
    store.remove_answer()
    return named


def refuse_unheeded_answer(store: TaskStore, before: SubmissionRecord | None) -> None:
    """See to it that a person's answer about an earlier submission decides nothing of the next, which is about to be paid.

    :param before: the record of the earlier one, if there was one.
    :raises InvalidInputError: if it names a prediction: the person wants that one, and nothing paid.
    """
    said = None if before is None else store.answer()
    if said is None:
        return
    if said.lower() != SUBMIT:
        rule = (
            "the request is another than that whose submission was lost, or that submission is known by now"
        )
        raise InvalidInputError(
            store.answer_name, said, rule, "Undo the change, or delete the Variable to pay for a new set."
        )
    store.remove_answer()


def _named_by_a_person(
    hook: SeedreamHook, said: str, variable: str, request: PaidRequest, record: SubmissionRecord
) -> Prediction:
    if not is_id(said):
        raise InvalidInputError(variable, said, "it is no id of a prediction", _ANSWERS)
    try:
        named = hook.prediction(said)
    except NotFoundError:
        where = f"the account of {hook.settings.source} has no such prediction"
        raise InvalidInputError(variable, said, where, _ANSWERS) from None
    if named.id in record.known_ids:
        raise InvalidInputError(variable, said, "this task paid for it before", _ANSWERS)
    if not possible([named], request):
        rule = f"it is {named.status_word}, or of another model or count than {request.describe} of {request.model}"
        raise InvalidInputError(variable, said, rule, _ANSWERS)
    return named


def learn_clock(hook: SeedreamHook, terms: Terms) -> None:
    """Ask the API anything that is free, where a policy decides by its clock, and this worker may be killed before an answer."""
    if hook.clock_ahead is None and terms.on_lost_submission != "fail":
        with suppress(ApiError):
            hook.client.send(operations.balance(), attempts=1)


def missing_record(terms: Terms, transit: float) -> SubmissionRecord:
    """The record of a try that is not the first and found none.

    :param transit: seconds for which a paying request may be on its way.
    """
    arrives_by = max(time.time(), terms.moments.quiet_since + transit)
    log.warning(no_record(terms.attempt.try_number))
    return SubmissionRecord.missing(terms.attempt, terms.moments.run_began_at, arrives_by)


def of_request(
    record: SubmissionRecord, request: PaidRequest, terms: Terms, account: str
) -> SubmissionRecord:
    """A record that is missing, with what is asked for now: nothing else is known of what it was for."""
    if record.phase is not Phase.MISSING:
        return record
    fingerprint, inputs = request.fingerprint(terms.conn_id), digests_of(request, account)
    return replace(record, fingerprint=fingerprint, cost_usd=request.cost_usd, inputs=inputs)


def search(
    hook: SeedreamHook,
    record: SubmissionRecord,
    request: PaidRequest,
    claims: Claims,
    *,
    pauses: Sequence[float],
    sent_now: bool = False,
) -> Found:
    """Search the account for what a record's request may have become.

    :param claims: which predictions other tasks claim.
    :param pauses: seconds before each search: the API may list a new prediction late (API reference 4.1).
    :param sent_now: whether this very try sent it: then what the API's answers say of the clocks holds for it, too.
    :raises ApiError: if the API cannot be asked.
    """
    examined: dict[str, Prediction] = {}
    unfetched: dict[str, ApiError] = {}
    found = Found([], [], [], None)
    for seconds in pauses:
        time.sleep(seconds)
        created_after, created_before = Window.of(record, hook.clock_ahead, sent_now=sent_now).listed
        listed = hook.predictions(
            model=request.model, created_after=created_after, created_before=created_before
        )
        # By what the clock says now: the answer itself may be the first to say it.
        window = Window.of(record, hook.clock_ahead, sent_now=sent_now)
        others = claims.others(record)
        taken = {*others.ids, *record.known_ids}
        seen = [each for each in unclaimed(listed, taken) if window.nearly_holds(each)]
        for each in sorted(seen, key=window.holds, reverse=True):
            if each.id not in examined and len(examined) < EXAMINED:
                _examine(hook, each, examined, unfetched)
        seen = [examined.get(each.id, each) for each in seen]
        seen = [each for each in seen if window.holds(each) or identified(each, request, record.inputs)]
        # A prediction from the future shows that the header Date lies; then only inputs can identify one.
        now = time.time() + (hook.clock_ahead or 0.0) + SLACK
        honest = all(each.created is None or each.created <= now for each in listed)
        # Of two tasks that both search for the same, at most one claims it; a task that waits does not search.
        mine = [
            each
            for each in seen
            if not any(other.disputes(each, record.fingerprint) for other in others.submissions)
        ]
        found = _judged(seen, request, window, examined, sent=record.inputs, mine=mine, honest=honest)
        found = _contested(found, others.submissions)
        # Only what the API identifies ends the search early: the lost one may be listed after somebody else's.
        if len(found.identified) == len(found.candidates) == 1:
            break
    if trouble := [unfetched[each.id] for each in found.candidates if each.id in unfetched]:
        # It may be identified once it can be fetched: until then nothing is paid beside it.
        raise trouble[0]
    return found


def _examine(
    hook: SeedreamHook, listed: Prediction, examined: dict[str, Prediction], unfetched: dict[str, ApiError]
) -> None:
    """Keep a listed prediction with its input, if the API shows it: neither answer promises to.

    :param unfetched: takes the errors that may pass.
    """
    if listed.input is not None:
        examined[listed.id] = listed
        return
    try:
        seen = hook.prediction(listed.id, attempts=1)
    except ApiError as error:
        log.warning("Prediction %s could not be fetched: %s", listed.id, error)
        if error.transient:
            unfetched[listed.id] = error
        return
    unfetched.pop(listed.id, None)
    examined[listed.id] = seen if seen.created_at else replace(seen, created_at=listed.created_at)


def _judged(
    seen: list[Prediction],
    request: PaidRequest,
    window: Window,
    examined: Collection[str],
    *,
    sent: Mapping[str, str],
    mine: Collection[Prediction],
    honest: bool,
) -> Found:
    matching = [each for each in candidates(seen, request) if not has_other_references(each, request, sent)]
    certain = [
        each
        for each in matching
        if each in mine
        and identified(each, request, sent)
        and (window.surely_holds(each) or (each.created is not None and not honest))
    ]
    only = None
    # What is not of the time by the API's own clock stops a payment, but is no rival of what is.
    rivals = matching
    if honest and window.clock_ahead is not None and not window.apart:
        rivals = [each for each in matching if each.created is None or window.surely_holds(each)]
    if len(rivals) == 1:
        (one,) = rivals
        # Of a clock that is not known, a moment says nothing.
        in_time = one in certain or (honest and not window.apart and window.surely_holds(one))
        # Of a worker whose clock is not known, all inputs say more than the time.
        in_time = in_time or (window.apart > 0 and window.hinted(one) and identified(one, request, sent))
        if one.id in examined and in_time and adoptable(one, request):
            only = one
    return Found(possible(seen, request), matching, certain, only)


def _contested(found: Found, others: Sequence[OpenSubmission]) -> Found:
    """The same without an adoptable one that may as well be another task's."""
    one = found.candidates[0] if len(found.candidates) == 1 else found.adoptable
    if one is None or one in found.identified:
        return found
    rivals = [each for each in others if each.may_be(one)]
    return replace(found, adoptable=None, rivals=rivals) if rivals else found


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a search lets a try do. Pure.

    A person who cleared the task wants images, and new ones where the old ones were delivered. So a clear adopts what is
    identified, in every policy; and it pays beside other candidates only if it came after an error named them.

    :param record: of the submission that was searched for.
    :param everything: what was found.
    :param terms: what Airflow and the author of the DAG say of this try.
    :param clock_ahead: seconds by which the API's clock is ahead.
    """

    record: SubmissionRecord
    everything: Found
    terms: Terms
    clock_ahead: float

    @property
    def missing(self) -> bool:
        """Whether it is not even known that something was sent."""
        return self.record.phase is Phase.MISSING

    @property
    def wants_new(self) -> bool:
        """Whether a person asked for a new set."""
        cleared = self.record.cleared or self.record.cleared_since(self.terms.attempt)
        return cleared and self.terms.on_clear == "resubmit"

    @property
    def adopts(self) -> bool:
        """Whether the policy is to adopt the only candidate."""
        return self.terms.on_lost_submission == "adopt"

    @property
    def found(self) -> Found:
        """What counts: after a clear without a record, not what may be delivered, which the clear replaces."""
        return self._undelivered if self.missing and not self.adopts and self.wants_new else self.everything

    @property
    def mine(self) -> Prediction | None:
        """The prediction that the policy lets this task adopt, if there is one."""
        found = self.found
        if self.missing and not self.adopts and self.terms.retries_a_wish_for_new:
            found = self._undelivered
        # Without a record, a set that came since the run began may be anybody's.
        decided = not self.missing or found.adoptable in found.identified or self._was_reported
        if self.adopts and found.adoptable is not None and decided:
            return found.adoptable
        enough = self.missing or self.record.cleared or self.record.cleared_since(self.terms.attempt)
        if len(found.identified) == 1 and (enough or len(found.candidates) == 1):
            return found.identified[0] if enough or self.terms.on_lost_submission != "fail" else None
        return None

    @property
    def in_doubt(self) -> list[Prediction]:
        """What may be the lost one."""
        # The vendor may have rewritten the texts, or the task itself writes others with each try.
        resubmits = not self.missing and self.terms.on_lost_submission == "resubmit"
        return self.found.possible if self.terms.texts_vary or resubmits else self.found.candidates

    def next_step(self, now: float) -> Submit | RetryLater | None:
        """What to do where nothing is adopted; ``None``: a person must decide.

        :param now: epoch seconds.
        """
        policy, record = self.terms.on_lost_submission, self.record
        if policy == "fail" and not (self.missing or self.wants_new):
            return None
        seen_by_a_person = self.wants_new and self._was_reported and not self.adopts
        # After an error said that "adopt" pays nothing, it pays nothing.
        if (self.in_doubt and not seen_by_a_person) or (self.adopts and record.reported):
            return None
        if record.arrives_by > now:
            return RetryLater(max(1.0, record.arrives_by - now))
        if self.missing:
            return Submit("no earlier try of this run paid for what is asked for")
        if self.wants_new:
            return Submit("the task was cleared; its lost submission was searched for")
        if policy == "resubmit" and not record.resubmitted:
            return Submit("a lost submission was searched for and never arrived")
        return None

    def way_out(self, usual: WayOut) -> WayOut:
        """What a person can do about it."""
        identified = [each.id for each in self.found.identified]
        adoptable = self.found.adoptable
        return replace(
            usual,
            adoptable=adoptable is not None,
            rivals=", ".join(dict.fromkeys(each.task for each in self.found.rivals)),
            identified=identified[0] if len(identified) == 1 and not self.missing else "",
        )

    @property
    def _was_reported(self) -> bool:
        """Whether a person cleared the task after an error had named just what is in doubt now."""
        record = self.record
        return record.cleared_since(self.terms.attempt) and record.reported == digest_of(self.in_doubt)

    @property
    def _undelivered(self) -> Found:
        by = self.terms.moments.tried_at + self.clock_ahead
        return self.everything.without(lambda each: may_be_delivered(each, by))
