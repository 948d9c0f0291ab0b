"""The benchmark still runs. What it measures is no matter of a test: only counts are asserted, never times."""

from __future__ import annotations

import gc
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.__main__ import _arguments as arguments
from benchmarks.faults import Faults
from benchmarks.plan import Plan
from benchmarks.report import fault_table, load_tables
from benchmarks.trial import run

needs_linux = pytest.mark.skipif(
    not Path("/proc/self/smaps_rollup").exists(), reason="memory is read as Linux tells it"
)

QUICK = Plan(20, median=3.0, spread=0.1, ramp=0.5)
TRIALS = {
    "bare": ("bare", QUICK),
    "ours": ("ours", QUICK),
    "ours, every fifth answer spoilt": ("ours", replace(QUICK, faults=Faults("mixed", 20))),
}


@pytest.fixture(scope="module")
def trials() -> dict[str, dict[str, Any]]:
    """One trial each, at the same time: each of them mostly waits."""
    with ThreadPoolExecutor() as pool:
        return dict(zip(TRIALS, pool.map(lambda trial: run(*trial), TRIALS.values()), strict=True))


@needs_linux
@pytest.mark.parametrize("name", TRIALS)
def test_no_job_comes_out_wrong_or_is_lost(trials: dict[str, dict[str, Any]], name: str) -> None:
    trial = trials[name]
    assert [trial[word] for word in ("wrong", "lost", "unfinished")] == [0, 0, 0]
    assert trial["server"]["strangers"] == 0
    assert trial["server"]["requests"] >= QUICK.n
    assert trial["server"]["connections"] > 0
    assert bool(trial["server"]["spoilt"]) == ("spoilt" in name)


@needs_linux
def test_the_tables_name_all_that_ran(trials: dict[str, dict[str, Any]]) -> None:
    loads = load_tables(list(trials.values()))
    assert "**ours**" in loads
    assert "bare" in loads
    assert "0 of 20" in fault_table(list(trials.values()))


SETTINGS = {"gc_threshold": 10_000, "median": 60.0, "spread": 0.3}


def test_results_measured_alike_are_joined(tmp_path: Path) -> None:
    earlier = tmp_path / "earlier.json"
    earlier.write_text(json.dumps({"trials": [SETTINGS]}))
    words = ["--gc-threshold", "10000", "--median", "60", "--join", str(earlier), str(earlier)]
    assert arguments(words).joined == [SETTINGS, SETTINGS]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--only", "ours,outs", "--join"], "no outs; there are idle, bare"),
        (["--faults", "fog:5", "--join"], "'fog' is no fault; there are 429"),
        (["--faults", "503:x", "--join"], "'x' is no percentage, as in 503:5"),
        (["--n", "100,x", "--join"], "'x' is no whole number of 1 or more"),
        (["--repeat", "0", "--join"], "'0' is no whole number of 1 or more"),
        (
            [
                "--only",
                "idle,bare",
                "--faults",
                "503:5",
                "--gc-threshold",
                "10000",
                "--median",
                "60",
                "--join",
            ],
            "idle, bare cannot be run with faults",
        ),
        (["--median", "60", "--join"], f"--gc-threshold was 10000 there and is {gc.get_threshold()[0]} here"),
        (["--gc-threshold", "10000", "--join"], "--median was 60.0 there and is 15.0 here"),
        (["--join", "nowhere.json"], "nowhere.json holds no results"),
        (["--join", __file__], "holds no results"),
    ],
)
def test_what_cannot_be_run_is_refused(
    words: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    earlier = tmp_path / "earlier.json"
    earlier.write_text(json.dumps({"trials": [SETTINGS]}))
    with pytest.raises(SystemExit):
        arguments([*words, str(earlier)])
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("text", ["503:1", "mixed:5", "none"])
def test_the_same_look_meets_the_same_fault(text: str) -> None:
    faults = Faults.parse(text)
    drawn = [faults.drawn(1, job, look) for job in range(200) for look in range(10)]
    assert drawn == [faults.drawn(1, job, look) for job in range(200) for look in range(10)]
    assert abs(sum(fault is not None for fault in drawn) / len(drawn) * 100 - faults.percent) < 1.5
