"""The vendor's API: prompts, requests, predictions, errors, calls and clients. Knows nothing of Airflow."""

from airflow_provider_seedream.wavespeed.errors import (
    ApiError,
    AuthenticationError,
    BadRequestError,
    BudgetExceededError,
    DeadlineReachedError,
    DeliveryError,
    InsufficientBalanceError,
    InvalidInputError,
    LookRefusedError,
    LostSubmissionError,
    NoAnswerError,
    NotConnectedError,
    NotFoundError,
    PermissionDeniedError,
    PredictionFailedError,
    RateLimitedError,
    RequestChangedError,
    ServerError,
    UnreadableAnswerError,
    WaitBrokenOffError,
    WaveSpeedError,
)
from airflow_provider_seedream.wavespeed.image_set import ImageSet, Picture
from airflow_provider_seedream.wavespeed.prediction import Prediction, Status
from airflow_provider_seedream.wavespeed.prompt import ImageSetPrompt, Scene, read_answer
from airflow_provider_seedream.wavespeed.request import ImageSetRequest
from airflow_provider_seedream.wavespeed.sizes import Size

__all__ = [
    "ApiError",
    "AuthenticationError",
    "BadRequestError",
    "BudgetExceededError",
    "DeadlineReachedError",
    "DeliveryError",
    "ImageSet",
    "ImageSetPrompt",
    "ImageSetRequest",
    "InsufficientBalanceError",
    "InvalidInputError",
    "LookRefusedError",
    "LostSubmissionError",
    "NoAnswerError",
    "NotConnectedError",
    "NotFoundError",
    "PermissionDeniedError",
    "Picture",
    "Prediction",
    "PredictionFailedError",
    "RateLimitedError",
    "RequestChangedError",
    "Scene",
    "ServerError",
    "Size",
    "Status",
    "UnreadableAnswerError",
    "WaitBrokenOffError",
    "WaveSpeedError",
    "read_answer",
]
