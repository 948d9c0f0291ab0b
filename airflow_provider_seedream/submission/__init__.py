"""Pays for a request at most once, and finds again what an earlier try paid for.

Loaded at first use: operators are parsed with each DAG, and only a worker needs what is here.
"""

from typing import TYPE_CHECKING

from airflow_provider_seedream._lazy import attach

if TYPE_CHECKING:
    from airflow_provider_seedream.submission.advice import NEXT_TRY as NEXT_TRY
    from airflow_provider_seedream.submission.advice import take_paid as take_paid
    from airflow_provider_seedream.submission.claims import Claims as Claims
    from airflow_provider_seedream.submission.decisions import Collect as Collect
    from airflow_provider_seedream.submission.decisions import GiveUp as GiveUp
    from airflow_provider_seedream.submission.decisions import Paid as Paid
    from airflow_provider_seedream.submission.decisions import Recover as Recover
    from airflow_provider_seedream.submission.decisions import Resume as Resume
    from airflow_provider_seedream.submission.decisions import RetryLater as RetryLater
    from airflow_provider_seedream.submission.decisions import Step as Step
    from airflow_provider_seedream.submission.decisions import Submit as Submit
    from airflow_provider_seedream.submission.kept_prompt import KeptPrompt as KeptPrompt
    from airflow_provider_seedream.submission.kept_prompt import digest as digest
    from airflow_provider_seedream.submission.record import Phase as Phase
    from airflow_provider_seedream.submission.run import Terms as Terms
    from airflow_provider_seedream.submission.store import TaskStore as TaskStore
    from airflow_provider_seedream.submission.submission import Submission as Submission
    from airflow_provider_seedream.submission.timing import Timing as Timing

__getattr__, __dir__ = attach(
    __name__,
    {
        "NEXT_TRY": "advice",
        "Claims": "claims",
        "Collect": "decisions",
        "GiveUp": "decisions",
        "KeptPrompt": "kept_prompt",
        "Paid": "decisions",
        "Phase": "record",
        "Recover": "decisions",
        "Resume": "decisions",
        "RetryLater": "decisions",
        "Step": "decisions",
        "Submission": "submission",
        "Submit": "decisions",
        "TaskStore": "store",
        "Terms": "run",
        "Timing": "timing",
        "digest": "kept_prompt",
        "take_paid": "advice",
    },
)
