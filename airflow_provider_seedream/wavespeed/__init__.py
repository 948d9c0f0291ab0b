"""The vendor's API: prompts, requests, predictions, errors, operations and clients. Knows nothing of Airflow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_seedream._lazy import attach

if TYPE_CHECKING:
    from airflow_provider_seedream.wavespeed import async_client, image_set, operations
    from airflow_provider_seedream.wavespeed.async_client import AsyncWaveSpeedClient
    from airflow_provider_seedream.wavespeed.client import WaveSpeedClient
    from airflow_provider_seedream.wavespeed.errors import (
        AccountChangedError,
        ApiConnectionError,
        ApiError,
        ApiTimeoutError,
        AuthenticationError,
        BadRequestError,
        BudgetExceededError,
        DeliveryError,
        InsufficientBalanceError,
        InternalServerError,
        InvalidInputError,
        InvalidResponseError,
        LostSubmissionError,
        NotFoundError,
        PermissionDeniedError,
        PollInterruptedError,
        PollRejectedError,
        PredictionFailedError,
        PredictionTimeoutError,
        RateLimitError,
        RequestChangedError,
        UnusableEnhancementError,
        WaveSpeedError,
    )
    from airflow_provider_seedream.wavespeed.image_set import GeneratedImage, ImageSet, read_image_set
    from airflow_provider_seedream.wavespeed.prediction import Prediction, Status
    from airflow_provider_seedream.wavespeed.prompt import ImageSetPrompt, Scene
    from airflow_provider_seedream.wavespeed.prompt_parsing import read_answer
    from airflow_provider_seedream.wavespeed.request import ImageSetRequest
    from airflow_provider_seedream.wavespeed.sizes import Size

__all__ = [
    "AccountChangedError",
    "ApiConnectionError",
    "ApiError",
    "ApiTimeoutError",
    "AsyncWaveSpeedClient",
    "AuthenticationError",
    "BadRequestError",
    "BudgetExceededError",
    "DeliveryError",
    "GeneratedImage",
    "ImageSet",
    "ImageSetPrompt",
    "ImageSetRequest",
    "InsufficientBalanceError",
    "InternalServerError",
    "InvalidInputError",
    "InvalidResponseError",
    "LostSubmissionError",
    "NotFoundError",
    "PermissionDeniedError",
    "PollInterruptedError",
    "PollRejectedError",
    "Prediction",
    "PredictionFailedError",
    "PredictionTimeoutError",
    "RateLimitError",
    "RequestChangedError",
    "Scene",
    "Size",
    "Status",
    "UnusableEnhancementError",
    "WaveSpeedClient",
    "WaveSpeedError",
    "async_client",
    "image_set",
    "operations",
    "read_answer",
    "read_image_set",
]

_ELSEWHERE = {
    "AsyncWaveSpeedClient": "async_client",
    "async_client": "async_client",
    "WaveSpeedClient": "client",
    "GeneratedImage": "image_set",
    "ImageSet": "image_set",
    "read_image_set": "image_set",
    "image_set": "image_set",
    "operations": "operations",
    "Prediction": "prediction",
    "Status": "prediction",
    "ImageSetPrompt": "prompt",
    "Scene": "prompt",
    "read_answer": "prompt_parsing",
    "ImageSetRequest": "request",
    "Size": "sizes",
}
_SUBMODULES = {name: _ELSEWHERE.get(name, "errors") for name in __all__}
__getattr__, __dir__ = attach(__name__, _SUBMODULES)
