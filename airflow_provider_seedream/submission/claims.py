"""Which predictions are other tasks' of the DAG, by XCom.

A task says before its paying request leaves when that may arrive (:meth:`Claims.expect`), and once it is answered which
prediction is its own (:meth:`Claims.claim`). In between a prediction of that time may be its own: the worker may be waiting
for the answer, may have lost it, or may have been killed. A reader reads the former before the latter, so it misses none.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_seedream import xcom
from airflow_provider_seedream.submission.matching import CLOCKS_APART, Window, may_be_of
from airflow_provider_seedream.submission.record import ACCOUNT, SubmissionRecord
from airflow_provider_seedream.wavespeed.errors import WaveSpeedError
from airflow_provider_seedream.wavespeed.prediction import Prediction

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

log = logging.getLogger(__name__)

RUNS = 30
"""Finished runs of the DAG whose claims are read: the newest, as a lost submission is minutes old. All runs at work are."""

NAMED_RUNS = 200
"""The same of runs whose ids do not say when they were made."""

_DATED = re.compile(r"(?:scheduled|manual|asset_triggered|dataset_triggered)__\d{4}-")

ROWS = 1000
"""The same on Airflow 2, where one query reads the newest rows whatever their runs."""

_FAR = 2 * CLOCKS_APART
"""Seconds between two submissions, by the clocks of two workers, from which on neither can have the other's."""

_OVER = frozenset({None, "success", "skipped", "failed", "upstream_failed", "removed"})


class ClaimsUnreadableError(WaveSpeedError):
    """Airflow does not show now which predictions other runs of the DAG claim. None is taken as long as that is so."""

    transient = True


@dataclass(frozen=True, slots=True)
class OpenSubmission:
    """Another paying request, which brought no prediction that its task knows of.

    :param task: whose it is, for people: a task and its run, or an earlier request of this task.
    :param fingerprint: of the request; blank where it is not known.
    :param waiting: whether the task may be waiting for the answer still. Else it searches as this one does.
    :param window: when the API may have created a prediction of it.
    :param inputs: digests of what it asks for; empty where that is not known.
    """

    task: str
    fingerprint: str
    waiting: bool
    window: Window
    inputs: Mapping[str, str] = field(default_factory=dict)

    def may_be(self, prediction: Prediction) -> bool:
        """Whether a prediction may be the one that this request brought."""
        return self.window.holds(prediction) and may_be_of(prediction, self.inputs)

    def disputes(self, prediction: Prediction, fingerprint: str) -> bool:
        """Whether a prediction, though the API shows it to be another request's, may as well be this one's.

        A set of the very same request serves either task, unless this one's task may be waiting for it.

        :param fingerprint: of that other request.
        """
        same = self.fingerprint == fingerprint
        may_dispute = self.waiting if same else bool(self.inputs)
        # All texts of an identified prediction are shown whole.
        return (
            may_dispute and self.window.holds(prediction) and may_be_of(prediction, self.inputs, whole=True)
        )


@dataclass(frozen=True, slots=True)
class Others:
    """What is not this submission's: what other tasks say is theirs, and this task's own for other requests.

    :param ids: predictions. Those that this task paid for before it was cleared are among them.
    :param submissions: requests whose prediction is not known.
    """

    ids: frozenset[str] = frozenset()
    submissions: tuple[OpenSubmission, ...] = ()


