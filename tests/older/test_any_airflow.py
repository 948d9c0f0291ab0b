"""The main job on whichever Airflow is installed: what every version keeps, and what a retry costs on each."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from airflow_provider_seedream.emulator import Emulator, faults
from tests.airflow_cli import AirflowCli, Done

DAG = """
import datetime as dt
from airflow.providers.common.compat.sdk import DAG, Asset, task
from airflow_provider_seedream.operators.cost import SeedreamCostSummaryOperator
from airflow_provider_seedream.operators.prompt import SeedreamPromptOperator
from airflow_provider_seedream.operators.publish import SeedreamPublishOperator
from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator
from airflow_provider_seedream.sensors.seedream import SeedreamPredictionSensor

with DAG("any", start_date=dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc), schedule=None):
    draw = SeedreamSequentialOperator(
        task_id="draw", prompt=["a fox", "an owl"], timeout=120, retries=1, retry_delay=dt.timedelta(seconds=1)
    )
    publish = SeedreamPublishOperator(
        task_id="publish",
        image_set=draw.output,
        path="file://{folder}/set/{{ run_id }}",
        outlets=[Asset("x://tests/any")],
    )
    publish >> SeedreamCostSummaryOperator(task_id="cost")

with DAG("late", start_date=dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc), schedule=None):
    SeedreamSequentialOperator(
        task_id="draw", prompt="a fox", timeout=10, retries=1, retry_delay=dt.timedelta(seconds=1)
    )

with DAG("lost", start_date=dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc), schedule=None):
    SeedreamSequentialOperator(task_id="draw", prompt="a fox", timeout=60)

with DAG("taskflow", start_date=dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc), schedule=None):
    @task.seedream_sequential(max_cost=0.1)
    def draw(prompt):
        return prompt

    prompt = SeedreamPromptOperator(task_id="prompt", prompt=["a fox", "an owl"], enhance=True)
    SeedreamPublishOperator(
        task_id="publish", image_set=draw(prompt.output), path="file://{folder}/flow/{{ run_id }}"
    )
with DAG("elsewhere", start_date=dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc), schedule=None):
    submit = SeedreamSequentialOperator(
        task_id="submit", prompt=["a fox", "an owl"], images=["file://{folder}/fox.png"], wait_for_completion=False
    )
    told = SeedreamPredictionSensor(task_id="deferred", image_set=submit.output)
    known = SeedreamPredictionSensor(
        task_id="poking", prediction_id=submit.output["prediction_id"], deferrable=False, poke_interval=2
    )
    unknown = SeedreamPredictionSensor(task_id="skipped", prediction_id="0" * 32, soft_fail=True)
    SeedreamPublishOperator(task_id="publish", image_set=told.output, path="file://{folder}/told")
    SeedreamPublishOperator(task_id="publish_known", image_set=known.output, path="file://{folder}/known")
"""

TEMPLATES = """
import datetime as dt, pathlib
from airflow.providers.common.compat.sdk import DAG, ObjectStoragePath, task, task_group
from airflow_provider_seedream.operators.cost import SeedreamCostSummaryOperator
from airflow_provider_seedream.operators.prompt import SeedreamPromptOperator
from airflow_provider_seedream.operators.publish import SeedreamPublishOperator
from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator
from airflow_provider_seedream.wavespeed import ImageSetPrompt, Scene

START = dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc)
OF_A_TASK = ["a {{ 7 * 6 }} fox", "scenes.txt"]

with DAG("of_a_task", start_date=START, schedule=None):
    @task
    def model():
        return [OF_A_TASK]

    @task
    def mappings():
        return [{"prompt": {"scenes": OF_A_TASK, "style": OF_A_TASK[0]}}]

    @task
    def answers():
        return [["a {# green #} fox", "scenes.txt"]]

    @task.seedream_sequential(enable_sync_mode=True)
    def function(scenes, other="none"):
        assert scenes == OF_A_TASK, scenes
        return ["a {# green #} fox", "an owl"]

    @task_group
    def group(scenes):
        drawn = SeedreamSequentialOperator(task_id="drawn", prompt=scenes, enable_sync_mode=True)
        drawn >> SeedreamCostSummaryOperator(task_id="sum")

    written, read = model(), answers()
    SeedreamSequentialOperator.partial(task_id="expand").expand(prompt=written)
    SeedreamSequentialOperator.partial(task_id="kwargs", enable_sync_mode=True).expand_kwargs(mappings())
    SeedreamPromptOperator.partial(task_id="prompt").expand(prompt=read)
    SeedreamPromptOperator.partial(task_id="prompt_kwargs").expand_kwargs(read.map(lambda each: {"prompt": each}))
    function.expand(scenes=written)
    function.override(task_id="called").partial(other="{{ dag.dag_id }}").expand_kwargs(
        written.map(lambda each: {"scenes": each})
    )
    group.expand(scenes=written.concat(written))

