"""The digest of a function's arguments: the same for equal values, in each process, and another for others."""

from __future__ import annotations

import copy
import datetime as dt
import enum
import threading
import uuid
from dataclasses import dataclass
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_seedream.submission.kept_prompt import digest
from airflow_provider_seedream.wavespeed import ImageSetPrompt, Scene

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


class Light(enum.Enum):
    WARM = "a"
    COLD = "b"


@dataclass
class Brief:
    animal: str
    places: list[str]


class Plain:
    def __init__(self, **state: Any) -> None:
        self.__dict__.update(state)


class Slots:
    __slots__ = ("animal",)

    def __init__(self, animal: str) -> None:
        self.animal = animal


DIFFERENT = [
    [
        1,
        1.5,
        True,
        "1",
        None,
        "",
        [],
        {},
        [None],
        ["1"],
        [["1"]],
        {"1": 1},
        {"a": 1, "b": 2},
        {"a": 2, "b": 1},
    ],
    [b"a", b"b", "a", {"bytes": "a"}],
    [{1, 2}, {1, 3}, frozenset({1})],
    [dt.date(2026, 1, 1), dt.datetime(2026, 1, 1), dt.timedelta(1), "2026-01-01"],
    [
        Decimal("1.1"),
        Decimal("1.2"),
        uuid.UUID(int=1),
        uuid.UUID(int=2),
        PurePosixPath("/a"),
        PurePosixPath("/b"),
    ],
    [Light.WARM, Light.COLD, "WARM", "a"],
    [Brief("fox", ["snow"]), Brief("fox", ["rain"]), Scene("fox"), ImageSetPrompt(("fox", "owl"))],
    [
        Plain(animal="fox"),
        Plain(animal="owl"),
        Plain(animals=Plain(animal="fox")),
        Slots("fox"),
        Slots("owl"),
    ],
    [{1: "a"}, {"1": "a"}, {True: "b"}],
    [range(2), range(3), print, len, Plain, Brief],
]


@pytest.mark.parametrize("values", DIFFERENT, ids=lambda values: type(values[0]).__name__)
def test_other_values_have_another_digest_and_equal_ones_the_same(values: list[Any]) -> None:
    digests = [digest([], {"story": each}) for each in values]
    assert len(set(digests)) == len(values)
    assert digests == [digest([], {"story": each}) for each in copy.deepcopy(values)]


def test_place_and_name_of_an_argument_count() -> None:
    assert (
        len(
            {
                digest(["a", "b"], {}),
                digest(["b", "a"], {}),
                digest(["a"], {"x": "b"}),
                digest(["a"], {"y": "b"}),
            }
        )
        == 4
    )


def test_neither_the_order_of_a_mapping_nor_list_or_tuple_counts() -> None:
    assert digest(("a",), {"x": 1, "y": (2, 3)}) == digest(["a"], {"y": [2, 3], "x": 1})


@given(JSON, JSON)
def test_plain_data_has_one_digest(one: Any, other: Any) -> None:
    same = repr(one) == repr(other)
    assert (digest([one], {}) == digest([copy.deepcopy(one)], {})) is True
    if digest([one], {}) == digest([other], {}):
        assert same or one == other


def test_what_no_other_process_could_have_sent_counts_by_its_type() -> None:
    # A constant of the DAG file, whose address differs from try to try.
    assert digest([threading.Lock()], {}) == digest([threading.Lock()], {})
    assert digest([iter([1])], {"story": "fox"}) != digest([iter([1])], {"story": "owl"})


def test_a_value_that_holds_itself_does_no_harm() -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert digest([endless], {}) == digest([endless], {})


def test_a_generator_is_not_used_up() -> None:
    numbers = (each for each in (1, 2))
    digest([numbers], {})
    assert list(numbers) == [1, 2]


def test_text_that_is_no_valid_unicode_does_no_harm() -> None:
    assert digest(["\ud800"], {}) != digest(["\ud801"], {})
