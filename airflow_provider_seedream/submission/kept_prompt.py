"""Where a task instance keeps a prompt that asking again might not bring back."""

from __future__ import annotations

import enum
import hashlib
import json
import pickle
from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, fields, is_dataclass
from types import FunctionType
from typing import TYPE_CHECKING, Any

from airflow_provider_seedream import xcom

if TYPE_CHECKING:
    from airflow_provider_seedream.submission.store import TaskStore


@dataclass(frozen=True, slots=True)
class KeptPrompt:
    """The prompt of a submission, and what a function made it from. Kept for as long as the record is: see :mod:`.store`.

    :param prompt: as it was submitted, or was about to be.
    :param arguments: :func:`digest` of the function's arguments; ``None`` where an older version kept the prompt.
    """

    prompt: str
    arguments: str | None

    @classmethod
    def read(cls, store: TaskStore) -> KeptPrompt | None:
        """What was kept, or ``None``."""
        kept = store.get(xcom.PROMPT)
        if isinstance(kept, str):
            return cls(kept, None)
        if isinstance(kept, Mapping) and isinstance(kept.get("prompt"), str):
            return cls(kept["prompt"], kept.get("arguments"))
        return None

    def write(self, store: TaskStore) -> None:
        """Keep this prompt in place of the one before."""
        store.set(xcom.PROMPT, asdict(self))

    def is_for(self, arguments: str) -> bool:
        """Whether the prompt was made from these arguments, or it is not known from which.

        :param arguments: their :func:`digest`.
        """
        return self.arguments in (None, arguments)


def digest(op_args: Collection[Any], op_kwargs: Mapping[str, Any]) -> str:
    """The SHA-256 of a function's arguments: the same in another process where their values are the same.

    An object that is neither plain data nor can be pickled counts by its type alone. None comes from another task: what
    Airflow hands on can be stored. So it is a constant of the DAG file, and the same for each try.
    """
    try:
        described = json.dumps(_plain([list(op_args), dict(op_kwargs)]), sort_keys=True)
    except RecursionError:
        # A value that holds itself, which no XCom can.
        described = json.dumps(sorted(op_kwargs))
    return hashlib.sha256(described.encode("utf-8", "surrogatepass")).hexdigest()


def _plain(value: Any) -> Any:
    """A value as JSON that tells different values apart; a list and a tuple are one, as XCom makes one of the other."""
    if isinstance(value, enum.Enum):
        return _typed(value, value.name)
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Mapping):
        return {"mapping": _sorted([_plain(key), _plain(each)] for key, each in value.items())}
    if isinstance(value, Set):
        return {"set": _sorted(_plain(each) for each in value)}
    if isinstance(value, bytes | bytearray | memoryview):
        return {"bytes": hashlib.sha256(value).hexdigest()}
    if isinstance(value, Sequence):
        return [_plain(each) for each in value]
    if isinstance(value, type | FunctionType):
        return {"name": f"{value.__module__}.{value.__qualname__}"}
    if is_dataclass(value):
        return _typed(value, [[each.name, _plain(getattr(value, each.name))] for each in fields(value)])
    inherited = (name for each in type(value).__mro__[:-1] for name in vars(each))
    if getattr(value, "__dict__", None) and not {"__reduce__", "__reduce_ex__"}.intersection(inherited):
        # A pickle would hold its attributes as well, but say whether two of them are one object.
        return _typed(value, _plain(vars(value)))
    try:
        return _typed(value, hashlib.sha256(pickle.dumps(value, protocol=5)).hexdigest())
    except Exception:  # noqa: BLE001 - whatever its class raises
        return _typed(value, None)


def _typed(value: Any, described: Any) -> dict[str, Any]:
    return {"type": f"{type(value).__module__}.{type(value).__qualname__}", "value": described}


def _sorted(described: Any) -> list[Any]:
    return sorted(described, key=lambda each: json.dumps(each, sort_keys=True))
