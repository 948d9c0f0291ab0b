"""The one door of our operators to what only a worker runs: loaded at first use, as DAG files are parsed often."""

from typing import TYPE_CHECKING

from airflow_provider_seedream._lazy import attach

if TYPE_CHECKING:
    from airflow.providers.common.compat.standard.triggers import TimeDeltaTrigger as TimeDeltaTrigger

    from airflow_provider_seedream.lineage.assets import announce as announce
    from airflow_provider_seedream.metrics import Metrics as Metrics
    from airflow_provider_seedream.metrics import Resumption as Resumption
    from airflow_provider_seedream.operators.literals import refuse_wrong_literals as refuse_wrong_literals
    from airflow_provider_seedream.operators.literals import (
        refuse_wrong_prompt_literals as refuse_wrong_prompt_literals,
    )
    from airflow_provider_seedream.operators.lost_form import ask as ask
    from airflow_provider_seedream.operators.lost_form import said as said
    from airflow_provider_seedream.operators.references import read_references as read_references
    from airflow_provider_seedream.operators.references import upload as upload
    from airflow_provider_seedream.operators.review_form import asks_the_same as asks_the_same
    from airflow_provider_seedream.operators.review_form import prediction_of as prediction_of
    from airflow_provider_seedream.operators.review_form import review_form as review_form
    from airflow_provider_seedream.publishing.publish import publish as publish
    from airflow_provider_seedream.triggers.seedream import (
        SeedreamPredictionTrigger as SeedreamPredictionTrigger,
    )
    from airflow_provider_seedream.waiting.poll import PollResult as PollResult
    from airflow_provider_seedream.waiting.schedule import FIRST_POLL as FIRST_POLL
    from airflow_provider_seedream.waiting.schedule import FLOOR as FLOOR
    from airflow_provider_seedream.waiting.schedule import PollSchedule as PollSchedule
    from airflow_provider_seedream.waiting.schedule import job_class_of as job_class_of
    from airflow_provider_seedream.wavespeed.image_set import GeneratedImage as GeneratedImage
    from airflow_provider_seedream.wavespeed.image_set import ImageSet as ImageSet
    from airflow_provider_seedream.wavespeed.image_set import accept as accept
    from airflow_provider_seedream.wavespeed.image_set import delivered as delivered
    from airflow_provider_seedream.wavespeed.image_set import ordered_image_set as ordered_image_set
    from airflow_provider_seedream.wavespeed.image_set import summary as summary
    from airflow_provider_seedream.wavespeed.optimizer import EnhancementRequest as EnhancementRequest
    from airflow_provider_seedream.wavespeed.optimizer import reconciled as reconciled
    from airflow_provider_seedream.wavespeed.optimizer import revised as revised
    from airflow_provider_seedream.wavespeed.prediction import Status as Status
    from airflow_provider_seedream.wavespeed.prompt_parsing import prompt_text as prompt_text
    from airflow_provider_seedream.wavespeed.request import DEFAULT_MODEL as DEFAULT_MODEL
    from airflow_provider_seedream.wavespeed.request import ImageSetRequest as ImageSetRequest
    from airflow_provider_seedream.wavespeed.request import prompt_with_count as prompt_with_count
    from airflow_provider_seedream.wavespeed.request import version_for as version_for

_OURS = {
    "DEFAULT_MODEL": "wavespeed.request",
    "EnhancementRequest": "wavespeed.optimizer",
    "FIRST_POLL": "waiting.schedule",
    "FLOOR": "waiting.schedule",
    "GeneratedImage": "wavespeed.image_set",
    "ImageSet": "wavespeed.image_set",
    "ImageSetRequest": "wavespeed.request",
    "Metrics": "metrics",
    "PollResult": "waiting.poll",
    "PollSchedule": "waiting.schedule",
    "Resumption": "metrics",
    "SeedreamPredictionTrigger": "triggers.seedream",
    "Status": "wavespeed.prediction",
    "accept": "wavespeed.image_set",
    "announce": "lineage.assets",
    "ask": "operators.lost_form",
    "asks_the_same": "operators.review_form",
    "delivered": "wavespeed.image_set",
    "job_class_of": "waiting.schedule",
    "ordered_image_set": "wavespeed.image_set",
    "prediction_of": "operators.review_form",
    "prompt_text": "wavespeed.prompt_parsing",
    "prompt_with_count": "wavespeed.request",
    "publish": "publishing.publish",
    "read_references": "operators.references",
    "reconciled": "wavespeed.optimizer",
    "refuse_wrong_literals": "operators.literals",
    "refuse_wrong_prompt_literals": "operators.literals",
    "review_form": "operators.review_form",
    "revised": "wavespeed.optimizer",
    "said": "operators.lost_form",
    "summary": "wavespeed.image_set",
    "upload": "operators.references",
    "version_for": "wavespeed.request",
}

__getattr__, __dir__ = attach(
    __name__,
    {
        "TimeDeltaTrigger": "airflow.providers.common.compat.standard.triggers",
        **{name: f"airflow_provider_seedream.{module}" for name, module in _OURS.items()},
    },
)
