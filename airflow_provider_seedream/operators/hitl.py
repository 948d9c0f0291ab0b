"""Airflow's form, which a task shows to a person (Airflow 3.1+)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk.api.datamodels._generated import HITLUser as Assigned
from airflow.sdk.execution_time.comms import CreateHITLDetailPayload

if TYPE_CHECKING:
    from airflow.sdk.execution_time.hitl import HITLUser


def keep_form(
    ti: Any,
    *,
    subject: str,
    body: str | None,
    options: Sequence[str],
    params: Mapping[str, Any] | None = None,
    assigned_users: Sequence[HITLUser] = (),
) -> Any:
    """Ask Airflow to keep a form for a task instance.

    Gives the form that Airflow keeps, which is the one that a person sees: before 3.4, that of an earlier call stays.
    """
    from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS  # there is none before a task runs

    return SUPERVISOR_COMMS.send(
        CreateHITLDetailPayload(
            ti_id=ti.id,
            options=list(options),
            subject=subject,
            body=body,
            defaults=None,
            multiple=False,
            params=dict(params or {}),
            assigned_users=[Assigned(**user) for user in assigned_users],
        )
    )
