"""The instances of a task as far as its DAG file says them: how many, and with which arguments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any


class UnknownError(Exception):
    """Something that only a run knows. The text says why, of a task."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """A value that only a run knows.

    :param why: for people: "comes from task x".
    """

    why: str


@dataclass(frozen=True, slots=True)
class Instances:
    """Task instances with the same arguments.

    :param number: how many.
    :param values: the arguments that the task does not leave out.
    """

    number: int
    values: Mapping[str, Any] = field(default_factory=dict)


def operator_class_of(task: Any) -> type:
    """The operator class of a task, mapped or not."""
    found: type = getattr(task, "operator_class", type(task))
    return found


def instances_of(task: Any, names: Iterable[str], counts: Mapping[str, int]) -> Iterator[Instances]:
    """The instances of a task in one run.

    :param names: the arguments to tell.
    :param counts: instances of mapped tasks and task groups, by id, as a person gives them.
    :raises UnknownError: if it is not known how many there are.
    """
    partial = getattr(task, "partial_kwargs", None)
    levels = [
        _expanded(group.group_id, group._expand_input, counts, ()) for group in task.iter_mapped_task_groups()
    ]
    own = [Instances(1)]
    if partial is not None:
        free = [name for name in names if name not in partial]
        own = _expanded(task.task_id, task._get_specified_expand_input(), counts, free)
    for *outer, inner in product(*levels, own):
        number = inner.number
        of_groups: dict[str, Any] = {}
        for each in outer:
            number *= each.number
            of_groups |= each.values
        values = {
            name: inner.values[name]
            if name in inner.values
            else getattr(task, name, None)
            if partial is None
            else partial.get(name)
            for name in names
        }
        yield Instances(number, {name: _resolved(value, of_groups) for name, value in values.items()})


def source_of(value: object) -> str | None:
    """From where a value comes that is no literal, for people; None for a literal."""
    if isinstance(value, Unknown):
        return value.why
    references = getattr(value, "iter_references", None)
    if references is None:
        return None
    tasks = sorted({operator.task_id for operator, _ in references()})
    return f"comes from task {' and '.join(tasks)}" if tasks else "is mapped"


def _expanded(
    name: str, expand_input: Any, counts: Mapping[str, int], free: Iterable[str]
) -> list[Instances]:
    """What ``expand()`` and ``expand_kwargs()`` say: literals instance by instance, else the number that is given.

    :param free: the arguments that ``expand_kwargs()`` may give.
    """
    given = expand_input.value
    if name in counts:
        keys = given if isinstance(given, Mapping) else free
        return [Instances(counts[name], {key: Unknown("is mapped") for key in keys})]
    if isinstance(given, Mapping):
        for value in given.values():
            if (source := source_of(value)) is not None:
                raise UnknownError(
                    f"it is mapped, and what it is mapped over {source}; give --mapped {name}=N"
                )
        # What a mapping is mapped over are its pairs.
        lists = [
            list(value.items()) if isinstance(value, Mapping) else list(value) for value in given.values()
        ]
        return [Instances(1, dict(zip(given, each, strict=True))) for each in product(*lists)]
    if isinstance(given, list | tuple) and all(isinstance(each, Mapping) for each in given):
        return [Instances(1, dict(each)) for each in given]
    source = source_of(given) or "is not written out"
    raise UnknownError(f"it is mapped, and what it is mapped over {source}; give --mapped {name}=N")


def _resolved(value: Any, of_groups: Mapping[str, Any]) -> Any:
    """A value, where it is an argument of a mapped task group: what the group got."""
    key = getattr(value, "_key", None)
    return of_groups.get(key, value) if hasattr(value, "_input") and isinstance(key, str) else value
