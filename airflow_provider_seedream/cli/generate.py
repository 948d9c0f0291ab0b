"""``generate``: an image set without a DAG.

What binds the operators binds this command: nothing is sent that pays before all that can be checked is checked; a paying
request whose outcome is not known is never sent again; an id is said as soon as it is known. There is no record here that a
second call could read, so the person is it: each way out of this command that may have spent money says how much, and what to
type next.
"""

from __future__ import annotations

import argparse
import datetime as dt
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from airflow_provider_seedream.cli.arguments import PROGRAM
from airflow_provider_seedream.cli.asking import folder_of, request_of
from airflow_provider_seedream.cli.delivery import (
    accepted,
    completed,
    fetched,
    show,
    sources_of,
    written,
)
from airflow_provider_seedream.cli.output import MayBeSpentError, Output, RefusedError, progress, say, usd
from airflow_provider_seedream.hooks.seedream import SeedreamHook
from airflow_provider_seedream.operators.base import ceilings, check
from airflow_provider_seedream.operators.references import upload
from airflow_provider_seedream.publishing.derivatives import PublishOptions
from airflow_provider_seedream.publishing.folder_lock import refuse_others
from airflow_provider_seedream.publishing.publish import Published
from airflow_provider_seedream.submission.matching import candidates
from airflow_provider_seedream.submission.timing import Timing
from airflow_provider_seedream.wavespeed.errors import (
    ApiError,
    Arrival,
    PredictionFailedError,
    rule_of,
)
from airflow_provider_seedream.wavespeed.image_set import ImageSet, ordered_image_set
from airflow_provider_seedream.wavespeed.operations import CLOCK_SKEW
from airflow_provider_seedream.wavespeed.prediction import Prediction
from airflow_provider_seedream.wavespeed.request import ImageSetRequest
from airflow_provider_seedream.wavespeed.validation import parse_usd


def generate(arguments: argparse.Namespace, output: Output) -> None:
    """Make an image set and write it into a folder, or fetch one that is paid.

    :raises MayBeSpentError: if money is, or may be, spent, and there are no images to show for it.
    """
    hook = SeedreamHook(arguments.conn_id, inline_images=True)
    PublishOptions(arguments.contact_sheet, arguments.page).check()
    if arguments.prediction is None:
        show(_made(hook, arguments), output)
        return
    if arguments.prompt is not None or arguments.scenes:
        raise RefusedError("--prediction fetches an image set that is paid. Leave the prompt out.")
    image_set, prediction = fetched(hook, arguments.prediction, timeout=arguments.timeout)
    show(written(hook, image_set, arguments, sources=sources_of(prediction)), output)


def _made(hook: SeedreamHook, arguments: argparse.Namespace) -> Published:
    """Pay for an image set, wait for it, and write it into its folder."""
    later = _Later.of(arguments)
    try:
        request = _checked(arguments, hook)
        _ask(request, arguments, hook)
        ordered = _paid(_uploaded(request, hook), hook, later)
    except KeyboardInterrupt:
        raise RefusedError("Interrupted. Nothing was paid.") from None
    with _says_what_is_paid(ordered, later):
        prediction = completed(hook, ordered.prediction_id, timeout=arguments.timeout)
        image_set, prediction = accepted(ordered, prediction)
        return written(hook, image_set, arguments, sources=sources_of(prediction))


@dataclass(frozen=True, slots=True)
class _Later:
    """The commands that a person needs later for the same image set.

    :param connection: its option, where it is not the default one.
    :param folder: its option, where one was given.
    """

    connection: tuple[str, ...]
    folder: tuple[str, ...]

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> _Later:
        default = arguments.conn_id == SeedreamHook.default_conn_name
        return cls(
            () if default else ("--conn-id", arguments.conn_id),
            ("--folder", arguments.folder) if arguments.folder else (),
        )

    def fetch(self, prediction_id: str) -> str:
        """Fetches a set that is paid."""
        words = ("generate", "--prediction", prediction_id, *self.folder, *self.connection)
        return f"{PROGRAM} {shlex.join(words)}"

    def list(self, model: str) -> str:
        """Lists what the account had made."""
        return f"{PROGRAM} {shlex.join(('predictions', 'list', '--model', model, *self.connection))}"


def _checked(arguments: argparse.Namespace, hook: SeedreamHook) -> ImageSetRequest:
    """The request, with its folder and its ceilings checked: whatever may be refused is, before anything is paid."""
    request = request_of(arguments, hook)
    if arguments.folder is not None:
        refuse_others(
            folder_of(arguments.folder),
            None,
            prompt=request.prompt,
            images=request.max_images,
            companions=PublishOptions(arguments.contact_sheet, arguments.page).of_the_set(),
            replaces=arguments.replace,
            way_out="Nothing is paid. Name another --folder, or give --replace to overwrite files.",
        )
    own = parse_usd("max_cost", arguments.max_cost)
    check(request.cost_usd, ceilings(hook, own, "--max-cost"))
    return request