class Claims:
    """Which predictions and open submissions the paying tasks of a DAG say are theirs.

    :param context: Airflow's.
    :param task_ids: all tasks of the DAG that may pay, this one included.
    """

    def __init__(self, context: Context, task_ids: Sequence[str]) -> None:
        self._ti: Any = context["ti"]
        self._task_ids = list(task_ids)
        self._repeated = False

    def others(self, record: SubmissionRecord) -> Others:
        """What other mapped instances, tasks and runs say is theirs, and what this task lost of other requests.

        :param record: of this task's submission, whose prediction is searched for.
        :raises ClaimsUnreadableError: if it cannot be read now.
        """
        try:
            # Before the ids: a task that is answered meanwhile is among them.
            submissions = tuple(self._open_submissions(record))
            claimed = Counter(self._ids())
            # An earlier try may have claimed what it paid for once this one had begun. It is this task's own.
            own = {"task_id": self._ti.task_id, "map_index": self._ti.map_index}
            claimed.subtract([self._id_of(own, {})])
            return Others(frozenset(each for each, times in claimed.items() if times > 0), submissions)
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing is taken now
            raise _unreadable(error) from None

    def claim(self, prediction_id: str, earlier: Sequence[str] = ()) -> None:
        """Say that a prediction is this task's.

        :param earlier: so are these, which it paid for before it was cleared.
        """
        if earlier:
            self._push(xcom.EARLIER_PREDICTIONS, list(earlier))
        self._push(xcom.PREDICTION_ID, prediction_id)

    def claim_alone(self, prediction_id: str, earlier: Sequence[str]) -> bool:
        """Claim a prediction that was found: first say so, then see who else did. Of two tasks that do, at most one
        goes on.

        :param earlier: what this task paid for before, which stays its own.
        """
        self.claim(prediction_id, earlier)
        alone = False
        try:
            alone = list(self._ids()).count(prediction_id) <= 1
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing is taken now
            raise _unreadable(error) from None
        finally:
            if not alone:
                self._push(xcom.PREDICTION_ID, None)
        return alone

    def repeat(self, record: SubmissionRecord) -> None:
        """Say again, once, what earlier tries said: Airflow empties XCom before each try. Where nothing is paid, and nothing
        may be, nothing is said."""
        if self._repeated:
            return
        self._repeated = True
        if record.prediction_id is not None:
            self.claim(record.prediction_id, record.earlier)
        elif record.earlier:
            self._push(xcom.EARLIER_PREDICTIONS, list(record.earlier))
        if record.lost or record.outcome_unknown:
            self.report_lost(record)

    def expect(self, record: SubmissionRecord) -> None:
        """Say that a paying request is about to leave."""
        self._say(record, waiting=True)

    def report_lost(self, record: SubmissionRecord | None) -> None:
        """Say that this task's submission was lost. A record of none, or ``None``, takes back what was said."""
        self._say(record, waiting=False)

    def _say(self, record: SubmissionRecord | None, *, waiting: bool) -> None:
        said = None
        if record is not None and (record.lost or record.outcome_unknown):
            said = {
                "task_id": self._ti.task_id,
                "map_index": self._ti.map_index,
                "fingerprint": record.fingerprint,
                "inputs": dict(record.inputs),
                "waiting": waiting,
                # The prediction that this one follows: any other says that the request was answered.
                "after": record.earlier[-1] if record.earlier else None,
                "span": list(record.span[:3]) if record.outcome_unknown else None,
                "lost": [list(each[:3]) for each in record.lost],
            }
        try:
            self._push(xcom.LOST_SUBMISSION, said)
        except Exception:
            # It protects other tasks. What this one pays, or finds, does not depend on it.
            log.warning("Other tasks cannot see that this task is submitting.", exc_info=True)

    def _push(self, key: str, value: Any) -> None:
        self._ti.xcom_push(key=key, value=value)

    def _ids(self) -> Iterator[str]:
        for run in self._runs():
            newest = self._pull(xcom.PREDICTION_ID, run)
            earlier = self._pull(xcom.EARLIER_PREDICTIONS, run)
            yield from (each for each in (*newest, *(each for ids in earlier if ids for each in ids)) if each)
        for row in self._rows_of_other_runs():
            if row.key != xcom.LOST_SUBMISSION and row.value:
                yield from row.value if isinstance(row.value, list) else [row.value]

    def _open_submissions(self, record: SubmissionRecord) -> Iterator[OpenSubmission]:
        for lost in record.lost:
            if lost.fingerprint != record.fingerprint:
                own = "an earlier request of this task"
                yield OpenSubmission(own, lost.fingerprint, waiting=False, window=_window(*lost[:3]))
        for run in self._runs():
            for said in self._pull(xcom.LOST_SUBMISSION, run):
                if said and (run or not self._is_own(said)):
                    yield from _read(said, run.get("run_id", ""), record, partial(self._id_of, said, run))
        rows = self._rows_of_other_runs()
        newest = {row.task: row.value for row in rows if row.key == xcom.PREDICTION_ID}
        for row in rows:
            if row.key == xcom.LOST_SUBMISSION and row.value:
                yield from _read(row.value, row.task[0], record, partial(newest.get, row.task))

    def _is_own(self, said: Mapping[str, Any]) -> bool:
        return bool(said["task_id"] == self._ti.task_id and said["map_index"] == self._ti.map_index)

    def _id_of(self, said: Mapping[str, Any], run: Mapping[str, str]) -> Any:
        """Which prediction the task that said this says is its own."""
        place = {"task_ids": [said["task_id"]], "map_indexes": said["map_index"], **run}
        return next(iter(self._ti.xcom_pull(key=xcom.PREDICTION_ID, **place) or ()), None)

    def _pull(self, key: str, run: Mapping[str, str]) -> Sequence[Any]:
        return self._ti.xcom_pull(task_ids=self._task_ids, key=key, **run) or ()

    def _runs(self) -> Iterator[dict[str, str]]:
        """This run, and the others that are read."""
        yield {}
        if hasattr(self._ti, "get_task_states"):
            states = self._ti.get_task_states(dag_id=self._ti.dag_id, task_ids=self._task_ids)
            yield from ({"run_id": run} for run in _newest(states, self._ti.run_id))

    def _rows_of_other_runs(self) -> list[_Row]:
        if hasattr(self._ti, "get_task_states") or not hasattr(self._ti, "get_dagrun"):
            return []
        return _in_the_database(self._ti, self._task_ids)


