"""The JSON that leaves the API: envelopes, error shapes and predictions (API reference 1, 2.5, 3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from airflow_provider_seedream.emulator.clock import rfc3339
from airflow_provider_seedream.emulator.prediction import Prediction

EXTENSION = {"jpeg": "jpeg", "png": "png"}


def success(data: Any) -> web.Response:
    """HTTP 200 with the envelope of every good answer."""
    return web.json_response({"code": 200, "message": "success", "data": data})


def failure(status: int, message: str, *, headers: dict[str, str] | None = None) -> web.Response:
    """The enveloped error that the same HTTP status goes with."""
    return web.json_response({"code": status, "message": message}, status=status, headers=headers)


def flat_failure(status: int, text: str) -> web.Response:
    """The other error shape, without an envelope."""
    return web.json_response({"error": text}, status=status)


def picture_format(prediction: Prediction) -> str:
    """``jpeg`` or ``png``; jpeg where the model has no say in it."""
    return str(prediction.inputs.get("output_format", "jpeg"))


def picture_urls(prediction: Prediction, cdn_origin: str) -> list[str]:
    """One URL per delivered picture, numbered from 1."""
    return [
        f"{cdn_origin}/{prediction.id}/{position}.{EXTENSION[picture_format(prediction)]}"
        for position in range(1, prediction.outcome.images + 1)
    ]


def prediction_json(
    prediction: Prediction,
    now: float,
    *,
    origin: str,
    outputs: Sequence[str],
    with_input: bool = False,
    listed: bool = False,
    status: str | None = None,
) -> dict[str, Any]:
    """The prediction object as submit, result and list show it.

    :param origin: the API's own, for ``urls.get``.
    :param outputs: URLs, base64 or text; shown only once the prediction is completed.
    :param listed: with ``executionTime``, as list items have it.
    :param status: show this word instead of the true one.
    """
    word = status or prediction.status(now)
    done = word == "completed"
    outcome = prediction.outcome
    over = prediction.over(now) and status is None
    inference = round((prediction.ends_at - prediction.starts_at) * 1000) if over else 0
    body: dict[str, Any] = {
        "id": prediction.id,
        "model": prediction.model,
        "outputs": [],
        "urls": {"get": f"{origin}/api/v3/predictions/{prediction.id}/result"},
        "has_nsfw_contents": list(outcome.flags) if done and outcome.flags is not None else [],
        "status": word,
        "created_at": rfc3339(prediction.created_at),
        "error": outcome.error if over else "",
        "timings": {"inference": inference},
    }
    if done:
        body["outputs"] = [{"url": output} for output in outputs] if outcome.as_objects else list(outputs)
    if outcome.flags is None:
        del body["has_nsfw_contents"]
    if over and outcome.code:
        body["code"] = outcome.code
    if with_input:
        body["input"] = dict(prediction.inputs)
    if listed:
        body["executionTime"] = inference
    return body