def _ask(request: ImageSetRequest, arguments: argparse.Namespace, hook: SeedreamHook) -> None:
    """Say the price, and have it agreed to."""
    settings = hook.settings
    what = (
        f"{request.describe} by {request.model}: {usd(request.cost_usd)}, paid by {settings.source} at "
        f"{settings.endpoint.origin}."
    )
    if arguments.yes:
        say(what)
        return
    sys.stderr.write(f"{what} Pay? [y/N] ")
    sys.stderr.flush()
    answer = sys.stdin.readline()
    if answer.strip().lower() not in ("y", "yes"):
        way_out = "" if answer else " Where no person can answer, give --yes."
        raise RefusedError(f"Nothing was paid.{way_out}")


def _uploaded(request: ImageSetRequest, hook: SeedreamHook) -> ImageSetRequest:
    """The request with its files uploaded, which is free."""
    known: dict[str, str] = {}
    with progress("Uploading the reference images"):
        return replace(request, images=tuple(upload(each, hook, known) for each in request.images))


def _paid(request: ImageSetRequest, hook: SeedreamHook, later: _Later) -> ImageSet:
    """Send the one paying request of this command: the image set that is paid for now, with no images yet.

    :raises MayBeSpentError: if the API may have accepted the request, and its id is not known.
    :raises ApiError: if the API refused it, or it was never sent: nothing is paid. So it is after a KeyboardInterrupt.
    """
    began = time.time()
    try:
        prediction = _submitted(request, hook, later, began)
        say(
            f"Prediction {prediction.id} is submitted: {request.describe}, {usd(request.cost_usd)}. To fetch it, now or "
            f"within seven days, without paying: {later.fetch(prediction.id)}"
        )
    except KeyboardInterrupt:
        if not hook.client.may_have_left:
            raise
        raise _lost("Interrupted before the answer came.", request, later, "") from None
    return ordered_image_set(
        request,
        prediction.id,
        cost_usd=request.cost_usd,
        created_at=prediction.created_at,
        submitted_at=began,
    )


def _submitted(request: ImageSetRequest, hook: SeedreamHook, later: _Later, began: float) -> Prediction:
    try:
        return hook.submit(request, send_by=began + Timing().send_within)
    except ApiError as error:
        # An answer can name a prediction although it is no success; it may be another's, so a person must see it.
        named = error.prediction_id
        if named is None and rule_of(error).arrival is not Arrival.UNKNOWN:
            raise
        seen = f"The answer names prediction {named}." if named else _seen(request, hook, began)
        raise _lost(str(error), request, later, seen, named or "ID") from None


def _lost(
    why: str, request: ImageSetRequest, later: _Later, seen: str, prediction_id: str = "ID"
) -> MayBeSpentError:
    """The error of a paying request whose outcome is not known.

    :param seen: what the API lists, if it could be asked.
    :param prediction_id: what may be it.
    """
    return MayBeSpentError(
        f"{why} {usd(request.cost_usd)} may be spent: the submission of {request.describe} may have been accepted, and is "
        f"not sent again. {seen} See what the account has: {later.list(request.model)} To fetch one of it without paying: "
        f"{later.fetch(prediction_id)}"
    )


def _seen(request: ImageSetRequest, hook: SeedreamHook, began: float) -> str:
    """What the API lists that a lost request may have brought, for people."""
    margin = dt.timedelta(seconds=CLOCK_SKEW)
    try:
        listed = hook.predictions(
            model=request.model,
            created_after=dt.datetime.fromtimestamp(began, dt.UTC) - margin,
            created_before=dt.datetime.now(dt.UTC) + margin,
        )
    except (ApiError, KeyboardInterrupt):
        return ""
    found = [f"{each.id} ({each.status_word})" for each in candidates(listed, request)]
    if not found:
        return "The API lists no such prediction, but may list a new one late."
    return f"The API lists what may be it, or another's: {', '.join(found[:5])}."


@contextmanager
def _says_what_is_paid(ordered: ImageSet, later: _Later) -> Iterator[None]:
    """Whatever goes wrong once an image set is paid names it, its price, and the command that fetches it."""
    price = usd(ordered.cost_usd or 0.0)
    paid = f"{price} is spent; to fetch the images without paying: {later.fetch(ordered.prediction_id)}"
    try:
        yield
    except KeyboardInterrupt:
        raise MayBeSpentError(
            f"Interrupted. Prediction {ordered.prediction_id} runs on, the API cannot cancel it: {paid}"
        ) from None
    except PredictionFailedError as error:
        raise MayBeSpentError(
            f"{error} {price} may be spent: the vendor says that it refunds what fails, within hours."
        ) from None
    except Exception as error:
        raise MayBeSpentError(f"{error} {paid}") from error
