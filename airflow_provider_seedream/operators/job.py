"""What a try of the image-set operator does once it runs. Imported by then only, as DAG files are parsed often."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from airflow_provider_seedream.lineage.assets import announce
from airflow_provider_seedream.metrics import Metrics, Resumption
from airflow_provider_seedream.operators.arguments import (
    given,
    lasting_errors_fail_at_once,
    object_store_folder,
    publisher,
)
from airflow_provider_seedream.submission.budget import Ceiling, check
from airflow_provider_seedream.submission.store import SubmissionStore, submission_store
from airflow_provider_seedream.submission.submitter import Order, Postponed, Submitter
from airflow_provider_seedream.wavespeed import calls
from airflow_provider_seedream.wavespeed.delivery import accept
from airflow_provider_seedream.wavespeed.durations import kind_of
from airflow_provider_seedream.wavespeed.errors import ApiError
from airflow_provider_seedream.wavespeed.image_set import DEFAULT_MODEL, ImageSet, ImageSetRequest, Picture
from airflow_provider_seedream.wavespeed.inputs import dollars
from airflow_provider_seedream.wavespeed.polling import FIRST_LOOK, PollSchedule, Verdict
from airflow_provider_seedream.wavespeed.sizes import Size

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, ObjectStoragePath

    from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator
    from airflow_provider_seedream.wavespeed.endpoint import Endpoint
    from airflow_provider_seedream.wavespeed.prediction import Prediction

ORDERED = "ordered_image_set"
"""XCom of the image set that was paid for, with no images yet."""

SPENT = "spent_usd"
"""XCom of what the task has paid, or may have, since it was last cleared: earlier tries included."""


@dataclass(frozen=True, slots=True)
class ImageSetJob:
    """One try of one task: from its rendered inputs to an image set, or to a deferral.

    :param task: the operator, with its templates rendered.
    :param context: Airflow's.
    :param store: where the submission record is kept.
    """

    task: SeedreamSequentialOperator
    context: Context
    store: SubmissionStore

    @classmethod
    def of(cls, task: SeedreamSequentialOperator, context: Context) -> Self:
        """The job with the best store that the running Airflow offers."""
        return cls(task, context, submission_store(context, task.task_id))

    def run(self, *, came_back: bool) -> dict[str, Any]:
        """Submit, or take up what was submitted, and wait.

        :param came_back: whether this goes on after a pause within the same try.
        """
        with self._errors_told():
            request = self._request()
            self._folder()
            order, submitter = self._order(request), self._submitter()
            self.task.if_killed = (
                f"A submission of ${request.cost_usd:g} may be under way; {self._next_try()}."
            )
            before = self.store.read() if came_back or self.store.outlives_a_try else None
            resumption = Resumption(type(self.task).__name__, before, remembers=self.store.outlives_a_try)
            with resumption.traced():
                obtained = submitter.obtain(order, came_back=came_back)
                while isinstance(obtained, Postponed):
                    if self.task.deferrable:
                        return self._come_back_in(obtained.seconds)
                    time.sleep(obtained.seconds)
                    obtained = submitter.obtain(order, came_back=True)
                resumption.decided(obtained)
            return self._wait(
                request, obtained, paid_now=before is None or before.prediction_id != obtained.id
            )

    def complete(self, event: Any) -> dict[str, Any]:
        """Go on after the trigger's event."""
        with self._errors_told():
            verdict = Verdict.from_event(event)
            self.task.if_killed = f"Prediction {verdict.prediction_id} stays billed; {self._next_try()}."
            return self._finish(verdict)

    def _wait(self, request: ImageSetRequest, prediction: Prediction, *, paid_now: bool) -> dict[str, Any]:
        record = self.store.read()
        cost_usd = record.cost_usd if record else request.cost_usd
        self.task.if_killed = f"Prediction {prediction.id} is not cancelled and stays billed (${cost_usd:g}); {self._next_try()}."
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
        self._push("prediction_id", prediction.id)
        # What was paid for: rendered anew after the deferral, a template may say something else.
        self._push(ORDERED, ordered.to_json())
        self._push(SPENT, record.may_be_spent_usd if record else cost_usd)
        self.task.made = ordered
        if paid_now:
            self._metrics.submitted(ordered)
        if prediction.status.ended:
            return self._finish(Verdict.of(prediction))
        if not self.task.wait_for_completion:
            return ordered.to_json()
        return self._look_until(
            record.deadline if record and record.deadline else time.time() + self.task.timeout, ordered
        )

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
                kind=kind_of(ordered.model, ordered.requested, Size.parse(ordered.size).pixels),
            ),
            method_name="execute_complete",
        )

    def _come_back_in(self, seconds: float) -> dict[str, Any]:
        from airflow.providers.common.compat.standard.triggers import TimeDeltaTrigger

        # Not sooner than the scheduler can have read that the task deferred; see FIRST_LOOK. Twice that: a turn to submit
        # comes by the minute, and many tasks that wait for one keep the scheduler busy.
        pause = dt.timedelta(seconds=max(2 * FIRST_LOOK, seconds))
        return self.task.defer(trigger=TimeDeltaTrigger(pause), method_name="execute_postponed")

    @contextmanager
    def _errors_told(self) -> Iterator[None]:
        """See to it that no error hides what is paid, and that no retry burns time where it cannot help."""
        try:
            with lasting_errors_fail_at_once(), self._errors_counted():
                yield
        except Exception as error:
            self._tell_what_is_paid(error)
            raise

    @contextmanager
    def _errors_counted(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self._metrics.failed(error)
            raise

    @property
    def _metrics(self) -> Metrics:
        return Metrics(self.task.seedream_conn_id)

    def _tell_what_is_paid(self, error: Exception) -> None:
        try:
            record = self.store.read()
            if record is not None:
                self._push(SPENT, record.may_be_spent_usd)
        except Exception:
            self.task.log.exception("The submission record could not be read.")
            return
        if record is not None and record.prediction_id and record.prediction_id not in str(error):
            paid = (record.prediction_id, record.cost_usd, self._next_try())
            self.task.log.error("Prediction %s is paid ($%g); %s.", *paid)

    def _request(self) -> ImageSetRequest:
        task = self.task
        return ImageSetRequest.build(
            prompt=task.prompt,  # type: ignore[arg-type]  # templates leave it open; build() checks it
            max_images=task.max_images,
            size=task.size,
            width=task.width,
            height=task.height,
            resolution=task.resolution,
            model=given("model", task.model) or task.hook.settings.model or DEFAULT_MODEL,
            output_format=task.output_format,
            enable_base64_output=task.enable_base64_output,
            enable_sync_mode=task.enable_sync_mode,
        )

    def _folder(self) -> ObjectStoragePath | None:
        """Where to publish to, seen to exist as a kind of store before anything is paid."""
        path = self.task.output_path
        return None if path is None else object_store_folder("output_path", path)

    def _order(self, request: ImageSetRequest) -> Order:
        if request.count_was_added:
            self.task.log.info(
                'The prompt named no count; "%d images." was put in front of it.', request.max_images
            )
        hook, settings = self.task.hook, self.task.hook.settings
        return Order(
            request=request,
            fingerprint=request.fingerprint(self.task.seedream_conn_id),
            max_tries=self.context["ti"].max_tries,
            price=lambda: hook.price(request) if self.task.price_source == "api" else request.cost_usd,
            check_budget=lambda cost_usd, spent_usd: check(cost_usd, self._ceilings(spent_usd)),
            account=f"{settings.source}, {settings.endpoint.origin}",
            timeout=self.task.timeout,
            answer_timeout=answer_timeout(settings.endpoint, request),
        )

    def _ceilings(self, spent_usd: float) -> Iterator[Ceiling]:
        settings = self.task.hook.settings
        connection = f"in the extra of connection {self.task.seedream_conn_id}"
        earlier = "that earlier submissions of this task cost, or may have"
        own = dollars("max_cost", given("max_cost", self.task.max_cost))
        yield Ceiling(own, "max_cost of this task", spent_usd, earlier)
        yield Ceiling(settings.max_cost, f"max_cost {connection}", spent_usd, earlier)
        if settings.max_cost_per_day is not None:
            today = self.task.hook.spent_today()
            yield Ceiling(
                settings.max_cost_per_day, f"max_cost_per_day {connection}", today, "spent today (UTC)"
            )

    def _submitter(self) -> Submitter:
        return Submitter(
            api=self.task.hook,
            store=self.store,
            on_clear=self.task.on_clear,
            on_lost_submission=self.task.on_lost_submission,
            claimed=self._claimed,
        )

    def _claimed(self) -> set[str]:
        """Predictions of this task's mapped siblings in this run."""
        pulled = self.context["ti"].xcom_pull(task_ids=[self.task.task_id], key="prediction_id")
        return {each for each in pulled if each}

    def _finish(self, verdict: Verdict) -> dict[str, Any]:
        if verdict.error is not None:
            raise verdict.error
        try:
            prediction = verdict.prediction or self.task.hook.prediction(verdict.prediction_id)
        except ApiError as error:
            record = self.store.read()
            deadline = record.deadline if record else None
            if not error.transient or not deadline or time.time() >= deadline:
                raise
            self.task.log.warning(
                "Prediction %s is complete but cannot be seen now: %s", verdict.prediction_id, error
            )
            return self._look_until(deadline, self._ordered())
        return self._deliver(prediction).to_json()

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
        naked = self.task.enable_base64_output
        links = [""] * len(prediction.outputs) if naked else prediction.outputs
        image_set = replace(
            ordered,
            images=tuple(Picture(*pair) for pair in zip(links, prediction.flags, strict=True)),
            inference_ms=prediction.inference_ms,
            created_at=prediction.created_at,
            completed_at=_iso(time.time()),
        )
        if not naked:
            # Before publishing, which may fail and must not keep anyone from what is paid.
            self._push("image_urls", list(links))
        folder = self._folder()
        if folder is not None:
            image_set = self._publish(image_set, prediction, folder)
        if naked:
            self._push("image_urls", [picture.url for picture in image_set.images])
        self.task.made = image_set
        announce(self.context, image_set, self.task.published)
        self._metrics.completed(image_set)
        self.task.log.info(
            "Prediction %s is complete: %d of %d image(s), $%g.",
            image_set.prediction_id,
            len(image_set.images),
            image_set.requested,
            image_set.cost_usd,
        )
        return image_set

    def _publish(self, image_set: ImageSet, prediction: Prediction, folder: ObjectStoragePath) -> ImageSet:
        """Publish to ``output_path``. A base64 set has no links, so it gets the places of its files instead."""
        from airflow_provider_seedream.publishing.publish import publish

        naked = self.task.enable_base64_output
        published = publish(
            image_set,
            folder,
            sources=prediction.outputs if naked else None,
            # Paid is paid: pictures of another size than was asked for are kept, and their size is in the manifest.
            check_size=False,
            published_by=publisher(self.context),
        )
        self.task.published = published
        if not naked:
            return image_set
        placed = published.manifest.images
        return replace(
            image_set, images=tuple(Picture(str(folder / each.file), each.flagged) for each in placed)
        )

    def _push(self, key: str, value: Any) -> None:
        self.context["ti"].xcom_push(key=key, value=value)

    def _next_try(self) -> str:
        if self.store.outlives_a_try:
            return 'a retry takes it up; so does a clear with on_clear="reuse"'
        return "this Airflow keeps no record of it for a retry, which would submit anew"


def answer_timeout(endpoint: Endpoint, request: ImageSetRequest) -> float:
    """Seconds that the paying request may take, from its first attempt to connect to its answer."""
    return endpoint.connect_timeout + (calls.submit(request).read_timeout or endpoint.read_timeout)


def _iso(moment: float) -> str:
    return dt.datetime.fromtimestamp(moment, dt.UTC).isoformat(timespec="milliseconds")
