"""The connection, turned into clients."""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Callable
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

from airflow_provider_seedream import hooks, waiting, wavespeed
from airflow_provider_seedream.wavespeed.errors import (
    ApiError,
    BadRequestError,
    InvalidResponseError,
    NotFoundError,
    WaveSpeedError,
)

if TYPE_CHECKING:
    from airflow_provider_seedream.hooks.settings import ConnectionSettings
    from airflow_provider_seedream.wavespeed.client import WaveSpeedClient
    from airflow_provider_seedream.wavespeed.endpoint import Endpoint
    from airflow_provider_seedream.wavespeed.operations import Call
    from airflow_provider_seedream.wavespeed.prediction import Prediction
    from airflow_provider_seedream.wavespeed.request import PaidRequest

log = logging.getLogger(__name__)

PAGES = 20
"""Pages of 100 predictions that a search reads at most."""


class SeedreamHook(BaseHook):
    """Talks to WaveSpeedAI with what a connection of type ``seedream`` says.

    Password: the API key. Host: the API's origin, default ``https://api.wavespeed.ai``. Extra: ``model`` (default
    model), ``connect_timeout`` and ``read_timeout`` (seconds), ``max_cost`` (ceiling in USD per image set),
    ``max_cost_per_day`` (ceiling in USD for what the account spends in a day, UTC), ``allow_insecure_http``. Where no
    connection ``seedream_default`` exists, the environment variable ``WAVESPEED_API_KEY`` is used for it: only after each
    secrets backend was asked twice and none failed, as the key may be another account's.

    :param seedream_conn_id: the connection.
    :param inline_images: whether images may come inside answers, in base64; then an answer may be large.
    """

    conn_name_attr = "seedream_conn_id"
    default_conn_name = "seedream_default"
    conn_type = "seedream"
    hook_name = "Seedream (WaveSpeedAI)"

    def __init__(self, seedream_conn_id: str = default_conn_name, *, inline_images: bool = False) -> None:
        super().__init__()
        self.seedream_conn_id = seedream_conn_id
        self.inline_images = inline_images
        self._lists_inputs = True

    @cached_property
    def settings(self) -> ConnectionSettings:
        """What the connection says, checked.

        :raises InvalidInputError: naming the field of the connection that is wrong.
        :raises AirflowNotFoundException: if there is no such connection.
        :raises ApiConnectionError: if a secrets backend fails, so that it is not known whether there is one.
        """
        return hooks.read_settings(self.seedream_conn_id, self.default_conn_name)

    async def asettings(self) -> ConnectionSettings:
        """Like :attr:`settings`, for the event loop. Read on each call."""
        return await hooks.read_settings_in_loop(self.seedream_conn_id, self.default_conn_name)

    async def read_endpoint(self) -> Endpoint:
        """Where the connection says the API is, with the key, for the event loop. Read on each call."""
        return (await self.asettings()).endpoint

    def _read_connection_again(self) -> None:
        """Use what the connection says now: a person may have edited it."""
        try:
            settings = hooks.read_settings(self.seedream_conn_id, self.default_conn_name)
        except Exception:
            log.warning(
                "Connection %s could not be read again; going on with what it said.",
                self.seedream_conn_id,
                exc_info=True,
            )
            return
        if settings.endpoint != self.settings.endpoint:
            self.client.close()
            self.settings, self.client = settings, wavespeed.WaveSpeedClient(settings.endpoint)

    @cached_property
    def client(self) -> WaveSpeedClient:
        """The client for code that may block."""
        return wavespeed.WaveSpeedClient(self.settings.endpoint)

    def get_conn(self) -> WaveSpeedClient:
        """The client, under Airflow's usual name."""
        return self.client

    def submit(
        self,
        request: PaidRequest,
        *,
        send_by: float | None = None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> Prediction:
        """Submit a request for an image set, or for an enhancement. This pays.

        :param send_by: epoch seconds after which it is not sent any more.
        :param stopped: asked before each attempt whether it must not be sent any more.
        :raises ApiError: of the class that says whether it may have been accepted.
        """
        return self.client.send(wavespeed.operations.submit(request, send_by=send_by, stopped=stopped))

    def upload(self, filename: str, media_type: str, image: bytes) -> str:
        """Upload a reference image and give its link, good for seven days. Free.

        By a ticket, as the vendor's SDKs do it; what the API refuses, it refuses before the image is sent. Where that way
        is closed, in a form.
        """
        try:
            ticket = self.client.send(wavespeed.operations.upload_ticket(filename, media_type, len(image)))
        except ApiError as error:
            if not isinstance(error, InvalidResponseError) and error.code not in (404, 405, 501):
                raise
            trouble = error
        else:
            try:
                self.client.put(ticket, image)
            except ApiError as error:
                trouble = error
            else:
                return ticket.download_url
        self.log.warning("%s Uploading the image in a form instead.", trouble)
        return self.client.send(wavespeed.operations.upload(filename, media_type, image))

    def prediction(self, prediction_id: str, *, attempts: int = 5) -> Prediction:
        """Fetch a prediction. Free.

        :param attempts: how often to ask at most, where the answer is trouble that may pass; default 5.
        """
        return self.client.send(self._result(prediction_id), attempts=attempts)

    def _result(self, prediction_id: str) -> Call[Prediction]:
        return wavespeed.operations.result(prediction_id, inline=self.inline_images)

    def wait(
        self,
        prediction_id: str,
        *,
        deadline: float,
        schedule: waiting.PollSchedule,
        submitted_at: float | None = None,
    ) -> waiting.PollResult:
        """Wait, blocking, until a prediction ends or our deadline comes.

        :param deadline: epoch seconds.
        :param submitted_at: epoch seconds, or ``None`` where unknown.
        """
        call, throttle, today = self._result(prediction_id), waiting.Throttle(), time.time()
        state = waiting.PollState(
            prediction_id,
            schedule=schedule,
            now=time.monotonic(),
            remaining=deadline - today,
            age=None if submitted_at is None else today - submitted_at,
        )
        while True:
            begins = throttle.not_before(state.due, state.deadline)
            time.sleep(max(0.0, begins - time.monotonic()))
            began = time.monotonic()
            answer: Prediction | ApiError
            try:
                answer = self.client.send(call, attempts=1)
            except ApiError as error:
                answer = error
                if waiting.refused(error):
                    self._read_connection_again()
            now = time.monotonic()
            notice = state.notice(answer)
            throttle.update(answer, began, now)
            result = state.update(answer, began, now)
            if result is not None:
                return result
            if notice is not None:
                seconds = throttle.not_before(state.due, state.deadline) - now
                log.warning("Prediction %s %s in %.0f s.", prediction_id, notice, seconds)

    def predictions(
        self, *, model: str | None, created_after: dt.datetime, created_before: dt.datetime
    ) -> list[Prediction]:
        """The account's predictions of a model, or of all (None), within a window of time, newest first. Free.

        The API keeps them for seven days and may list a new one late (API reference 4).

        :raises InvalidResponseError: if there are more than can be read.
        """
        list_page = partial(
            wavespeed.operations.list_predictions,
            model=model,
            created_after=created_after,
            created_before=created_before,
        )
        found: list[Prediction] = []
        for number in range(1, PAGES + 1):
            try:
                page = self.client.send(list_page(page=number, inputs=self._lists_inputs))
            except BadRequestError:
                if not self._lists_inputs:
                    raise
                # What the vendor's command line asks for is in no documentation.
                self._lists_inputs = False
                page = self.client.send(list_page(page=number, inputs=False))
            found += page
            if len(page) < wavespeed.operations.PAGE_SIZE:
                return found
        of = f" of {model}" if model else ""
        raise InvalidResponseError(
            f"The API lists more than {len(found)} predictions{of} in that time; the older ones were not read."
        )

    @property
    def clock_ahead(self) -> float | None:
        """Seconds by which the API's clock is ahead of this machine's, by its latest answer; ``None`` before the first."""
        return self.client.clock_ahead

    def balance(self) -> float:
        """The account's balance in USD. Free."""
        return self.client.send(wavespeed.operations.balance())

    def spent_today(self) -> float:
        """What the account spent since midnight UTC, by the API's own clock and figures, in USD. Free; may lag behind."""
        spent, day = 0.0, None
        # Twice where the first answer shows that the API's clock says another day than ours.
        for _ in range(2):
            now = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=self.clock_ahead or 0.0)
            if now.date() == day:
                break
            day = now.date()
            since = dt.datetime.combine(day, dt.time(), dt.UTC)
            # Its newest charges may lie in our future: a clock is known to a second only.
            spent = self.client.send(
                wavespeed.operations.usage(since, now + dt.timedelta(seconds=wavespeed.operations.CLOCK_SKEW))
            )
        return spent

    def price(self, request: PaidRequest) -> float:
        """What the API itself would charge for a request, in USD. Free; submits nothing."""
        try:
            return self.client.send(wavespeed.operations.price(request))
        except NotFoundError:
            return self.client.send(wavespeed.operations.price(request, path="pricing"))

    def test_connection(self) -> tuple[bool, str]:
        """Ask for the balance: free, one attempt, within ten seconds."""
        try:
            with wavespeed.WaveSpeedClient(self.settings.endpoint.hurried()) as client:
                balance = client.send(wavespeed.operations.balance(), attempts=1)
        except (WaveSpeedError, AirflowNotFoundException) as error:
            return False, str(error)
        return True, f"{self.settings.endpoint.origin} accepts the key. Balance: ${balance:.2f}."

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """The connection form where ``provider.yaml`` is not read for it (Airflow before 3.2)."""
        form = _form()["ui-field-behaviour"]
        return {
            "hidden_fields": form["hidden-fields"],
            "relabeling": form["relabeling"],
            "placeholders": form["placeholders"],
        }

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """The extra fields of the form where ``provider.yaml`` is not read for them (Airflow before 3.2)."""
        from flask_appbuilder.fieldwidgets import BS3TextFieldWidget
        from flask_babel import lazy_gettext
        from wtforms import BooleanField, StringField

        return {
            name: BooleanField(lazy_gettext(field["label"]))
            if "boolean" in field["schema"]["type"]
            else StringField(lazy_gettext(field["label"]), widget=BS3TextFieldWidget())
            for name, field in _form()["conn-fields"].items()
        }


def _form() -> dict[str, Any]:
    from airflow_provider_seedream.get_provider_info import get_provider_info

    form: dict[str, Any] = get_provider_info()["connection-types"][0]
    return form
