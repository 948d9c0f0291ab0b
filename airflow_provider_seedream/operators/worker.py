"""The one door of our operators to what only a worker runs: loaded at first use, as DAG files are parsed often."""

from typing import TYPE_CHECKING

from airflow_provider_seedream._lazy import attach

if TYPE_CHECKING:
    from airflow.providers.common.compat.standard.triggers import TimeDeltaTrigger as TimeDeltaTrigger

    from airflow_provider_seedream.lineage.assets import announce as announce
    from airflow_provider_seedream.metrics import Metrics as Metrics
    from airflow_provider_seedream.metrics import Resumption as Resumption
    from airflow_provider_seedream.operators.references import read_references as read_references
    from airflow_provider_seedream.operators.references import upload as upload
    from airflow_provider_seedream.operators.review_form import asks_the_same as asks_the_same
    from airflow_provider_seedream.operators.review_form import prediction_of as prediction_of
    from airflow_provider_seedream.operators.review_form import review_form as review_form
    from airflow_provider_seedream.publishing.publish import publish as publish
    from airflow_provider_seedream.triggers.seedream import (
        SeedreamPredictionTrigger as SeedreamPredictionTrigger,
    )
    from airflow_provider_seedream.wavespeed.delivery import accept as accept
    from airflow_provider_seedream.wavespeed.delivery import delivered as delivered
    from airflow_provider_seedream.wavespeed.delivery import summary as summary
    from airflow_provider_seedream.wavespeed.durations import kind_of_order as kind_of_order
    from airflow_provider_seedream.wavespeed.enhancement import reconciled as reconciled
    from airflow_provider_seedream.wavespeed.image_set import DEFAULT_MODEL as DEFAULT_MODEL
    from airflow_provider_seedream.wavespeed.image_set import ImageSet as ImageSet
    from airflow_provider_seedream.wavespeed.image_set import Picture as Picture
    from airflow_provider_seedream.wavespeed.models import version_for as version_for
    from airflow_provider_seedream.wavespeed.optimizer import EnhancementRequest as EnhancementRequest
    from airflow_provider_seedream.wavespeed.polling import FIRST_LOOK as FIRST_LOOK
    from airflow_provider_seedream.wavespeed.polling import FLOOR as FLOOR
    from airflow_provider_seedream.wavespeed.polling import PollSchedule as PollSchedule
    from airflow_provider_seedream.wavespeed.polling import Verdict as Verdict
    from airflow_provider_seedream.wavespeed.prediction import Status as Status
    from airflow_provider_seedream.wavespeed.request import ImageSetRequest as ImageSetRequest
    from airflow_provider_seedream.wavespeed.revision import revised as revised

_OURS = {
    "DEFAULT_MODEL": "wavespeed.image_set",
    "EnhancementRequest": "wavespeed.optimizer",
    "FIRST_LOOK": "wavespeed.polling",
    "FLOOR": "wavespeed.polling",
    "ImageSet": "wavespeed.image_set",
    "ImageSetRequest": "wavespeed.request",
    "Metrics": "metrics",
    "Picture": "wavespeed.image_set",
    "PollSchedule": "wavespeed.polling",
    "Resumption": "metrics",
    "SeedreamPredictionTrigger": "triggers.seedream",
    "Status": "wavespeed.prediction",
    "Verdict": "wavespeed.polling",
    "accept": "wavespeed.delivery",
    "announce": "lineage.assets",
    "asks_the_same": "operators.review_form",
    "delivered": "wavespeed.delivery",
    "kind_of_order": "wavespeed.durations",
    "prediction_of": "operators.review_form",
    "publish": "publishing.publish",
    "read_references": "operators.references",
    "reconciled": "wavespeed.enhancement",
    "review_form": "operators.review_form",
    "revised": "wavespeed.revision",
    "summary": "wavespeed.delivery",
    "upload": "operators.references",
    "version_for": "wavespeed.models",
}

__getattr__, __dir__ = attach(
    __name__,
    {
        "TimeDeltaTrigger": "airflow.providers.common.compat.standard.triggers",
        **{name: f"airflow_provider_seedream.{module}" for name, module in _OURS.items()},
    },
)
