"""The operator that makes an image set."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_seedream import publishing, xcom
from airflow_provider_seedream import submission as paying
from airflow_provider_seedream.hooks.seedream import SeedreamHook
from airflow_provider_seedream.operators import worker
from airflow_provider_seedream.operators.arguments import (
    object_store_folder,
    parse_deferrable,
    parse_on_lost_submission,
    refuse_unknown_arguments,
    refuse_what_rendered_to_nothing,
    reject_blank,
)
from airflow_provider_seedream.operators.base import PayingOperator
from airflow_provider_seedream.operators.deployment import publisher, zones_of_connection
from airflow_provider_seedream.operators.lineage import TellsLineage
from airflow_provider_seedream.options import (
    OnClear,
    OnFlagged,
    OnLostSubmission,
    OnShortDelivery,
    PriceSource,
)
from airflow_provider_seedream.wavespeed.errors import (
    ApiError,
    DeliveryError,
    InvalidInputError,
    NotFoundError,
    OversizedAnswerError,
)
from airflow_provider_seedream.wavespeed.validation import parse_bool, parse_choice, parse_seconds

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, ObjectStoragePath

    from airflow_provider_seedream.operators.arguments import PathInput
    from airflow_provider_seedream.submission import Paid, Submission
    from airflow_provider_seedream.waiting.poll import PollResult
    from airflow_provider_seedream.wavespeed.image_set import ImageSet
    from airflow_provider_seedream.wavespeed.prediction import Prediction
    from airflow_provider_seedream.wavespeed.prompt import PromptInput
    from airflow_provider_seedream.wavespeed.references import Reference
    from airflow_provider_seedream.wavespeed.request import ImageSetRequest


class _DefaultSize(str):
    """The default of ``size``, another object than the same text written by a user, who then means it."""

    __slots__ = ()


DEFAULT_SIZE = _DefaultSize("2048*2048")


class SeedreamSequentialOperator(TellsLineage, PayingOperator):
    """Makes an image set: several images with the same characters, palette and style from one prompt.

    Submits one paid job to WaveSpeedAI and waits for it, by default deferred. A retry resumes what an earlier try paid for.
    Gives an :class:`ImageSet` as plain JSON. Also pushes ``prediction_id`` early, and ``image_urls``, which live seven days.

    :param prompt: the scenes: a text, an ``ImageSetPrompt`` or a list of scenes.
    :param images: reference images to draw from, 1 to 10, with the images to make at most 15: links that the vendor
        can fetch, or files (``s3://…``, ``gs://…``, ``file://…``, a path), which are uploaded, free of charge, right
        before the submission. A prompt speaks of them as "Figure 1", "Figure 2". A link that another try renders
        differently, such as a signed one, is another request.
    :param max_images: images to make and pay for, 1 to 15; default: the count that opens the prompt, else 1. Required where
        the prompt leaves it unsure.
    :param size: ``"W*H"``, ``(w, h)``, or a preset such as ``"16:9"``; default ``"2048*2048"``.
    :param width: pixels, together with ``height``, instead of ``size``.
    :param height: pixels, together with ``width``, instead of ``size``.
    :param resolution: ``"2K"``, ``"3K"`` or ``"4K"``, with a preset.
    :param output_format: ``"jpeg"`` or ``"png"``; default: the API's.
    :param enable_base64_output: take the images out of the answer instead of from links; they go to
        ``output_path``, never to XCom.
    :param enable_sync_mode: let the submission itself wait for the images (up to about 90 s, holding a worker).
    :param model: a sequential Seedream model; default: the connection's, else Seedream V5.0 Lite Sequential. With
        ``images`` the default is the edit-sequential model of the same version, at the same price.
    :param price_source: ``"table"`` prices by the documented table, ``"api"`` asks the API.
    :param seedream_conn_id: connection of type ``seedream``.
    :param deferrable: wait in the triggerer instead of in the worker; default: what the environment
        variable ``AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE`` says, else ``True``.
    :param timeout: how long to wait for the images from submission on; seconds or timedelta, default one hour. A
        job that takes longer stays paid; a retry resumes it.
    :param poll_interval: seconds between two polls, at least 2; default: a schedule that begins after 5 s.
    :param max_cost: ceiling in USD for this image set; over it nothing is sent.
    :param on_lost_submission: what to do where a paying request got no answer: ``"fail"``, ``"ask"`` a person by a form
        (Airflow 3.1+), ``"adopt"`` the one candidate that the API lists, or ``"resubmit"`` if it lists none.
    :param on_clear: what clearing the task means: ``"resubmit"`` makes new images, ``"reuse"`` takes the old ones.
    :param on_short_delivery: fewer images than asked: ``"accept"`` (logged) or ``"fail"``.
    :param on_flagged: images that the API flagged: ``"keep"``, ``"drop"`` or ``"fail"``.
    :param wait_for_completion: ``False`` ends the task after submission, with no images in its result; a
        ``SeedreamPredictionSensor`` waits for them.
    :param output_path: absolute directory or object storage URL, to publish to as well, with a manifest. A folder that holds
        what another task instance published is refused before anything is paid; mapped instances need one each.
    """

    template_fields: Sequence[str] = (
        "prompt",
        "images",
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
    template_fields_renderers: ClassVar[dict[str, str]] = {"prompt": "md", "images": "json"}
    ui_color = "#e8e1f5"

    def __init__(
        self,
        *,
        prompt: PromptInput,
        images: Sequence[PathInput] | PathInput | None = None,
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
        deferrable: bool | None = None,
        timeout: float | dt.timedelta = dt.timedelta(hours=1),
        poll_interval: float | None = None,
        max_cost: float | str | None = None,
        on_lost_submission: OnLostSubmission = "fail",
        on_clear: OnClear = "resubmit",
        on_short_delivery: OnShortDelivery = "accept",
        on_flagged: OnFlagged = "keep",
        wait_for_completion: bool = True,
        output_path: PathInput | None = None,
        **kwargs: Any,
    ) -> None:
        refuse_unknown_arguments(type(self), kwargs)
        super().__init__(**kwargs)
        self.price_source = parse_choice("price_source", price_source, PriceSource)
        self.on_lost_submission = parse_on_lost_submission(on_lost_submission)
        self.on_clear = parse_choice("on_clear", on_clear, OnClear)
        self.on_short_delivery = parse_choice("on_short_delivery", on_short_delivery, OnShortDelivery)
        self.on_flagged = parse_choice("on_flagged", on_flagged, OnFlagged)
        self.enable_base64_output = parse_bool("enable_base64_output", enable_base64_output)
        self.enable_sync_mode = parse_bool("enable_sync_mode", enable_sync_mode)
        self.deferrable = parse_deferrable(deferrable)
        self.wait_for_completion = parse_bool("wait_for_completion", wait_for_completion)
        self.timeout = parse_seconds("timeout", timeout, least=10.0)
        self.poll_interval = (
            None if poll_interval is None else parse_seconds("poll_interval", poll_interval, least=2.0)
        )
        if self.enable_base64_output and not output_path:
            raise InvalidInputError(
                "enable_base64_output",
                True,
                "the images come inside the answer, and XCom is no place for them",
                "Give output_path, the directory or object storage URL to write them to.",
            )
        if self.enable_base64_output and not self.wait_for_completion:
            raise InvalidInputError(
                "wait_for_completion",
                False,
                "with enable_base64_output this task must collect the images itself",
                "Leave one of the two out.",
            )
        if output_path is not None and not self.wait_for_completion:
            raise InvalidInputError(
                "output_path",
                output_path,
                "with wait_for_completion=False this task ends before there are images to publish",
                "Leave one of the two out.",
            )
        self.prompt: object = prompt
        self.images = images
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
        self.seedream_conn_id = seedream_conn_id
        self.max_cost = max_cost
        self.output_path = output_path
        worker.refuse_wrong_literals(self)
        self.names_given = [name for name in self.template_fields if getattr(self, name, None) is not None]

    def execute(self, context: Context) -> dict[str, Any]:
        """Submit, or resume what an earlier try submitted; then wait.

        :raises AirflowFailException: where trying again would not help.
        """
        return self._make(self._open(context), context)

    def execute_postponed(self, context: Context, event: Any = None) -> dict[str, Any]:
        """Continue after a pause that held no worker: it is our turn to submit, or to search again.

        :param event: the timer's.
        """
        return self._make(self._open(context, resumed=True), context)

    def execute_complete(self, context: Context, event: Any) -> dict[str, Any]:
        """Continue after the deferral.

        :param event: the trigger's.
        """
        submission = self._open(context, resumed=True)
        with self._errors_name_what_is_paid(submission, context):
            if not (submission.record and submission.record.of_a_try_before(submission.terms.attempt)):
                verdict = worker.PollResult.from_event(event)
                submission.billed(verdict.prediction_id)
                submission.remember(verdict.prediction_id)
                return self._finish(verdict, submission, context)
        return self.execute(context)

    def _make(self, submission: Submission, context: Context) -> dict[str, Any]:
        with self._errors_name_what_is_paid(submission, context):
            request = self._request(submission, context)
            self._folder()
            added = ", which was put in front of the prompt" if request.count_was_added else ""
            self.log.info("The request is valid: asking for %s%s.", request.images_asked, added)
            if request.size_may_differ:
                self.log.warning("%s is over 10.4 megapixels: the images may come smaller.", request.size)
            paid = self._pay_once(request, submission, context)
            ordered = _ordered(request, paid, submission)
            # What was paid for: after the deferral, a template may render to something else.
            self._push(context, xcom.ORDERED_IMAGE_SET, ordered.to_json())
            self.made = ordered
            if paid.prediction is not None and paid.ended:
                return self._finish(worker.PollResult.of(paid.prediction), submission, context)
            if not self.wait_for_completion:
                submission.delivered()
                return ordered.to_json()
            return self._wait(ordered, submission, context)

    def _will_resume(self, submission: Submission, context: Context) -> bool:
        """Whether this try continues with what an earlier one submitted, or may have, for the task's prompt, if any."""
        with self._errors_name_what_is_paid(submission, context):
            record = submission.record
            if self.prompt is None or record is None or record.phase is paying.Phase.NOTHING:
                return False
            if not record.cleared_since(submission.terms.attempt):
                return True
            try:
                request = self._request(submission, context)
            except InvalidInputError:
                return self.on_clear == "reuse"
            return not isinstance(submission.decide(request), paying.Submit)

    def _request(self, submission: Submission, context: Context) -> ImageSetRequest:
        refuse_what_rendered_to_nothing(self, self.names_given)
        images = self._references(submission, context)
        default = self.hook.settings.model or worker.DEFAULT_MODEL
        return worker.ImageSetRequest.build(
            prompt=self.prompt,  # type: ignore[arg-type]  # templates leave it open; build() checks it
            max_images=self.max_images,
            size=self.size,
            width=self.width,
            height=self.height,
            resolution=self.resolution,
            model=reject_blank("model", self.model)
            or worker.version_for(default, references=images is not None),
            output_format=self.output_format,
            enable_base64_output=self.enable_base64_output,
            enable_sync_mode=self.enable_sync_mode,
            images=images,
        )

    def _references(self, submission: Submission, context: Context) -> list[Reference] | None:
        """The reference images; those that this try uploaded already, with their links."""
        if self.images is None:
            return None
        try:
            references = worker.read_references(self.images, self.hook)
        except InvalidInputError as error:
            record = submission.record
            if record is not None and record.prediction_id:
                # What is paid is not given up for a file that another worker may have.
                raise error.for_another_try() from None
            raise
        known = dict(self._pull(context, xcom.UPLOADED_IMAGES) or {})
        return [replace(each, url=each.url or known.get(each.sha256 or "")) for each in references]

    def _folder(self) -> ObjectStoragePath | None:
        """Where to publish to, checked to be a known kind of store before anything is paid."""
        return None if self.output_path is None else object_store_folder("output_path", self.output_path)

    def _prepared(self, request: ImageSetRequest, context: Context) -> ImageSetRequest:
        """The request with its references uploaded. A folder that is taken is refused before anything is paid."""
        folder = self._folder()
        if folder is not None:
            publishing.refuse_others(
                folder, publisher(context), prompt=request.prompt, images=request.max_images
            )
        if all(each.url for each in request.images):
            return request
        before = len(known := dict(self._pull(context, xcom.UPLOADED_IMAGES) or {}))
        images = tuple(worker.upload(each, self.hook, known) for each in request.images)
        if len(known) > before:
            self._push(context, xcom.UPLOADED_IMAGES, known)
            self.log.info("Uploaded %d reference image(s).", len(known) - before)
        return replace(request, images=images)

    def _wait(self, ordered: ImageSet, submission: Submission, context: Context) -> dict[str, Any]:
        submitted_at = submission.record.submitted_at if submission.record else None
        if not self.deferrable:
            verdict = self.hook.wait(
                ordered.prediction_id,
                deadline=submission.deadline,
                schedule=worker.PollSchedule.every(self.poll_interval),
                submitted_at=submitted_at,
            )
            return self._finish(verdict, submission, context)
        return self.defer(
            trigger=worker.SeedreamPredictionTrigger(
                seedream_conn_id=self.seedream_conn_id,
                prediction_id=ordered.prediction_id,
                deadline=submission.deadline,
                poll_interval=self.poll_interval,
                submitted_at=submitted_at,
                kind=worker.job_class_of(ordered),
            ),
            method_name="execute_complete",
        )

    def _finish(self, verdict: PollResult, submission: Submission, context: Context) -> dict[str, Any]:
        if verdict.error is not None:
            raise verdict.error
        prediction = verdict.prediction or self._fetch(verdict.prediction_id, submission)
        if prediction is not None and prediction.status is not worker.Status.COMPLETED:
            raise prediction.failure()
        ordered = worker.ImageSet.from_json(self._pull(context, xcom.ORDERED_IMAGE_SET))
        if prediction is None:
            return self._wait(ordered, submission, context)
        image_set = self._deliver(prediction, ordered, submission, context)
        submission.delivered()
        return image_set.to_json()

    def _fetch(self, prediction_id: str, submission: Submission) -> Prediction | None:
        """A prediction that is over; ``None`` where it is not visible as such now, and there is time left to wait."""
        try:
            prediction = self.hook.prediction(prediction_id)
            if prediction.status.ended:
                return prediction
            trouble = prediction.status_word
        except ApiError as error:
            oversized = isinstance(error, OversizedAnswerError)
            # A poll saw it complete: a server that knows nothing of it yet will.
            may_pass = error.transient or isinstance(error, NotFoundError)
            if oversized or not may_pass or time.time() >= submission.deadline:
                raise
            trouble = str(error)
        self.log.warning("Prediction %s is complete but cannot be seen so now: %s", prediction_id, trouble)
        return None

    def _deliver(
        self, prediction: Prediction, ordered: ImageSet, submission: Submission, context: Context
    ) -> ImageSet:
        try:
            prediction = worker.accept(
                prediction,
                requested=ordered.requested,
                on_short_delivery=self.on_short_delivery,
                on_flagged=self.on_flagged,
            )
        except DeliveryError:
            # The set is here, and the author of the DAG does not want it: a clear asks for another.
            submission.delivered()
            raise
        # By what came, as the task may have been edited since it was submitted.
        inline, folder = not prediction.has_links, self._folder()
        image_set = worker.delivered(ordered, prediction, links=not inline)
        if not inline:
            # Before publishing, which may fail and must not keep anyone from what is paid.
            self._push(context, xcom.IMAGE_URLS, [image.url for image in image_set.images])
        elif folder is None:
            raise DeliveryError(
                "The images came inside the answer, and XCom is no place for them. "
                + _take_it(prediction, submission, "Give output_path; then")
            )
        if folder is not None:
            image_set = self._publish(image_set, prediction, folder, submission, context)
        if inline:
            self._push(context, xcom.IMAGE_URLS, [image.url for image in image_set.images])
        self.made = image_set
        worker.announce(context, image_set, self.published)
        self._metrics.completed(image_set)
        self.log.info(worker.summary(image_set))
        return image_set

    def _publish(
        self,
        image_set: ImageSet,
        prediction: Prediction,
        folder: ObjectStoragePath,
        submission: Submission,
        context: Context,
    ) -> ImageSet:
        """Publish to ``output_path``. A base64 set has no links, so it gets the places of its files instead."""
        try:
            self.published = published = worker.publish(
                image_set,
                folder,
                sources=None if prediction.has_links else prediction.outputs,
                published_by=publisher(context),
                zones=zones_of_connection(self.hook),
            )
        except (publishing.FolderTakenError, publishing.StoreError) as error:
            advice = _take_it(prediction, submission, "Free the folder, or give another output_path; then")
            raise error.with_way_out(advice) from None
        except publishing.ImageError as error:
            raise error.for_paying_task(_take_it(prediction, submission, "To fetch it again,")) from None
        if prediction.has_links:
            return image_set
        files = (str(folder / each.file) for each in published.manifest.images)
        placed = (replace(each, url=file) for each, file in zip(image_set.images, files, strict=True))
        return replace(image_set, images=tuple(placed))


def _take_it(prediction: Prediction, submission: Submission, what: str) -> str:
    return paying.take_paid(prediction.id, what, submission.store.answer_name)


def _ordered(request: ImageSetRequest, paid: Paid, submission: Submission) -> ImageSet:
    """The image set that was paid for, with no images yet."""
    record = submission.record
    return worker.ordered_image_set(
        request,
        paid.prediction_id,
        cost_usd=record.cost_usd if record else request.cost_usd,
        created_at=paid.prediction.created_at if paid.prediction else None,
        submitted_at=record.submitted_at if record else None,
    )
