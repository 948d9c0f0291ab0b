"""The operator that makes an image set."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_seedream.hooks.seedream import SeedreamHook
from airflow_provider_seedream.operators.arguments import (
    lasting_errors_fail_at_once,
    one_of,
    plain_prompt,
    refuse_unknown_arguments,
    seconds,
)
from airflow_provider_seedream.submission.budget import Ceiling, check
from airflow_provider_seedream.submission.record import OnClear, OnLostSubmission, SubmissionRecord
from airflow_provider_seedream.submission.store import SubmissionStore, submission_store
from airflow_provider_seedream.submission.submitter import Order, Postponed, Submitter
from airflow_provider_seedream.wavespeed.delivery import OnFlagged, OnShortDelivery, accept
from airflow_provider_seedream.wavespeed.durations import kind_of
from airflow_provider_seedream.wavespeed.errors import InvalidInputError
from airflow_provider_seedream.wavespeed.image_set import DEFAULT_MODEL, ImageSet, ImageSetRequest, Picture
from airflow_provider_seedream.wavespeed.inputs import dollars, switch
from airflow_provider_seedream.wavespeed.polling import FIRST_LOOK, PollSchedule, Verdict
from airflow_provider_seedream.wavespeed.prediction import Status

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_seedream.wavespeed.prediction import Prediction
    from airflow_provider_seedream.wavespeed.prompt import PromptInput

PriceSource = Literal["table", "api"]


class _DefaultSize(str):
    """The default of ``size``, told apart from the same text written by a user, who then means it."""

    __slots__ = ()


DEFAULT_SIZE = _DefaultSize("2048*2048")


class SeedreamSequentialOperator(BaseOperator):
    """Makes an image set: several pictures with the same characters, palette and style from one prompt.

    Submits one paid job to WaveSpeedAI and waits for it, by default deferred. A retry takes up the job that an
    earlier try paid for (Airflow 3.3+). Gives the image set as plain JSON: ``prediction_id``, ``model``, ``prompt``,
    ``size``, ``requested``, ``images`` (``url`` and ``flagged`` each), ``cost_usd``, ``inference_ms``, ``created_at``,
    ``submitted_at``, ``completed_at``. Also pushes ``prediction_id`` as soon as it is known, and ``image_urls``. The
    links live seven days.

    :param prompt: the scenes: a text, an ``ImageSetPrompt`` or a list of scenes.
    :param max_images: pictures to make and pay for, 1 to 15; default: the count the prompt names, else 1.
    :param size: ``"W*H"``, ``(w, h)``, or a preset such as ``"16:9"``; default ``"2048*2048"``.
    :param width: pixels, together with ``height``, instead of ``size``.
    :param height: pixels, together with ``width``, instead of ``size``.
    :param resolution: ``"2K"`` or ``"4K"``, with a preset.
    :param output_format: ``"jpeg"`` or ``"png"``; default: the API's.
    :param enable_base64_output: take the pictures out of the answer instead of from links; they go to
        ``output_path``, never to XCom.
    :param enable_sync_mode: let the submission itself wait for the pictures (up to about 90 s, holding a worker).
    :param model: a sequential Seedream model; default: the connection's, else Seedream V5.0 Lite Sequential.
    :param price_source: ``"table"`` prices by the documented table, ``"api"`` asks the API.
    :param seedream_conn_id: connection of type ``seedream``.
    :param deferrable: wait in the triggerer instead of in the worker.
    :param timeout: how long to wait for the pictures from submission on; seconds or timedelta, default one hour. A
        job that takes longer stays paid; a retry takes it up again.
    :param poll_interval: seconds between two looks, 2 at the least; default: a schedule that begins after 5 s.
    :param max_cost: ceiling in USD for this image set; over it nothing is sent.
    :param on_lost_submission: what to do where a paying request got no answer: ``"fail"``, ``"adopt"`` the one
        candidate that the API lists, or ``"resubmit"`` if it lists none.
    :param on_clear: what clearing the task means: ``"resubmit"`` makes new pictures, ``"reuse"`` takes the old ones.
    :param on_short_delivery: fewer pictures than asked: ``"accept"`` (logged) or ``"fail"``.
    :param on_flagged: pictures that the API flagged: ``"keep"``, ``"drop"`` or ``"fail"``.
    :param wait_for_completion: ``False`` ends the task after submission, with no images in its result.
    :param output_path: directory or object storage URL to publish to as well, with a manifest.
    """

    template_fields: Sequence[str] = (
        "prompt",
        "max_images",
        "size",
        "width",
        "height",
        "resolution",
        "output_format",
        "model",
        "max_cost",
        "output_path",
        "seedream_conn_id",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"prompt": "md"}
    ui_color = "#e8e1f5"

    def __init__(
        self,
        *,
        prompt: PromptInput,
        max_images: int | str | None = None,
        size: str | Sequence[int] | None = DEFAULT_SIZE,
        width: int | str | None = None,
        height: int | str | None = None,
        resolution: str | None = None,
        output_format: str | None = None,
        enable_base64_output: bool = False,
        enable_sync_mode: bool = False,
        model: str | None = None,
        price_source: PriceSource = "table",
        seedream_conn_id: str = SeedreamHook.default_conn_name,
        deferrable: bool = True,
        timeout: float | dt.timedelta = dt.timedelta(hours=1),
        poll_interval: float | None = None,
        max_cost: float | str | None = None,
        on_lost_submission: OnLostSubmission = "fail",
        on_clear: OnClear = "resubmit",
        on_short_delivery: OnShortDelivery = "accept",
        on_flagged: OnFlagged = "keep",
        wait_for_completion: bool = True,
        output_path: str | None = None,
        **kwargs: Any,
    ) -> None:
        refuse_unknown_arguments(type(self), kwargs)
        super().__init__(**kwargs)
        one_of("price_source", price_source, PriceSource)
        one_of("on_lost_submission", on_lost_submission, OnLostSubmission)
        one_of("on_clear", on_clear, OnClear)
        one_of("on_short_delivery", on_short_delivery, OnShortDelivery)
        one_of("on_flagged", on_flagged, OnFlagged)
        self.enable_base64_output = switch("enable_base64_output", enable_base64_output)
        self.enable_sync_mode = switch("enable_sync_mode", enable_sync_mode)
        self.deferrable = switch("deferrable", deferrable)
        self.wait_for_completion = switch("wait_for_completion", wait_for_completion)
        self.timeout = seconds("timeout", timeout, least=10.0)
        self.poll_interval = (
            None if poll_interval is None else seconds("poll_interval", poll_interval, least=2.0)
        )
        if self.enable_base64_output and not output_path:
            raise InvalidInputError(
                "enable_base64_output",
                True,
                "the pictures come inside the answer, and XCom is no place for them",
                "Give output_path, the directory or object storage URL to write them to.",
            )
        if self.enable_base64_output and not self.wait_for_completion:
            raise InvalidInputError(
                "wait_for_completion",
                False,
                "with enable_base64_output this task must collect the pictures itself",
                "Leave one of the two out.",
            )
        self.prompt = plain_prompt(prompt)
        self.max_images = max_images
        if isinstance(size, _DefaultSize):
            # As plain text: the DAG processor sends DAGs as msgpack, which refuses a subclass of str.
            size = str(size) if width is None and height is None else None
        self.size = size
        self.width = width
        self.height = height
        self.resolution = resolution
        self.output_format = output_format
        self.model = model
        self.price_source = price_source
        self.seedream_conn_id = seedream_conn_id
        self.max_cost = max_cost
        self.on_lost_submission = on_lost_submission
        self.on_clear = on_clear
        self.on_short_delivery = on_short_delivery
        self.on_flagged = on_flagged
        self.output_path = output_path

    @cached_property
    def hook(self) -> SeedreamHook:
        """The hook of this task's connection."""
        return SeedreamHook(self.seedream_conn_id)

    def execute(self, context: Context) -> dict[str, Any]:
        """Submit, or take up what an earlier try submitted; then wait.

        :raises AirflowFailException: where trying again would not help.
        """
        return self._run(context, came_back=False)

    def execute_postponed(self, context: Context, event: Any = None) -> dict[str, Any]:
        """Go on after a pause that held no worker: it is our turn to submit, or to look again.

        :param event: the timer's.
        """
        return self._run(context, came_back=True)

    def _run(self, context: Context, *, came_back: bool) -> dict[str, Any]:
        with lasting_errors_fail_at_once():
            request = self._request()
            store = submission_store(context, self.task_id)
            submitter = self._submitter(context, store)
            order = self._order(context, request)
            obtained = submitter.obtain(order, came_back=came_back)
            while isinstance(obtained, Postponed):
                if self.deferrable:
                    return self._come_back_in(obtained.seconds)
                time.sleep(obtained.seconds)
                obtained = submitter.obtain(order, came_back=True)
            return self._wait(context, request, obtained, store.read())

    def _wait(
        self,
        context: Context,
        request: ImageSetRequest,
        prediction: Prediction,
        record: SubmissionRecord | None,
    ) -> dict[str, Any]:
        context["ti"].xcom_push(key="prediction_id", value=prediction.id)
        self._prediction_id = prediction.id
        if prediction.status.ended:
            return self._finish(context, Verdict.of(prediction))
        if not self.wait_for_completion:
            return self._image_set(request, prediction, record).to_json()
        deadline = record.deadline if record and record.deadline else time.time() + self.timeout
        submitted_at = record.submitted_at if record else None
        if not self.deferrable:
            verdict = self.hook.wait(
                prediction.id,
                deadline=deadline,
                schedule=PollSchedule.every(self.poll_interval),
                submitted_at=submitted_at,
            )
            return self._finish(context, verdict)
        from airflow_provider_seedream.triggers.seedream import SeedreamPredictionTrigger

        return self.defer(
            trigger=SeedreamPredictionTrigger(
                seedream_conn_id=self.seedream_conn_id,
                prediction_id=prediction.id,
                deadline=deadline,
                poll_interval=self.poll_interval,
                submitted_at=submitted_at,
                kind=kind_of(request.model, request.max_images, request.size.pixels),
            ),
            method_name="execute_complete",
        )

    def _come_back_in(self, seconds: float) -> dict[str, Any]:
        from airflow.providers.common.compat.standard.triggers import TimeDeltaTrigger

        # Not sooner than the scheduler can have read that the task deferred; see FIRST_LOOK.
        pause = dt.timedelta(seconds=max(FIRST_LOOK, seconds))
        return self.defer(trigger=TimeDeltaTrigger(pause), method_name="execute_postponed")

    def execute_complete(self, context: Context, event: Any) -> dict[str, Any]:
        """Go on after the deferral.

        :param event: the trigger's.
        """
        with lasting_errors_fail_at_once():
            return self._finish(context, Verdict.from_event(event))

    def on_kill(self) -> None:
        """Tell what becomes of the prediction: it is paid, the API cannot cancel it, and a retry takes it up."""
        prediction_id = getattr(self, "_prediction_id", None)
        if prediction_id:
            self.log.warning(
                "Killed while prediction %s runs. It is not cancelled and stays billed; a retry takes it up again.",
                prediction_id,
            )

    def _request(self) -> ImageSetRequest:
        return ImageSetRequest.build(
            prompt=self.prompt,  # type: ignore[arg-type]  # templates leave it open; build() checks it
            max_images=self.max_images,
            size=self.size,
            width=self.width,
            height=self.height,
            resolution=self.resolution,
            model=self.model or self.hook.settings.model or DEFAULT_MODEL,
            output_format=self.output_format,
            enable_base64_output=self.enable_base64_output,
            enable_sync_mode=self.enable_sync_mode,
        )

    def _order(self, context: Context, request: ImageSetRequest) -> Order:
        if request.count_was_added:
            self.log.info("The prompt named no count; %d images were put in front of it.", request.max_images)
        cost_usd = self.hook.price(request) if self.price_source == "api" else request.cost_usd
        return Order(
            request=request,
            fingerprint=request.fingerprint(self.seedream_conn_id),
            generation=context["ti"].max_tries - (self.retries or 0) + 1,
            cost_usd=cost_usd,
            timeout=self.timeout,
            check_budget=lambda spent_usd: check(cost_usd, self._ceilings(spent_usd)),
        )

    def _ceilings(self, spent_usd: float) -> Iterator[Ceiling]:
        settings = self.hook.settings
        connection = f"in the extra of connection {self.seedream_conn_id}"
        earlier = "for earlier submissions of this task"
        yield Ceiling(dollars("max_cost", self.max_cost), "max_cost of this task", spent_usd, earlier)
        yield Ceiling(settings.max_cost, f"max_cost {connection}", spent_usd, earlier)
        if settings.max_cost_per_day is not None:
            today = self.hook.spent_today()
            yield Ceiling(
                settings.max_cost_per_day, f"max_cost_per_day {connection}", today, "spent today (UTC)"
            )

    def _submitter(self, context: Context, store: SubmissionStore) -> Submitter:
        return Submitter(
            api=self.hook,
            store=store,
            on_clear=self.on_clear,
            on_lost_submission=self.on_lost_submission,
            claimed=lambda: self._claimed(context),
        )

    def _claimed(self, context: Context) -> set[str]:
        """Predictions of this task's mapped siblings in this run."""
        return {
            each for each in context["ti"].xcom_pull(task_ids=[self.task_id], key="prediction_id") if each
        }

    def _finish(self, context: Context, verdict: Verdict) -> dict[str, Any]:
        if verdict.error is not None:
            raise verdict.error
        request = self._request()
        prediction = accept(
            verdict.prediction or self.hook.prediction(verdict.prediction_id),
            requested=request.max_images,
            on_short_delivery=self.on_short_delivery,
            on_flagged=self.on_flagged,
        )
        record = submission_store(context, self.task_id).read()
        image_set = self._image_set(request, prediction, record)
        if self.output_path:
            image_set = self._publish(image_set, prediction)
        self.log.info(
            "Prediction %s is complete: %d of %d image(s), $%g.",
            image_set.prediction_id,
            len(image_set.images),
            image_set.requested,
            image_set.cost_usd,
        )
        context["ti"].xcom_push(key="image_urls", value=[picture.url for picture in image_set.images])
        return image_set.to_json()

    def _image_set(
        self, request: ImageSetRequest, prediction: Prediction, record: SubmissionRecord | None
    ) -> ImageSet:
        ended = prediction.status is Status.COMPLETED
        links = [""] * len(prediction.outputs) if self.enable_base64_output else prediction.outputs
        return ImageSet(
            prediction_id=prediction.id,
            model=request.model,
            prompt=request.prompt,
            size=str(request.size),
            requested=request.max_images,
            images=tuple(Picture(*pair) for pair in zip(links, prediction.flags, strict=True))
            if ended
            else (),
            cost_usd=record.cost_usd if record else request.cost_usd,
            inference_ms=prediction.inference_ms,
            created_at=prediction.created_at,
            submitted_at=_iso(record.submitted_at) if record and record.submitted_at else None,
            completed_at=_iso(time.time()) if ended else None,
        )

    def _publish(self, image_set: ImageSet, prediction: Prediction) -> ImageSet:
        """Publish to ``output_path``. A base64 set has no links, so it gets the places of its files instead."""
        from airflow.providers.common.compat.sdk import ObjectStoragePath

        from airflow_provider_seedream.publishing.publish import publish

        assert self.output_path is not None  # noqa: S101 - the caller asked
        folder = ObjectStoragePath(self.output_path)
        published = publish(
            image_set,
            folder,
            sources=prediction.outputs if self.enable_base64_output else None,
            output_format=self.output_format,
        )
        if not self.enable_base64_output:
            return image_set
        return replace(
            image_set,
            images=tuple(
                Picture(str(folder / placed.file), placed.flagged) for placed in published.manifest.images
            ),
        )


def _iso(moment: float) -> str:
    return dt.datetime.fromtimestamp(moment, dt.UTC).isoformat(timespec="milliseconds")