for native in (False, True):
    with DAG(f"of_the_author_{native}", start_date=START, schedule=None, render_template_as_native_obj=native):
        scenes = [Scene("a {{ 7 * 6 }} fox"), "an owl"]
        whole = ImageSetPrompt(tuple(scenes), style="1985")
        draw = SeedreamSequentialOperator(task_id="whole", prompt=whole)
        sync = {"enable_sync_mode": True}
        SeedreamSequentialOperator.partial(task_id="partial", prompt=whole, **sync).expand(max_images=[2])
        SeedreamSequentialOperator.partial(task_id="expand", **sync).expand(prompt=[whole])
        SeedreamSequentialOperator.partial(task_id="kwargs", **sync).expand_kwargs([{"prompt": whole}])
        SeedreamPromptOperator(task_id="file", prompt="scenes.txt")
        store = ObjectStoragePath("file://{folder}/store") / "{{ dag.dag_id }}"
        path = pathlib.Path("{folder}/path") / "{{ dag.dag_id }}"
        SeedreamPublishOperator(task_id="store", image_set=draw.output, path=store)
        SeedreamPublishOperator(task_id="path", image_set=draw.output, path=path)
"""

Run = Callable[[str], Done]

AIRFLOW = tuple(map(int, version("apache-airflow").split(".")[:2]))

ASKS_PEOPLE = AIRFLOW >= (3, 1)
"""Whether this Airflow has a form for the approval."""

EXAMPLES = Path(__file__).parent.parent.parent / "example_dags"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("any-airflow")
    (home / "dags").mkdir()
    for name, content in (
        ("any.py", DAG),
        ("templates.py", TEMPLATES),
        ("scenes.txt", "{{ 7 * 6 }} of the file"),
    ):
        (home / "dags" / name).write_text(content.replace("{folder}", str(home)))
    return home


@pytest.fixture(scope="module")
def cli(home: Path) -> Iterator[AirflowCli]:
    lineage = {"type": "file", "log_file_path": str(home / "lineage.json"), "append": True}
    env = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        # Without it, each task of ``dags test`` fails on 3.2, and no error says so.
        "AIRFLOW__API_AUTH__JWT_SECRET": "of these tests, of which none signs in anywhere",
        "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(lineage),
    }
    with AirflowCli(home, env) as cli:
        # An Airflow 2 keeps events only of datasets that it has found in a DAG before.
        for command in (("db", "migrate"), ("dags", "reserialize")):
            done = cli.run(*command)
            assert done.returncode == 0, done.output[-3000:]
        yield cli


@pytest.fixture
def run(cli: AirflowCli, seedream_emulator: Emulator) -> Run:
    env = {"AIRFLOW_CONN_SEEDREAM_DEFAULT": seedream_emulator.airflow_connection()}
    return lambda dag_id: cli.run("dags", "test", dag_id, env=env)


def test_an_image_set_is_drawn_and_published(home: Path, seedream_emulator: Emulator, run: Run) -> None:
    done = run("any")
    assert done.returncode == 0, done.output[-4000:]
    (manifest_file,) = (home / "set").rglob("manifest.json")
    manifest = json.loads(manifest_file.read_text())
    assert len(manifest["images"]) == 2
    assert seedream_emulator.paid_tasks == 1
    (extra,) = _event_extras(home)
    assert (extra["prediction_id"], extra["images"]) == (manifest["prediction_id"], 2)
    assert extra["manifest"] == f"file://{manifest_file}"
    assert "In all: $0.07 for 1 image set(s), 2 image(s)." in done.output
    told = [json.loads(line) for line in (home / "lineage.json").read_text().splitlines()]
    ended = {event["job"]["name"]: event for event in told if event["eventType"] == "COMPLETE"}
    facets = [
        ended[f"any.{task_id}"]["run"]["facets"]["seedream_imageSet"] for task_id in ("draw", "publish")
    ]
    assert [(facet["predictionId"], facet["costUsd"]) for facet in facets] == [
        (extra["prediction_id"], 0.07)
    ] * 2
    (folder,) = [each for each in ended["any.publish"]["outputs"] if each["namespace"] == "file"]
    assert folder["name"] == str(manifest_file.parent)
    assert folder["outputFacets"]["outputStatistics"]["rowCount"] == 2


def test_the_examples_are_read_without_an_error(home: Path) -> None:
    read = "import sys, runpy\nfor file in sys.argv[1:]: print('read', sorted(runpy.run_path(file).keys() & {'dag'}))"
    files = sorted(str(file) for file in EXAMPLES.glob("example_seedream_*.py"))
    done = subprocess.run(
        [sys.executable, "-c", read, *files],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        cwd=home,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    # Airflow 3.0 logs to standard output as well.
    lines = [line for line in done.stdout.splitlines() if line.startswith("read ")]
    makes_dag = {file: line == "read ['dag']" for file, line in zip(files, lines, strict=True)}
    need_a_newer = ["alerts"] if ASKS_PEOPLE else ["alerts", "approval"]
    assert [file for file, makes in makes_dag.items() if not makes] == [
        str(EXAMPLES / f"example_seedream_{name}.py") for name in need_a_newer
    ]


def test_the_plugin_of_the_gallery_is_loaded_and_costs_no_fastapi(home: Path) -> None:
    code = (
        "import sys; from airflow import plugins_manager as manager; "
        "getattr(manager, 'ensure_plugins_loaded', lambda: None)(); "
        "loaded = getattr(manager, 'plugins', None) or manager._get_plugins()[0]; "
        "ours = [plugin for plugin in loaded if plugin.name == 'seedream']; "
        "print(len(ours), 'airflow_provider_seedream.plugins.app' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.splitlines()[-1] == "1 False"


def test_a_function_draws_what_the_prompt_operator_wrote(
    home: Path, seedream_emulator: Emulator, run: Run
) -> None:
    done = run("taskflow")
    assert done.returncode == 0, done.output[-4000:]
    (manifest_file,) = (home / "flow").rglob("manifest.json")
    enhanced, drawn = seedream_emulator.predictions
    assert drawn["input"]["prompt"] == enhanced["outputs"][0]
    assert json.loads(manifest_file.read_text())["prompt"] == drawn["input"]["prompt"]


def test_what_was_submitted_elsewhere_is_collected_and_published(
    home: Path, seedream_emulator: Emulator, run: Run
) -> None:
    Image.new("RGB", (64, 64), "red").save(home / "fox.png")
    seedream_emulator.faults.add("submit", faults.Takes(seconds=8))
    done = run("elsewhere")
    assert done.returncode == 0, done.output[-4000:]
    told, known = (json.loads((home / each / "manifest.json").read_text()) for each in ("told", "known"))
    assert told["prediction_id"] == known["prediction_id"]
    assert (told["requested"], known["requested"]) == (2, None)
    assert told["model"] == "bytedance/seedream-v5.0-lite/edit-sequential"
    assert seedream_emulator.paid_tasks == 1


def test_a_rate_limit_is_waited_out_within_one_try(home: Path, seedream_emulator: Emulator, run: Run) -> None:
    refusal = faults.Status(429, headers={"Retry-After": "1"})
    seedream_emulator.faults.add("submit", refusal)
    done = run("any")
    assert "retrying in" in done.output
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.event("Our deadline passes")
@pytest.mark.parametrize("shown", [True, False], ids=["the account shows inputs", "it does not"])
def test_a_retry_resumes_what_is_paid(home: Path, seedream_emulator: Emulator, run: Run, shown: bool) -> None:
    seedream_emulator.configure(result_input=shown)
    seedream_emulator.faults.add("submit", faults.Takes(seconds=16))
    done = run("late")
    assert done.returncode == 0, done.output[-4000:]
    # On 3.0, dags test prints no log of a task.
    if AIRFLOW != (3, 0):
        assert "had not ended at our deadline" in done.output
        assert "resuming it" in done.output
    assert "finds no record" not in done.output
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.event("A person says what became of a lost submission")
@pytest.mark.skipif(AIRFLOW >= (3, 0), reason="there dags test cannot run a run again; see tests/standalone")
def test_a_person_says_what_a_lost_submission_became(
    home: Path, seedream_emulator: Emulator, cli: AirflowCli
) -> None:
    env = {"AIRFLOW_CONN_SEEDREAM_DEFAULT": seedream_emulator.airflow_connection()}
    seedream_emulator.faults.add("submit", faults.DropAfter())
    draw = ("dags", "test", "lost", "2026-01-02")
    said = re.search(r"airflow (variables set seedream_answer_\w+) ID", cli.run(*draw, env=env).output)
    assert said is not None
    done = cli.run(*said[1].split(), seedream_emulator.predictions[0]["id"], env=env)
    assert done.returncode == 0, done.output[-3000:]
    done = cli.run(*draw, env=env)
    assert done.returncode == 0, done.output[-4000:]
    assert "is named by a person as the lost submission; resuming it" in done.output
    assert seedream_emulator.paid_tasks == 1
    kept = _query(home, "select key from variable where description like '% of DAG lost in run %'")
    assert len(kept) == 1
    assert _query(home, "select key from variable where key like 'seedream_answer%'") == []


def test_what_came_from_a_task_is_never_rendered(home: Path, seedream_emulator: Emulator, run: Run) -> None:
    done = run("of_a_task")
    assert done.returncode == 0, done.output[-4000:]
    plain = "2 images. First, a {{ 7 * 6 }} fox. Second, scenes.txt."
    styled = plain.replace(". S", ". Style: a {{ 7 * 6 }} fox. S") + " Style: a {{ 7 * 6 }} fox."
    function = "2 images. First, a {# green #} fox. Second, an owl."
    drawn = sorted(each["input"]["prompt"] for each in seedream_emulator.predictions)
    assert drawn == sorted([plain] * 3 + [styled] + [function] * 2)
    assert _results(home, "of_a_task", "prompt%") == [plain.replace("{{ 7 * 6 }}", "{# green #}")] * 2
    assert [each["cost_usd"] for each in _results(home, "of_a_task", "group.sum")] == [0.07, 0.07]
    shown = _rendered(home, "of_a_task")
    assert "42" not in json.dumps(shown)
    assert "of the file" not in json.dumps(shown)
    assert shown["expand"]["prompt"] == ["a {{ 7 * 6 }} fox", "scenes.txt"]
    assert shown["called"]["op_kwargs"]["other"] == "of_a_task"


@pytest.mark.parametrize("native", [False, True])
def test_what_the_author_wrote_is_rendered(
    home: Path, seedream_emulator: Emulator, run: Run, native: bool
) -> None:
    dag_id = f"of_the_author_{native}"
    done = run(dag_id)
    assert done.returncode == 0, done.output[-4000:]
    text = "2 images. First, a 42 fox. Style: 1985. Second, an owl. Style: 1985."
    assert [each["input"]["prompt"] for each in seedream_emulator.predictions] == [text] * 4
    assert _results(home, dag_id, "file") == ["42 of the file"]
    assert (home / "store" / dag_id / "manifest.json").exists()
    assert (home / "path" / dag_id / "manifest.json").exists()


def _results(home: Path, dag_id: str, task_ids: str) -> list[Any]:
    """What tasks returned, by the pattern of their ids."""
    query = (
        "select value from xcom where dag_id = ? and task_id like ? and key = 'return_value' order by task_id"
    )
    values = [json.loads(value) for (value,) in _query(home, query, dag_id, task_ids)]
    # Some versions keep the JSON of JSON.
    twice = [isinstance(value, str) and value[:1] in ('"', "{") for value in values]
    return [json.loads(value) if again else value for value, again in zip(values, twice, strict=True)]


def _rendered(home: Path, dag_id: str) -> dict[str, Any]:
    """The template fields of all tasks as the UI shows them."""
    query = "select task_id, rendered_fields from rendered_task_instance_fields where dag_id = ?"
    return {task_id: json.loads(fields) for task_id, fields in _query(home, query, dag_id)}


def _query(home: Path, query: str, *values: str) -> list[Any]:
    database = sqlite3.connect(f"file:{home}/airflow.db?mode=ro", uri=True)
    try:
        return database.execute(query, values).fetchall()
    finally:
        database.close()


def _event_extras(home: Path) -> list[dict[str, Any]]:
    """What the events of all assets, or datasets, tell."""
    table = "asset_event" if AIRFLOW >= (3, 0) else "dataset_event"
    database = sqlite3.connect(f"file:{home}/airflow.db?mode=ro", uri=True)
    try:
        return [json.loads(extra) for (extra,) in database.execute(f"select extra from {table}")]
    finally:
        database.close()


def test_a_task_defers_though_airflow_writes_otherwise_into_its_own_file(tmp_path: Path) -> None:
    (tmp_path / "airflow.cfg").write_text("[operators]\ndefault_deferrable = false\n")
    code = (
        "from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator as Draw\n"
        "print('defers:', Draw(task_id='draw', prompt='a fox').deferrable)"
    )
    seen = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "AIRFLOW_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "defers: True" in seen.stdout