def _read(
    said: Mapping[str, Any], run_id: str, record: SubmissionRecord, prediction_id: Callable[[], Any]
) -> Iterator[OpenSubmission]:
    """The open submissions of a task, by what it said.

    :param prediction_id: gives the one that the task says is its own; asked only where the two may meet.
    """
    index = f"[{said['map_index']}]" if said["map_index"] >= 0 else ""
    task = f"{said['task_id']}{index}{f' in run {run_id}' if run_id else ''}"
    for span in said["lost"]:
        yield OpenSubmission(task, "", waiting=False, window=_window(*span))
    span = said["span"]
    if span is None or not span[0] - _FAR <= record.arrives_by or not record.intent_at <= span[1] + _FAR:
        return
    if (known := prediction_id()) and known != said["after"]:
        return
    inputs = said.get("inputs") or {}
    if len({each[ACCOUNT] for each in (inputs, record.inputs) if ACCOUNT in each}) > 1:
        return  # what another account pays is not listed in this one
    yield OpenSubmission(task, said["fingerprint"], said["waiting"], _window(*span), inputs)


def _window(first: float, last: float, clock_ahead: float | None) -> Window:
    return Window(first, last, clock_ahead, CLOCKS_APART if clock_ahead is None else 0.0)


def _unreadable(error: Exception) -> ClaimsUnreadableError:
    log.warning("The predictions that other tasks claim could not be read.", exc_info=error)
    what = type(error).__name__
    return ClaimsUnreadableError(f"the predictions that other tasks and runs claim could not be read: {what}")


def _newest(states: Mapping[str, Any], own: str) -> list[str]:
    def at_work(run: str) -> bool:
        return any(state not in _OVER for state in (states[run] or {}).values())

    others = sorted(
        (run for run in states if run != own), key=lambda run: run.rpartition("__")[2], reverse=True
    )
    # What is at work may have begun now, whatever its date. So may what has a name that somebody gave it, or a backfill's.
    working = [run for run in others if at_work(run)]
    dated = [run for run in others if not at_work(run) and _DATED.match(run)]
    named = [run for run in others if not at_work(run) and not _DATED.match(run)]
    return [*working, *dated[:RUNS], *named[:NAMED_RUNS]]


@dataclass(frozen=True, slots=True)
class _Row:
    task: tuple[str, str, int]
    key: str
    value: Any


def _in_the_database(ti: Any, task_ids: list[str]) -> list[_Row]:
    """The claims of other runs on Airflow 2, whose tasks reach the database."""
    from airflow.models.xcom import XCom
    from airflow.utils.session import create_session

    keys = (xcom.PREDICTION_ID, xcom.EARLIER_PREDICTIONS, xcom.LOST_SUBMISSION)
    with create_session() as session:
        rows = (
            session.query(XCom)
            .filter(
                XCom.dag_id == ti.dag_id,
                XCom.task_id.in_(task_ids),
                XCom.key.in_(keys),
                XCom.run_id != ti.run_id,
            )
            .order_by(XCom.timestamp.desc())
            .limit(ROWS)
        )
        return [
            _Row((row.run_id, row.task_id, row.map_index), row.key, XCom.deserialize_value(row))
            for row in rows
        ]
