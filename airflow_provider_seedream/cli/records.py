"""Which predictions this Airflow knows, by its database: a task's XCom, or its submission record, names them."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from typing import Any

from airflow.models import xcom as xcom_model
from airflow.models.variable import Variable
from airflow.providers.common.compat.sdk import conf
from airflow.utils.session import create_session
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from airflow_provider_seedream import xcom

try:
    from airflow.models.task_state_store import TaskStateStoreModel
except ImportError:  # before Airflow 3.3
    TaskStateStoreModel = None  # type: ignore[assignment, misc]

_KEYS = (xcom.PREDICTION_ID, xcom.EARLIER_PREDICTIONS, xcom.SUBMISSION)
_ID = re.compile(r"[A-Za-z0-9_-]{8,128}")


def known_predictions(since: dt.datetime) -> frozenset[str] | None:
    """Words that name predictions in what tasks kept since a moment; ids are among them.

    :return: None where that cannot be found out: without a database, or where XComs are kept elsewhere.
    """
    if not conf.get("core", "xcom_backend", fallback="BaseXCom").endswith("BaseXCom"):
        return None
    try:
        return frozenset(word for text in _texts(since) for word in _ID.findall(text))
    except SQLAlchemyError:
        return None


def _texts(since: dt.datetime) -> Iterator[str]:
    # Airflow 2 has another name for it, and bytes in it.
    pushed: Any = getattr(xcom_model, "XComModel", None) or xcom_model.BaseXCom
    queries = [select(pushed.value).where(pushed.key.in_(_KEYS), pushed.timestamp >= since)]
    if TaskStateStoreModel is not None:
        kept = TaskStateStoreModel
        queries.append(select(kept.value).where(kept.key == xcom.SUBMISSION, kept.updated_at >= since))
    with create_session() as session:
        for query in queries:
            for value in session.scalars(query):
                yield value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        for variable in session.scalars(
            select(Variable).where(Variable.key.startswith(f"{xcom.SUBMISSION}_", autoescape=True))
        ):
            yield str(variable.get_val())
