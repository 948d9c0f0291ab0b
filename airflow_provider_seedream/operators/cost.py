"""The operator that sums up what a DAG run paid for its images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_seedream import xcom
from airflow_provider_seedream.operators.arguments import (
    lasting_errors_fail_at_once,
    refuse_unknown_arguments,
)
from airflow_provider_seedream.operators.templates import RendersOnlyWhatTheAuthorWrote
from airflow_provider_seedream.wavespeed.errors import InvalidInputError
from airflow_provider_seedream.wavespeed.validation import suggest

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


@dataclass(frozen=True, slots=True)
class Cost:
    """What was paid for, and what came of it.

    :param cost_usd: paid, or possibly paid, in US dollars.
    :param image_sets: task instances whose submission was accepted.
    :param images: images that were delivered.
    """

    cost_usd: float = 0.0
    image_sets: int = 0
    images: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            round(self.cost_usd + other.cost_usd, 6),
            self.image_sets + other.image_sets,
            self.images + other.images,
        )


class SeedreamCostSummaryOperator(RendersOnlyWhatTheAuthorWrote):
    """Sums up what the tasks before it paid for their image sets, failed and mapped ones included.

    Runs when all of them are over, however they ended, and does not hide that one failed: it is a teardown, which has no
    say in the state of the run. Counts what each task instance paid since it was last cleared, its earlier tries
    included (before Airflow 3.3: its last try), and a submission whose answer was lost as paid. In a mapped task group, it
    counts of each task of the group the instance of its own group instance. Gives ``{"cost_usd",
    "image_sets", "images", "tasks": {task_id: {"cost_usd", "image_sets", "images"}}}``, with the tasks that paid.

    :param task_ids: the tasks to sum up, or the one; default: all tasks upstream, direct or not. One that the DAG does
        not have fails the task.
    """

    template_fields: Sequence[str] = ("task_ids",)
    ui_color = "#f5f0e1"

    def __init__(self, *, task_ids: Sequence[str] | str | None = None, **kwargs: Any) -> None:
        refuse_unknown_arguments(type(self), kwargs)
        super().__init__(**kwargs)
        self.task_ids = task_ids
        if "trigger_rule" not in kwargs:
            self.as_teardown()

    def execute(self, context: Context) -> dict[str, Any]:
        """Read the XComs of the tasks and add up."""
        with lasting_errors_fail_at_once():
            task_ids = self._summed_up()
        ti = context["ti"]
        costs = {task_id: cost_of(ti, task_id, self._instance(ti, task_id)) for task_id in task_ids}
        tasks = {task_id: cost for task_id, cost in costs.items() if cost.cost_usd}
        total = sum(tasks.values(), Cost())
        for task_id, cost in tasks.items():
            self.log.info(
                "%s: $%g for %d image set(s), %d image(s).",
                task_id,
                cost.cost_usd,
                cost.image_sets,
                cost.images,
            )
        self.log.info(
            "In all: $%g for %d image set(s), %d image(s).", total.cost_usd, total.image_sets, total.images
        )
        return {**asdict(total), "tasks": {task_id: asdict(cost) for task_id, cost in tasks.items()}}

    def _summed_up(self) -> Sequence[str]:
        if self.task_ids is None:
            return sorted(self.get_flat_relative_ids(upstream=True))
        task_ids = [self.task_ids] if isinstance(self.task_ids, str) else self.task_ids
        known = sorted(self.dag.task_ids)
        for task_id in task_ids:
            if task_id not in known:
                raise InvalidInputError(
                    "task_ids", task_id, "this DAG has no such task", suggest(str(task_id), known)
                )
        return task_ids

    def _instance(self, ti: Any, task_id: str) -> int | None:
        """The instance to count of a task that shares a mapped task group with this one; None for all of a task's."""
        shared = {group.group_id for group in self.iter_mapped_task_groups()}
        groups = self.dag.get_task(task_id).iter_mapped_task_groups()
        return ti.map_index if any(group.group_id in shared for group in groups) else None


def cost_of(ti: Any, task_id: str, map_index: int | None = None) -> Cost:
    """What the instances of one task paid, and what came of it.

    Any task counts that says under the XCom key ``spent_usd`` what it paid.

    :param map_index: the only instance to count; default: all.
    """
    spent = [float(usd) for usd in _pulled(ti, task_id, xcom.SPENT_USD, map_index)]
    if not spent:
        return Cost()
    image_sets = len(list(_pulled(ti, task_id, xcom.ORDERED_IMAGE_SET, map_index)))
    results = _pulled(ti, task_id, "return_value", map_index) if image_sets else ()
    images = sum(len(result["images"]) for result in results)
    return Cost(round(sum(spent), 6), image_sets, images)


def _pulled(ti: Any, task_id: str, key: str, map_index: int | None) -> Iterator[Any]:
    """The XComs of one instance of a task, or of all, mapped or not."""
    which = {} if map_index is None else {"map_indexes": map_index}
    return (each for each in ti.xcom_pull(task_ids=[task_id], key=key, **which) if each is not None)
