"""``make matrix``: the built wheel on every Airflow that it is for, and one report of the event table over all of them.

Needs the standard library only. For each version it makes an environment, installs the wheel (not the checkout), and runs
the steps of :data:`STEPS` in a folder without our package. At the end it prints a line for each step, and the event table;
both are in ``test-output/matrix.md`` as well. An environment is made once, and again when its constraints change.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parent.parent
sys.path.insert(0, str(PROJECT))

from tests.events import events  # noqa: E402 - found by the line above

HOME = PROJECT / ".venv-matrix"
RESULT = PROJECT / "test-output" / "matrix.md"
NEWEST = "3.3.2"
CELLS = (
    ("2.11.2", "3.11"),
    ("3.0.6", "3.11"),
    ("3.1.8", "3.11"),
    ("3.2.2", "3.11"),
    (NEWEST, "3.11"),
    (NEWEST, "3.12"),
    (NEWEST, "3.13"),
    ("3.4.0b2", "3.11"),
)
PARTS = ("tests", "example_dags", "docs", "benchmarks", "pyproject.toml", "README.md", "Makefile")
"""What the tests read of the checkout: all but the package, which must come from the wheel."""

IMPORTS = """
# The least version that a module is for.
NEEDS = {
    "airflow_provider_seedream.operators.hitl": (3, 1),
    "airflow_provider_seedream.operators.lost_form": (3, 1),
    "airflow_provider_seedream.operators.review": (3, 1),
    "airflow_provider_seedream.plugins.app": (3, 0),
    "airflow_provider_seedream.policies.retry": (3, 3),
}
import importlib, pkgutil, sys, warnings
import airflow, airflow_provider_seedream as ours
installed = tuple(map(int, airflow.__version__.split(".")[:2]))
assert "site-packages" in ours.__file__, ours.__file__
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for module in pkgutil.walk_packages(ours.__path__, ours.__name__ + "."):
        if installed >= NEEDS.get(module.name, (0,)) and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
