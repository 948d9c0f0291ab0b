"""What a try of the image-set operator does once it runs. Imported by then only, as DAG files are parsed often."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_provider_seedream.lineage.assets import announce
from airflow_provider_seedream.operators.arguments import (
    given,
    object_store_folder,
    publisher,
    refuse_what_rendered_to_nothing,
)
from airflow_provider_seedream.operators.paid_job import PaidJob
from airflow_provider_seedream.operators.references import read_references, upload
from airflow_provider_seedream.operators.runs import how_to_clear
from airflow_provider_seedream.operators.zones import zones_of_connection
from airflow_provider_seedream.submission.record import Phase
from airflow_provider_seedream.waiting.poll import PollResult
from airflow_provider_seedream.waiting.schedule import PollSchedule, job_class_of
from airflow_provider_seedream.wavespeed.errors import (
    ApiError,
    DeliveryError,
    InvalidInputError,
    OversizedAnswerError,
)
from airflow_provider_seedream.wavespeed.image_set import GeneratedImage, ImageSet, accept, delivered, summary
from airflow_provider_seedream.wavespeed.prediction import Status
from airflow_provider_seedream.wavespeed.request import DEFAULT_MODEL, ImageSetRequest, version_for

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator
    from airflow_provider_seedream.wavespeed.prediction import Prediction
    from airflow_provider_seedream.wavespeed.references import Reference

UPLOADED = "uploaded_images"
"""XCom of the links that files were uploaded to, by their digest: a try that waits for its turn uploads them once."""

ORDERED = "ordered_image_set"
"""XCom of the image set that was paid for, with no images yet."""


@dataclass(frozen=True, slots=True)
class ImageSetJob(PaidJob):
    """One try of one task: from its rendered inputs to an image set, or to a deferral."""

    task: SeedreamSequentialOperator

    def run(self, *, came_back: bool) -> dict[str, Any]:
        """Submit, or take up what was submitted, and wait.

        :param came_back: whether this goes on after a pause within the same try.
        """
        with self.errors_told():
            request = self._request()
            self._folder()
            if request.count_was_added:
                self.task.log.info(
                    'The prompt named no count; "%d images." was put in front of it.', request.max_images
                )
            obtained = self.obtain(request, came_back=came_back, prepare=lambda: self._prepared(request))
            return self._wait(request, obtained)

    def goes_on(self) -> bool:
        """Whether this try goes on with what an earlier one submitted, or may have, for the task's prompt."""
        with self.errors_told():
            record = self.store.read() if self.store.outlives_a_try else None
            if record is None or record.phase is Phase.NOTHING:
                return False
            if not record.cleared_since(self.attempt()):
                return True
            try:
                request = self._request()
            except InvalidInputError:
                return self.task.on_clear == "reuse"
            return not self.would_submit(request)

    def complete(self, event: Any) -> dict[str, Any]:
        """Go on after the trigger's event."""
        with self.errors_told():
            verdict = PollResult.from_event(event)
            self.billed(verdict.prediction_id)
            self.remember(verdict.prediction_id)
            return self._finish(verdict)

    def _wait(self, request: ImageSetRequest, prediction: Prediction) -> dict[str, Any]:
        record = self.store.read()
        cost_usd = record.cost_usd if record else request.cost_usd
        ordered = ImageSet(
            prediction_id=prediction.id,
            model=request.model,
            prompt=request.prompt,
            size=str(request.size),
            requested=request.max_images,
            images=(),
            cost_usd=cost_usd,
            created_at=prediction.created_at,
            submitted_at=_iso(record.submitted_at) if record and record.submitted_at else None,
        )
        # What was paid for: after the deferral, a template may render to something else.
        self.push(ORDERED, ordered.to_json())
        self.task.made = ordered
        if prediction.status.ended:
            return self._finish(PollResult.of(prediction))
        if not self.task.wait_for_completion:
            self.mark_delivered()
            return ordered.to_json()
        return self._look_until(self.deadline(), ordered)

    def _look_until(self, deadline: float, ordered: ImageSet) -> dict[str, Any]:
        record = self.store.read()
        submitted_at = record.submitted_at if record else None
        if not self.task.deferrable:
            verdict = self.task.hook.wait(
                ordered.prediction_id,
                deadline=deadline,
                schedule=PollSchedule.every(self.task.poll_interval),
                submitted_at=submitted_at,
            )
            return self._finish(verdict)
        from airflow_provider_seedream.triggers.seedream import SeedreamPredictionTrigger

        return self.task.defer(
            trigger=SeedreamPredictionTrigger(
                seedream_conn_id=self.task.seedream_conn_id,
                prediction_id=ordered.prediction_id,
                deadline=deadline,
                poll_interval=self.task.poll_interval,
                submitted_at=submitted_at,
                kind=job_class_of(ordered),
            ),
            method_name="execute_complete",
        )

    def _request(self) -> ImageSetRequest:
        task = self.task
        refuse_what_rendered_to_nothing(task, task.names_given)
        images = self._references()
        default = task.hook.settings.model or DEFAULT_MODEL
        return ImageSetRequest.build(
            prompt=task.prompt,  # type: ignore[arg-type]  # templates leave it open; build() checks it
            max_images=task.max_images,
            size=task.size,
            width=task.width,
            height=task.height,
            resolution=task.resolution,
            model=given("model", task.model) or version_for(default, references=images is not None),
            output_format=task.output_format,
            enable_base64_output=task.enable_base64_output,
            enable_sync_mode=task.enable_sync_mode,
            images=images,
        )

    def _folder(self) -> ObjectStoragePath | None:
        """Where to publish to, seen to exist as a kind of store before anything is paid."""
        path = self.task.output_path
        return None if path is None else object_store_folder("output_path", path)

    def _references(self) -> list[Reference] | None:
        """The reference pictures; those that this try has uploaded already, with their links."""
        if self.task.images is None:
            return None
        try:
            references = read_references(self.task.images)
        except InvalidInputError as error:
            record = self.store.read() if self.store.outlives_a_try else None
            # What is paid is not given up for a file that another worker may have.
            error.transient = record is not None and record.prediction_id is not None
            raise
        known = self._links()
        return [replace(each, url=each.url or known.get(each.sha256 or "")) for each in references]

    def _links(self) -> dict[str, str]:
        ti = self.context["ti"]
        return dict(ti.xcom_pull(task_ids=self.task.task_id, key=UPLOADED, map_indexes=ti.map_index) or {})

    def _prepared(self, request: ImageSetRequest) -> ImageSetRequest:
        """The request as it is sent: asked for only where it is about to be paid."""
        folder = self._folder()
        if folder is not None:
            from airflow_provider_seedream.publishing.folder_lock import refuse_others

            refuse_others(folder, publisher(self.context), prompt=request.prompt, images=request.max_images)
        if all(each.url for each in request.images):
            return request
        known = self._links()
        before = len(known)
        images = tuple(upload(each, self.task.hook, known) for each in request.images)
        if len(known) > before:
            self.push(UPLOADED, known)
            self.task.log.info("Uploaded %d reference picture(s).", len(known) - before)
        return replace(request, images=images)

    def _finish(self, verdict: PollResult) -> dict[str, Any]:
        if verdict.error is not None:
            raise verdict.error
        prediction = verdict.prediction or self._seen(verdict.prediction_id)
        if prediction is None:
            return self._look_until(self.deadline(), self._ordered())
        if prediction.status is not Status.COMPLETED:
            raise prediction.failure()
        return self._deliver(prediction).to_json()

    def _seen(self, prediction_id: str) -> Prediction | None:
        """A prediction that is over; ``None`` where it cannot be seen so now, and there is time left to wait for it."""
        trouble: object
        try:
            prediction = self.task.hook.prediction(prediction_id)
            if prediction.status.ended:
                return prediction
            trouble = prediction.status_word
        except ApiError as error:
            oversized = isinstance(error, OversizedAnswerError)
            if oversized or not error.transient or time.time() >= self.deadline():
                raise
            trouble = error
        self.task.log.warning(
            "Prediction %s is complete but cannot be seen so now: %s", prediction_id, trouble
        )
        return None

    def _ordered(self) -> ImageSet:
        ti = self.context["ti"]
        return ImageSet.from_json(
            ti.xcom_pull(task_ids=self.task.task_id, key=ORDERED, map_indexes=ti.map_index)
        )

    def _deliver(self, prediction: Prediction) -> ImageSet:
        ordered = self._ordered()
        prediction = accept(
            prediction,
            requested=ordered.requested,
            on_short_delivery=self.task.on_short_delivery,
            on_flagged=self.task.on_flagged,
        )
        # By what came, as the task may have been edited since it was asked for.
        inline = not prediction.has_links
        image_set = delivered(ordered, prediction, links=not inline)
        if not inline:
            # Before publishing, which may fail and must not keep anyone from what is paid.
            self.push("image_urls", [picture.url for picture in image_set.images])
        folder = self._folder()
        if inline and folder is None:
            raise DeliveryError(
                f"Prediction {prediction.id} is complete and paid, but its pictures came inside the answer, and XCom is no "
                "place for them. Give output_path, and run the task again: it takes this prediction up."
            )
        if folder is not None:
            image_set = self._publish(image_set, prediction, folder)
        if inline:
            self.push("image_urls", [picture.url for picture in image_set.images])
        self.task.made = image_set
        announce(self.context, image_set, self.task.published)
        self.metrics.completed(image_set)
        self.task.log.info(summary(image_set))
        self.mark_delivered()
        return image_set

    def _free_the_folder(self, prediction_id: str) -> str:
        take = 'on_clear="reuse"' if self.store.outlives_a_try else 'on_lost_submission="adopt"'
        return (
            f"Prediction {prediction_id} is paid. Free the folder, or give another output_path; then set {take} and "
            f"{how_to_clear()}. This pays nothing."
        )

    def _publish(self, image_set: ImageSet, prediction: Prediction, folder: ObjectStoragePath) -> ImageSet:
        """Publish to ``output_path``. A base64 set has no links, so it gets the places of its files instead."""
        from airflow_provider_seedream.publishing.errors import FolderTakenError
        from airflow_provider_seedream.publishing.publish import publish

        try:
            published = publish(
                image_set,
                folder,
                sources=None if prediction.has_links else prediction.outputs,
                # Paid is paid: pictures of another size than was asked for are kept, and their size is in the manifest.
                check_size=False,
                published_by=publisher(self.context),
                zones=zones_of_connection(self.task.hook),
            )
        except FolderTakenError as error:
            raise error.with_way_out(self._free_the_folder(prediction.id)) from None
        self.task.published = published
        if prediction.has_links:
            return image_set
        placed = published.manifest.images
        return replace(
            image_set, images=tuple(GeneratedImage(str(folder / each.file), each.flagged) for each in placed)
        )


def _iso(moment: float) -> str:
    return dt.datetime.fromtimestamp(moment, dt.UTC).isoformat(timespec="milliseconds")
