"""What a run of a DAG will cost, from its tasks. What only a run knows is said by task and reason, and never guessed.

Prices, counts and defaults are those of the operators. A task counts as run once, unless Airflow skips it by design: of rounds of
approval, the first is certain, and the others are drawn only after a rejection. So a sum has two ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from airflow_provider_seedream.cli.instances import (
    Instances,
    UnknownError,
    instances_of,
    operator_class_of,
    source_of,
)
from airflow_provider_seedream.hooks.settings import ConnectionSettings
from airflow_provider_seedream.operators.base import Ceiling, PayingOperator, check
from airflow_provider_seedream.operators.literals import is_known, is_written_out
from airflow_provider_seedream.operators.prompt import SeedreamPromptOperator
from airflow_provider_seedream.wavespeed.errors import BudgetExceededError, InvalidInputError
from airflow_provider_seedream.wavespeed.optimizer import PRICE_USD
from airflow_provider_seedream.wavespeed.prompt_parsing import prompt_text, read_answer
from airflow_provider_seedream.wavespeed.request import (
    DEFAULT_MODEL,
    MAX_IMAGES,
    model_named,
    prompt_with_count,
    version_for,
)
from airflow_provider_seedream.wavespeed.validation import parse_integer, parse_usd

_IMAGE_SET = ("prompt", "max_images", "images", "model", "max_cost", "seedream_conn_id")
_PROMPT = ("prompt", "characters", "style", "palette", "max_images", "max_cost", "seedream_conn_id")

Settings = Callable[[str], ConnectionSettings | None]
"""Gives what a connection says; None where there is none."""


@dataclass(frozen=True, slots=True)
class TaskCost:
    """What one task of a run will cost.

    :param instances: of the task; None where that is not known, as for the next.
    :param images: asked for by all instances together.
    :param least: US dollars, what is not known left out.
    :param most: the same where every round of approval is drawn.
    :param unknown: why this is not all; empty if it is.
    :param refused: why instances will be refused before they pay; empty if none will.
    """

    task_id: str
    instances: int | None = None
    images: int | None = None
    least: Decimal = Decimal(0)
    most: Decimal = Decimal(0)
    unknown: str = ""
    refused: str = ""


def costs_of(dag: Any, counts: Mapping[str, int], settings: Settings) -> list[TaskCost]:
    """What the paying tasks of a DAG cost in one run.

    :param counts: instances of mapped tasks and task groups, by id.
    """
    return [
        _cost_of(task, dag, counts, settings)
        for task in dag.topological_sort()
        if issubclass(operator_class_of(task), PayingOperator) and not _is_free(task)
    ]


def mapped_in(dag: Any) -> set[str]:
    """The ids of all mapped tasks and task groups."""
    tasks = {task.task_id for task in dag.tasks if hasattr(task, "partial_kwargs")}
    return tasks | {group.group_id for task in dag.tasks for group in task.iter_mapped_task_groups()}


def _is_free(task: Any) -> bool:
    """Whether a task that makes prompts pays for none."""
    makes_prompt = issubclass(operator_class_of(task), SeedreamPromptOperator)
    given = getattr(task, "partial_kwargs", None)
    enhances = task.enhance if given is None and makes_prompt else (given or {}).get("enhance", False)
    return makes_prompt and not enhances


def _cost_of(task: Any, dag: Any, counts: Mapping[str, int], settings: Settings) -> TaskCost:
    makes_prompt = issubclass(operator_class_of(task), SeedreamPromptOperator)
    number, images, total, is_whole = 0, 0, Decimal(0), True
    unknown: dict[str, None] = {}
    refused: dict[str, None] = {}
    try:
        for each in instances_of(task, _PROMPT if makes_prompt else _IMAGE_SET, counts):
            number += each.number
            try:
                price, asked = (
                    (Decimal(str(PRICE_USD)), 0) if makes_prompt else _price(task, dag, each, settings)
                )
                images += asked * each.number
                _check(price, each.values, settings)
            except (UnknownError, InvalidInputError) as error:
                unknown[str(error)] = None
                is_whole = False
            except BudgetExceededError as error:
                refused[str(error)] = None
            else:
                total += price * each.number
    except UnknownError as error:
        return TaskCost(task.task_id, unknown=str(error))
    later = bool(getattr(task, "siblings", ()))
    return TaskCost(
        task.task_id,
        number,
        images if is_whole else None,
        Decimal(0) if later else total,
        total,
        "; ".join(unknown),
        "; ".join(refused),
    )


def _price(task: Any, dag: Any, instance: Instances, settings: Settings) -> tuple[Decimal, int]:
    """The price of one image set, and its number of images."""
    values = instance.values
    first = next(iter(getattr(task, "siblings", ())), None)
    if first is not None:
        # A person's note changes no count, so each later round asks for as many images as the first.
        values = {**values, "prompt": dag.get_task(first).prompt}
    images = _images(values, operator_class_of(task), dag)
    return model_named(_model(values, settings)).price_usd * images, images


def _images(values: Mapping[str, Any], cls: type, dag: Any) -> int:
    most, prompt, with_references = values["max_images"], values["prompt"], values["images"] is not None
    if (task := _prompt_task(most, "count")) is not None:
        return _images_of_prompt_task(task)
    if most is not None and not is_known(most):
        raise UnknownError(f"its max_images {source_of(most) or 'is a template'}")
    if most is not None:
        most = parse_integer("max_images", most, 1, MAX_IMAGES, "")
    if getattr(cls, "texts_vary", False):
        reason = "is written by its function"
    elif (source := source_of(prompt)) is not None:
        reason = source
    elif not is_written_out(prompt) or dag.jinja_environment_kwargs:
        reason = "is a template"
    else:
        return prompt_with_count(prompt_text(prompt), most, references=with_references)[1]
    if most is not None:
        return int(most)
    if (task := _prompt_task(prompt, "return_value")) is not None:
        return _images_of_prompt_task(task)
    raise UnknownError(f"its prompt {reason}, and max_images is not given")


def _prompt_task(value: Any, key: str) -> Any:
    """The task of this DAG that makes a prompt, if a value is its result."""
    task = getattr(value, "operator", None)
    return task if isinstance(task, SeedreamPromptOperator) and getattr(value, "key", None) == key else None


def _images_of_prompt_task(task: SeedreamPromptOperator) -> int:
    if task.max_images is not None and is_known(task.max_images):
        return parse_integer("max_images", task.max_images, 1, MAX_IMAGES, "")
    shared = {name: getattr(task, name) for name in ("characters", "style", "palette")}
    prompt: Any = task.prompt
    # A text may be the name of a file.
    if isinstance(prompt, str) or not all(map(is_written_out, (prompt, *shared.values()))):
        raise UnknownError(f"its prompt comes from task {task.task_id}, and max_images is not given")
    return prompt_with_count(prompt_text(read_answer(prompt, **shared)))[1]


def _model(values: Mapping[str, Any], settings: Settings) -> str:
    model = values["model"]
    if model is not None and not is_known(model):
        raise UnknownError(f"its model {source_of(model) or 'is a template'}")
    if model is not None:
        return str(model)
    connection = settings(_connection(values))
    default = connection.model if connection is not None else None
    return version_for(default or DEFAULT_MODEL, references=values["images"] is not None)


def _connection(values: Mapping[str, Any]) -> str:
    conn_id = values["seedream_conn_id"]
    if conn_id is not None and not is_known(conn_id):
        raise UnknownError(f"its seedream_conn_id {source_of(conn_id) or 'is a template'}")
    return str(conn_id or "seedream_default")


def _check(price: Decimal, values: Mapping[str, Any], settings: Settings) -> None:
    """Refuse what the task itself will refuse.

    :raises BudgetExceededError: naming the ceiling.
    """
    own = parse_usd("max_cost", values["max_cost"]) if is_known(values["max_cost"]) else None
    connection = settings(_connection(values))
    of_connection = None if connection is None else connection.max_cost
    check(
        float(price),
        [
            Ceiling(own, "max_cost of the task"),
            Ceiling(of_connection, f"max_cost of connection {_connection(values)}"),
        ],
    )


def total(costs: list[TaskCost], runs: int) -> tuple[float, float]:
    """Least and most of so many runs, in US dollars."""
    least = sum((each.least for each in costs), Decimal(0)) * runs
    most = sum((each.most for each in costs), Decimal(0)) * runs
    return round(float(least), 6), round(float(most), 6)
