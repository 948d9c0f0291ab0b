"""The operator that makes an image set."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_seedream.hooks.seedream import SeedreamHook
from airflow_provider_seedream.operators.arguments import refuse_unknown_arguments
from airflow_provider_seedream.operators.lineage import TellsLineage
from airflow_provider_seedream.operators.paying import PayingOperator, PriceSource
from airflow_provider_seedream.options import OnFlagged, OnShortDelivery
from airflow_provider_seedream.submission.policies import OnClear, OnLostSubmission
from airflow_provider_seedream.wavespeed.errors import InvalidInputError
from airflow_provider_seedream.wavespeed.validation import parse_bool, parse_choice, parse_seconds

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_seedream.operators.arguments import PathInput
    from airflow_provider_seedream.operators.job import ImageSetJob
    from airflow_provider_seedream.wavespeed.prompt import PromptInput


class _DefaultSize(str):
    """The default of ``size``, another object than the same text written by a user, who then means it."""

    __slots__ = ()


DEFAULT_SIZE = _DefaultSize("2048*2048")


class SeedreamSequentialOperator(TellsLineage, PayingOperator):
    """Makes an image set: several pictures with the same characters, palette and style from one prompt.

    Submits one paid job to WaveSpeedAI and waits for it, by default deferred. A retry takes up the job that an
    earlier try paid for (Airflow 3.3+). Gives the image set as plain JSON: ``prediction_id``, ``model``, ``prompt``,
    ``size``, ``requested``, ``images`` (``url`` and ``flagged`` each), ``cost_usd``, ``inference_ms``, ``created_at``,
    ``submitted_at``, ``completed_at``. Also pushes ``prediction_id`` as soon as it is known, and ``image_urls``. The
    links live seven days. The events of its ``outlets`` say in ``extra`` what was made and what it cost.

    :param prompt: the scenes: a text, an ``ImageSetPrompt`` or a list of scenes.
    :param images: reference pictures to draw from, 1 to 10, with the pictures to make at most 15: links that the vendor
        can fetch, or files (``s3://…``, ``gs://…``, ``file://…``, a path), which are uploaded, free of charge, right
        before the submission. A prompt speaks of them as "Figure 1", "Figure 2". A link that another try renders
        differently, such as a signed one, is another request.
    :param max_images: pictures to make and pay for, 1 to 15; default: the count the prompt names, else 1.
    :param size: ``"W*H"``, ``(w, h)``, or a preset such as ``"16:9"``; default ``"2048*2048"``.
    :param width: pixels, together with ``height``, instead of ``size``.
    :param height: pixels, together with ``width``, instead of ``size``.
    :param resolution: ``"2K"`` or ``"4K"``, with a preset.
    :param output_format: ``"jpeg"`` or ``"png"``; default: the API's.
    :param enable_base64_output: take the pictures out of the answer instead of from links; they go to
        ``output_path``, never to XCom.
    :param enable_sync_mode: let the submission itself wait for the pictures (up to about 90 s, holding a worker).
    :param model: a sequential Seedream model; default: the connection's, else Seedream V5.0 Lite Sequential. With
        ``images`` the default is the edit-sequential model of the same version, at the same price.
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
    :param wait_for_completion: ``False`` ends the task after submission, with no images in its result; a
        ``SeedreamPredictionSensor`` waits for them.
    :param output_path: absolute directory or object storage URL, as text or as a path object, to publish to as well, with a
        manifest. A folder that holds what another task instance published is refused before anything is paid; mapped
        instances need one each.
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
        deferrable: bool = True,
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
        parse_choice("price_source", price_source, PriceSource)
        parse_choice("on_lost_submission", on_lost_submission, OnLostSubmission)
        parse_choice("on_clear", on_clear, OnClear)
        parse_choice("on_short_delivery", on_short_delivery, OnShortDelivery)
        parse_choice("on_flagged", on_flagged, OnFlagged)
        self.enable_base64_output = parse_bool("enable_base64_output", enable_base64_output)
        self.enable_sync_mode = parse_bool("enable_sync_mode", enable_sync_mode)
        self.deferrable = parse_bool("deferrable", deferrable)
        self.wait_for_completion = parse_bool("wait_for_completion", wait_for_completion)
        self.timeout = parse_seconds("timeout", timeout, least=10.0)
        self.poll_interval = (
            None if poll_interval is None else parse_seconds("poll_interval", poll_interval, least=2.0)
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
        if output_path is not None and not self.wait_for_completion:
            raise InvalidInputError(
                "output_path",
                output_path,
                "with wait_for_completion=False this task ends before there are pictures to publish",
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
        self.price_source = price_source
        self.seedream_conn_id = seedream_conn_id
        self.max_cost = max_cost
        self.on_lost_submission = on_lost_submission
        self.on_clear = on_clear
        self.on_short_delivery = on_short_delivery
        self.on_flagged = on_flagged
        self.output_path = output_path
        self.names_given = [name for name in self.template_fields if getattr(self, name, None) is not None]

    def execute(self, context: Context) -> dict[str, Any]:
        """Submit, or take up what an earlier try submitted; then wait.

        :raises AirflowFailException: where trying again would not help.
        """
        return self._job(context).run(came_back=False)

    def execute_postponed(self, context: Context, event: Any = None) -> dict[str, Any]:
        """Go on after a pause that held no worker: it is our turn to submit, or to look again.

        :param event: the timer's.
        """
        return self._job(context).run(came_back=True)

    def execute_complete(self, context: Context, event: Any) -> dict[str, Any]:
        """Go on after the deferral.

        :param event: the trigger's.
        """
        return self._job(context).complete(event)

    def _job(self, context: Context) -> ImageSetJob:
        from airflow_provider_seedream.operators.job import ImageSetJob

        return ImageSetJob.of(self, context)
