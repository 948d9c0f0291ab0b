"""The benchmark still runs. What it measures is no matter of a test: only counts are asserted, never times."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmarks.faults import Faults
from benchmarks.plan import Plan
from benchmarks.report import fault_table, load_tables
from benchmarks.trial import run

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/smaps_rollup").exists(), reason="memory is read as Linux tells it"
)

QUICK = Plan(20, median=3.0, spread=0.1, ramp=0.5)


def test_all_jobs_come_out_right_and_the_table_says_so() -> None:
    with ThreadPoolExecutor() as pool:
        ours, bare = pool.map(run, ("ours", "bare"), (QUICK, QUICK))
    for trial in (ours, bare):
        assert [trial[word] for word in ("wrong", "lost", "unfinished")] == [0, 0, 0]
        assert trial["server"]["strangers"] == 0
        assert trial["server"]["requests"] >= QUICK.n
        assert 0 < trial["server"]["connections"] <= QUICK.n
    assert ours["server"]["requests"] < bare["server"]["requests"]
    assert "**ours**" in load_tables([ours, bare])


def test_every_fifth_answer_spoilt_leaves_no_job_wrong_or_lost() -> None:
    trial = run("ours", Plan(20, median=3.0, spread=0.1, ramp=0.5, faults=Faults("mixed", 20)))
    assert [trial[word] for word in ("wrong", "lost", "unfinished")] == [0, 0, 0]
    assert sum(trial["server"]["spoilt"].values()) > 0
    assert "0 of 20" in fault_table([trial])


@pytest.mark.parametrize("text", ["503:1", "mixed:5", "none"])
def test_the_same_look_meets_the_same_fault(text: str) -> None:
    faults = Faults.parse(text)
    drawn = [faults.drawn(1, job, look) for job in range(200) for look in range(10)]
    assert drawn == [faults.drawn(1, job, look) for job in range(200) for look in range(10)]
    assert abs(sum(fault is not None for fault in drawn) / len(drawn) * 100 - faults.percent) < 1.5
