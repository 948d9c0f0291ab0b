"""The sensor that waits for a prediction submitted elsewhere."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseSensorOperator,
    PokeReturnValue,
)

from airflow_provider_seedream import waiting, wavespeed
from airflow_provider_seedream.hooks.seedream import SeedreamHook
from airflow_provider_seedream.operators.arguments import (
    lasting_errors_fail_at_once,
    parse_deferrable,
    refuse_unknown_arguments,
)
from airflow_provider_seedream.operators.templates import RendersOnlyWhatTheAuthorWrote
from airflow_provider_seedream.options import OnFlagged, OnShortDelivery
from airflow_provider_seedream.wavespeed.errors import (
    ApiError,
    DeliveryError,
    InvalidInputError,
)
from airflow_provider_seedream.wavespeed.validation import (
    as_moment,
    is_id,
    parse_choice,
    parse_seconds,
)

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

POKE_INTERVAL = 60.0
"""Airflow's own default, for a sensor that pokes."""


class SeedreamPredictionSensor(RendersOnlyWhatTheAuthorWrote, BaseSensorOperator):
    """Waits for a prediction that was submitted elsewhere: by a task with ``wait_for_completion=False``, another DAG, the playground.

    Never submits, hence never pays; a retry costs nothing. Gives the same mapping as ``SeedreamSequentialOperator`` and
    pushes ``prediction_id`` and ``image_urls`` alike. What was asked for (``prompt``, ``size``, ``requested``,
    ``cost_usd``) comes from ``image_set``; given an id alone it is what the API says, which may be nothing, and then
    null. A prediction that failed, or that the account does not know (any more, after seven days), fails the task for
    good, or skips it under ``soft_fail``.

    It does not end in the triggerer: the trigger's event is stored and logged in clear, no place for links and prompts,
    and a task that ends there emits no asset events.

    :param prediction_id: the prediction's id. Give this or ``image_set``.
    :param image_set: the result of a ``SeedreamSequentialOperator``: its ``.output``, a mapping, or JSON text.
    :param seedream_conn_id: connection of type ``seedream``, of the account that submitted it.
    :param deferrable: wait in the triggerer; ``False`` pokes, in Airflow's ``mode`` ``"poke"`` or ``"reschedule"``.
        Default: what the environment variable ``AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE`` says, else ``True``.
    :param poke_interval: seconds or timedelta between two polls, at least 2; default: a schedule that begins after
        5 s where deferred, else 60.
    :param on_short_delivery: fewer images than asked: ``"accept"`` (logged) or ``"fail"``.
    :param on_flagged: images that the API flagged: ``"keep"``, ``"drop"`` or ``"fail"``.
    :param kwargs: Airflow's, of every sensor: ``timeout``, ``soft_fail``, ``mode``, ...
    """

    template_fields: Sequence[str] = ("prediction_id", "image_set", "seedream_conn_id")
    template_fields_renderers: ClassVar[dict[str, str]] = {"image_set": "json"}
    ui_color = "#e8e1f5"

    def __init__(
        self,
        *,
        prediction_id: str | None = None,
        image_set: Mapping[str, Any] | str | None = None,
        seedream_conn_id: str = SeedreamHook.default_conn_name,
        deferrable: bool | None = None,
        poke_interval: float | dt.timedelta | None = None,
        on_short_delivery: OnShortDelivery = "accept",
        on_flagged: OnFlagged = "keep",
        **kwargs: Any,
    ) -> None:
        refuse_unknown_arguments(type(self), kwargs, BaseSensorOperator)
        self.poll_interval = (
            None if poke_interval is None else parse_seconds("poke_interval", poke_interval, least=2.0)
        )
        super().__init__(poke_interval=self.poll_interval or POKE_INTERVAL, **kwargs)
        parse_choice("on_short_delivery", on_short_delivery, OnShortDelivery)
        parse_choice("on_flagged", on_flagged, OnFlagged)
        if (prediction_id is None) is (image_set is None):
            raise InvalidInputError(
                "prediction_id",
                prediction_id,
                "exactly one of prediction_id and image_set must be given",
                "Give image_set=<the Seedream task>.output where a task submitted it, else its id.",
            )
        self.prediction_id = prediction_id
        self.image_set = image_set
        self.seedream_conn_id = seedream_conn_id
        self.deferrable = parse_deferrable(deferrable)
        self.on_short_delivery = on_short_delivery
        self.on_flagged = on_flagged

    @cached_property
    def hook(self) -> SeedreamHook:
        """The hook of this task's connection."""
        return SeedreamHook(self.seedream_conn_id)

    def poke(self, context: Context) -> PokeReturnValue:
        """Poll once.

        :raises AirflowFailException: where polling again would not help.
        """
        with lasting_errors_fail_at_once():
            result = self._poll(context)
        return PokeReturnValue(result is not None, result)

    def execute(self, context: Context) -> Any:
        """Take the images if they are there, else wait for them.

        :raises AirflowFailException: where trying again would not help.
        """
        if not self.deferrable:
            return super().execute(context)
        with self._soft_failures():
            return self._poll(context) or self._wait()

    def execute_complete(self, context: Context, event: Any) -> dict[str, Any]:
        """Resume after the deferral.

        :param event: the trigger's.
        """
        with self._soft_failures():
            result = waiting.PollResult.from_event(event)
            if result.outcome is waiting.Outcome.DEADLINE:
                raise AirflowSensorTimeout(str(result.error))
            if result.outcome is waiting.Outcome.FAILED:
                raise _over(result.error)
            if result.error is not None:
                raise result.error
            prediction = self.hook.prediction(result.prediction_id)
            # A poll may lag behind the one that saw the end.
            return self._collect(prediction, context) if prediction.status.ended else self._wait()

    @contextmanager
    def _soft_failures(self) -> Iterator[None]:
        """Skip where ``soft_fail`` or ``never_fail`` says so: Airflow sees to all of it only while it pokes."""
        try:
            with lasting_errors_fail_at_once():
                yield
        except (AirflowFailException, AirflowSensorTimeout) as error:
            if self.soft_fail or self.never_fail:
                raise AirflowSkipException(str(error)) from error
            raise
        except Exception as error:
            if self.never_fail:
                raise AirflowSkipException(str(error)) from error
            raise

    def _poll(self, context: Context) -> dict[str, Any] | None:
        prediction_id = self._id()
        try:
            prediction = self.hook.prediction(prediction_id, attempts=1)
        except ApiError as error:
            submitted_at = self._submitted_at()
            age = None if submitted_at is None else time.time() - submitted_at
            if not error.transient and not waiting.may_be_mended(error, age):
                raise waiting.refusal(prediction_id, error, paid="is looked for, but") from None
            self.log.warning("Prediction %s cannot be seen now: %s", prediction_id, error)
            return None
        return self._collect(prediction, context) if prediction.status.ended else None

    def _submitted_at(self) -> float | None:
        requested = self._requested()
        return as_moment(requested.submitted_at) if requested else None

    def _wait(self) -> Any:
        from airflow_provider_seedream.triggers.seedream import SeedreamPredictionTrigger

        requested = self._requested()
        return self.defer(
            trigger=SeedreamPredictionTrigger(
                seedream_conn_id=self.seedream_conn_id,
                prediction_id=self._id(),
                deadline=time.time() + self.timeout,
                poll_interval=self.poll_interval,
                submitted_at=self._submitted_at(),
                kind=waiting.job_class_of(requested) if requested else None,
            ),
            method_name="execute_complete",
        )

    def _collect(self, prediction: wavespeed.Prediction, context: Context) -> dict[str, Any]:
        if prediction.status is not wavespeed.Status.COMPLETED:
            raise _over(prediction.failure())
        requested = self._requested() or wavespeed.image_set.requested_image_set(prediction)
        accepted = wavespeed.image_set.accept(
            prediction,
            requested=requested.requested,
            on_short_delivery=self.on_short_delivery,
            on_flagged=self.on_flagged,
        )
        if not accepted.has_links:
            raise DeliveryError(
                f"Prediction {prediction.id} is complete, but its outputs are no links: base64 images, or text. XCom is no "
                "place for them. Take them from the API's result, which keeps them for seven days."
            )
        image_set = wavespeed.image_set.delivered(requested, accepted)
        ti = context["ti"]
        ti.xcom_push(key="prediction_id", value=image_set.prediction_id)
        ti.xcom_push(key="image_urls", value=[image.url for image in image_set.images])
        self.log.info(wavespeed.image_set.summary(image_set))
        return image_set.to_json()

    def _id(self) -> str:
        requested = self._requested()
        if requested is not None:
            return requested.prediction_id
        if not isinstance(self.prediction_id, str) or self.prediction_id.strip() in ("", "None"):
            raise InvalidInputError(
                "prediction_id",
                self.prediction_id,
                "it must be the id of a prediction",
                "See what its template renders to; the task before may have pushed none.",
            )
        prediction_id = self.prediction_id.strip()
        if not is_id(prediction_id):
            raise InvalidInputError(
                "prediction_id",
                prediction_id,
                "an id has letters, digits, _ and - only, 128 at most",
                "See what its template renders to.",
            )
        return prediction_id

    def _requested(self) -> wavespeed.ImageSet | None:
        return None if self.image_set is None else wavespeed.read_image_set(self.image_set)


def _over(error: Exception | None) -> AirflowFailException:
    """A failed prediction stays failed, whatever a new one might do: a sensor has no retry for that."""
    return AirflowFailException(f"{type(error).__name__}: {error}")