deprecations = {"RemovedInAirflow3Warning", "AirflowProviderDeprecationWarning", "DeprecatedImportWarning"}
bad = [
    f"{each.filename}:{each.lineno}: {each.category.__name__}: {each.message}"
    for each in caught
    if "airflow_provider_seedream" in each.filename or each.category.__name__ in deprecations
]
print(*bad, sep="\\n")
sys.exit(bool(bad))
"""

PROVIDER = """
import subprocess, sys
for command in (["list"], ["get", "airflow-provider-seedream"]):
    done = subprocess.run([sys.argv[1], "providers", *command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "airflow-provider-seedream" in done.stdout, done.stdout
"""

PYTEST = ("-m", "pytest", "-q", "-p", "no:cacheprovider")
OLD_LIBRARIES = ("-W", "default::DeprecationWarning", "-W", "default::PendingDeprecationWarning")
"""What the libraries of an older Airflow warn of is no fault of ours."""

STEPS: dict[str, tuple[str, ...]] = {
    "imports": ("-c", IMPORTS),
    "provider": ("-c", PROVIDER, "{airflow}"),
    "components": (
        *PYTEST,
        *OLD_LIBRARIES,
        "-m",
        "event",
        "-n",
        "2",
        "--dist",
        "loadfile",
        "tests/components",
    ),
    "dag runs": (*PYTEST, "-s", "tests/older"),
}
"""What runs in each cell, by its name. The examples are read by the dag runs."""


@dataclass(frozen=True, slots=True)
class Result:
    """How a step ended.

    :param said: the last line that it printed.
    """

    airflow: str
    python: str
    step: str
    passed: bool
    seconds: float
    said: str

    @property
    def line(self) -> str:
        outcome = "passed" if self.passed else "FAILED"
        return (
            f"| {self.airflow} | {self.python} | {self.step} | {outcome} | {self.seconds:.0f} | {self.said} |"
        )


def run(command: Iterable[str | Path], log: Path, cwd: Path = PROJECT, **env: str) -> tuple[bool, float, str]:
    """Run a command: whether it passed, its seconds, and its last line."""
    began = time.monotonic()
    with log.open("w") as output:
        inherited = {name: value for name, value in os.environ.items() if "AIRFLOW" not in name}
        done = subprocess.run(
            [str(each) for each in command],
            cwd=cwd,
            env={**inherited, **env},
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    lines = log.read_text(errors="replace").strip().splitlines()
    said = lines[-1][:120].replace("|", "/") if lines else ""
    return done.returncode == 0, time.monotonic() - began, said


def uv() -> Path:
    """The program that installs."""
    program = HOME / "uv" / "bin" / "uv"
    if not program.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", HOME / "uv"], check=True)
        install = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "uv")
        subprocess.run([HOME / "uv" / "bin" / "python", *install], check=True)
    return program


def wheel() -> Path:
    """Build it."""
    shutil.rmtree(HOME / "wheel", ignore_errors=True)
    subprocess.run([uv(), "build", "--quiet", "--wheel", "--out-dir", HOME / "wheel", PROJECT], check=True)
    (built,) = (HOME / "wheel").glob("*.whl")
    return built


def copy_of_the_checkout() -> Path:
    """A folder with all that the tests need but the package."""
    folder = HOME / "checkout"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for part in PARTS:
        source = PROJECT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__", "results"))
        else:
            shutil.copy(source, folder / part)
    return folder


def install(airflow: str, python: str, built: Path, home: Path) -> tuple[bool, float, str]:
    """Make the environment of a cell, or bring the wheel in it up to date."""
    constraints = PROJECT / (
        "constraints-dev.txt" if airflow == NEWEST else f"constraints-airflow-{airflow}.txt"
    )
    ready, began = home / ".ready", time.monotonic()
    wanted = constraints.read_text() + (PROJECT / "pyproject.toml").read_text()
    pip = (uv(), "pip", "install", "--quiet", "--compile-bytecode", "--python", home / "bin" / "python")
    if not ready.exists() or ready.read_text() != wanted:
        subprocess.run([f"python{python}", "-m", "venv", "--clear", home], check=True)
        passed, _, said = run([*pip, "-c", constraints, f"{built}[dev]"], home.with_suffix(".log"))
        if passed:
            ready.write_text(wanted)
    else:
        passed, _, said = run([*pip, "--no-deps", "--reinstall", built], home.with_suffix(".log"))
    return passed, time.monotonic() - began, said


def cell(airflow: str, python: str, built: Path, checkout: Path, steps: Iterable[str]) -> Iterable[Result]:
    """Install the wheel on one Airflow, and run the steps there."""
    home = HOME / f"{airflow}-py{python}"
    passed, seconds, said = install(airflow, python, built, home)
    yield Result(airflow, python, "install", passed, seconds, said)
    for step in steps if passed else ():
        name = step.replace(" ", "-")
        command = [
            each.format(airflow=home / "bin" / "airflow") if each == "{airflow}" else each
            for each in STEPS[step]
        ]
        events_of_step = HOME / f"{home.name}-{name}.events"
        events_of_step.unlink(missing_ok=True)
        passed, seconds, said = run(
            [home / "bin" / "python", *command],
            HOME / f"{home.name}-{name}.log",
            checkout,
            AIRFLOW_HOME=str(HOME / f"{home.name}-airflow"),
            SEEDREAM_EVENTS=str(events_of_step),
        )
        yield Result(airflow, python, step, passed, seconds, said)


def event_table(cells: Iterable[tuple[str, str]]) -> list[str]:
    """The event table: a line for each event, a column for each cell: paid tasks seen of those wanted, and FAILED."""
    cells = list(cells)
    seen: dict[tuple[str, tuple[str, str], str], list[tuple[str, list[int] | None]]] = defaultdict(list)
    for airflow, python in cells:
        for file in HOME.glob(f"{airflow}-py{python}-*.events"):
            for line in file.read_text().splitlines():
                event, layer, _, outcome, paid = json.loads(line)
                seen[event, (airflow, python), layer].append((outcome, paid))

    def shown(event: str, where: tuple[str, str]) -> str:
        parts = []
        for layer, name in (("components", ""), ("older", "dag run ")):
            if tests := seen[event, where, layer]:
                paid = [each for _, each in tests if each]
                counts = (
                    f"{sum(each[0] for each in paid)}/{sum(each[1] for each in paid)}" if paid else "held"
                )
                parts.append(
                    name + counts + (" FAILED" if any(each != "passed" for each, _ in tests) else "")
                )
        return ", ".join(parts) or "–"

    return [
        "| event | " + " | ".join(f"{airflow}, {python}" for airflow, python in cells) + " |",
        "|---" * (len(cells) + 1) + "|",
        *(
            f"| {'★ ' if starred else ''}{event} | "
            + " | ".join(shown(event, where) for where in cells)
            + " |"
            for event, starred in events().items()
        ),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="make matrix", description=__doc__)
    parser.add_argument(
        "versions", nargs="*", help="versions of Airflow, or with a Python: 3.3.2/3.13; default: all"
    )
    parser.add_argument("--step", action="append", choices=STEPS, help="only this step; may be given again")
    asked = parser.parse_args()
    cells = [each for each in CELLS if not asked.versions or {each[0], "/".join(each)} & set(asked.versions)]
    if not cells:
        parser.error(f"no such version; there are {', '.join('/'.join(each) for each in CELLS)}")
    HOME.mkdir(exist_ok=True)
    built, checkout = wheel(), copy_of_the_checkout()
    results = []
    for airflow, python in cells:
        if shutil.which(f"python{python}") is None:
            results.append(
                Result(airflow, python, "install", False, 0, f"there is no python{python} on PATH")
            )
            continue
        for result in cell(airflow, python, built, checkout, asked.step or STEPS):
            print(result.line, flush=True)  # noqa: T201
            results.append(result)
    records = [
        line.strip()
        for airflow, python in cells
        if (log := HOME / f"{airflow}-py{python}-dag-runs.log").exists()
        for line in log.read_text(errors="replace").splitlines()
        if line.startswith("record on Airflow")
    ]
    text = "\n".join(
        (
            "# The matrix",
            "",
            "| Airflow | Python | step | result | seconds | last line |",
            "|---|---|---|---|---|---|",
            *(result.line for result in results),
            "",
            "Paid tasks seen of those wanted, summed over the tests of each event:",
            "",
            *event_table(cells),
            "",
            "What the record holds:",
            "",
            *(f"- {line}" for line in records),
        )
    )
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(text + "\n")
    print(text)  # noqa: T201
    return 0 if all(result.passed for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
