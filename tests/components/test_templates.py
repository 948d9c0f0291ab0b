"""Templates: what the author of a DAG wrote is rendered; what came from a task is not, nor is it read as a file's name.

Rendered by Airflow's own operators, mapped ones included, for all the ways in which an argument can come from a task.
"""

from __future__ import annotations

import copy
import datetime as dt
import logging
import pathlib
import pickle
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import (
    DAG,
    AirflowFailException,
    BaseOperator,
    ObjectStoragePath,
    TaskGroup,
    task,
    task_group,
)

from airflow_provider_seedream.operators.arguments import object_store_folder
from airflow_provider_seedream.operators.cost import SeedreamCostSummaryOperator
from airflow_provider_seedream.operators.prompt import SeedreamPromptOperator
from airflow_provider_seedream.operators.publish import SeedreamPublishOperator
from airflow_provider_seedream.operators.review import SeedreamReviewOperator
from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator
from airflow_provider_seedream.sensors.seedream import SeedreamPredictionSensor
from airflow_provider_seedream.wavespeed import ImageSetPrompt, Scene
from airflow_provider_seedream.wavespeed.prompt_parsing import prompt_text

SUM = "a {{ 7 * 6 }}{# note #} fox"
FILE = "scenes.txt"
VALUES: dict[str, Any] = {
    "text": SUM,
    "name of a file": FILE,
    "list": [SUM, FILE],
    "tuple": (SUM, FILE),
    "mapping": {"scenes": [SUM, {"text": FILE}], "style": SUM},
    "nested": [[SUM, [FILE]], {"deep": {"deeper": [SUM]}}],
    "prompt by its parts": ImageSetPrompt((SUM, FILE), style=SUM),  # type: ignore[arg-type]
    "scenes": [Scene(SUM), Scene(FILE)],
}
ARGUMENTS: list[tuple[Any, str, dict[str, Any]]] = [
    (SeedreamSequentialOperator, "prompt", {}),
    (SeedreamSequentialOperator, "images", {"prompt": "a fox"}),
    (SeedreamSequentialOperator, "output_path", {"prompt": "a fox"}),
    (SeedreamSequentialOperator, "model", {"prompt": "a fox"}),
    (SeedreamPromptOperator, "prompt", {}),
    (SeedreamPromptOperator, "characters", {"prompt": "a fox"}),
    (SeedreamPromptOperator, "style", {"prompt": "a fox"}),
    (SeedreamPromptOperator, "palette", {"prompt": "a fox"}),
    (SeedreamPublishOperator, "image_set", {"path": "/stories"}),
    (SeedreamPublishOperator, "path", {"image_set": "{}"}),
    (SeedreamPredictionSensor, "image_set", {}),
    (SeedreamPredictionSensor, "prediction_id", {}),
    (SeedreamCostSummaryOperator, "task_ids", {}),
    (
        SeedreamReviewOperator,
        "image_set",
        {"draws": [], "rounds": 1, "on_approve": "approved", "on_reject": None},
    ),
]
FORMS_OF_OTHERS = ("text", "name of a file", "nested")
CASES = [
    pytest.param(operator, name, others, form, id=f"{operator.__name__}.{name} {form}")
    for operator, name, others in ARGUMENTS
    for form in VALUES
    if name == "prompt" or form in FORMS_OF_OTHERS
]
every_case = pytest.mark.parametrize(("operator", "name", "others", "form"), CASES)
PLACES = {"images", "output_path", "path"}


@pytest.fixture
def dag(tmp_path: pathlib.Path) -> DAG:
    (tmp_path / FILE).write_text("from the file, {{ 7 * 6 }}")
    start = dt.datetime(2026, 1, 1)
    return DAG("templates", start_date=start, schedule=None, template_searchpath=str(tmp_path))


def gives(value: Any, task_id: str = "model", key: str = "return_value") -> Any:
    """The output of a task that gave a value, which a language model may have written."""
    upstream = BaseOperator(task_id=task_id)
    upstream.doc = {key: value}  # type: ignore[assignment]
    return upstream.output if key == "return_value" else upstream.output[key]


def rendered(dag: DAG, task_id: str = "one", map_index: int = 0) -> Any:
    """The operator of a task instance as Airflow hands it to ``execute``."""
    operator = dag.get_task(task_id).prepare_for_execution()

    def xcom_pull(*, task_ids: str, key: str, **_: Any) -> Any:
        upstream: Any = dag.get_task(task_ids)
        return upstream.doc[key]

    ti = SimpleNamespace(map_index=map_index, task_id=task_id, xcom_pull=xcom_pull, _upstream_map_indexes={})
    ti.task = operator
    context: Any = {"ti": ti, "task": operator, "dag": dag, "params": {}, "ds": "2026-01-01"}
    context["dag_run"] = SimpleNamespace(conf={})
    operator.render_template_fields(context)
    return context["task"]


WAYS_TO_EXPAND = (
    "a task",
    "its map()",
    "its concat()",
    "its zip()",
    "outputs",
    "outputs in lists",
    "outputs in mappings",
)


def by_expand(way: str, value: Any) -> tuple[Any, Any]:
    """What ``expand()`` gets, and what must arrive of it."""
    match way:
        case "a task":
            return gives([value]), value
        case "its map()":
            return gives([[value]]).map(lambda each: each[0]), value
        case "its concat()":
            return gives([value]).concat(gives([], "other")), value
        case "its zip()":
            return gives([value]).zip(gives([value], "other")), (value, value)
        case "outputs":
            return [gives(value), gives(value, "other")], value
        case "outputs in lists":
            return [[gives(value), "an owl"]], [value, "an owl"]
        case _:
            return [{"scenes": gives(value)}], {"scenes": value}


@pytest.mark.parametrize("way", WAYS_TO_EXPAND)
@every_case
def test_what_a_task_gave_by_expand_arrives_as_it_is(
    dag: DAG, way: str, operator: Any, name: str, others: dict[str, Any], form: str
) -> None:
    value = copy.deepcopy(VALUES[form])
    with dag:
        given, arrives = by_expand(way, value)
        operator.partial(task_id="one", **others).expand(**{name: given})
    assert getattr(rendered(dag), name) == arrives
    assert value == VALUES[form]


@pytest.mark.parametrize("way", ["a task", "its map()", "its concat()", "one of several"])
@every_case
def test_what_a_task_gave_by_expand_kwargs_arrives_as_it_is(
    dag: DAG, way: str, operator: Any, name: str, others: dict[str, Any], form: str
) -> None:
    value = copy.deepcopy(VALUES[form])
    with dag:
        given: Any = gives([{name: value}])
        if way == "its map()":
            given = gives([value], "others").map(lambda each: {name: each})
        elif way == "its concat()":
            given = given.concat(gives([], "other"))
        elif way == "one of several":
            given = [gives({name: value}, "another"), {name: "the author's"}]
        operator.partial(task_id="one", **others).expand_kwargs(given)
    if name in PLACES and form != "name of a file":
        # Nobody means it as it stands, and Airflow's own operators would render it.
        with pytest.raises(AirflowFailException, match=rf"{name}=.* never rendered.* partial\({name}="):
            rendered(dag)
    else:
        assert getattr(rendered(dag), name) == value
    assert value == VALUES[form]


@every_case
def test_the_output_of_a_task_arrives_as_it_is(
    dag: DAG, operator: Any, name: str, others: dict[str, Any], form: str
) -> None:
    value = copy.deepcopy(VALUES[form])
    with dag:
        operator(task_id="one", **{name: gives(value)}, **others)
        operator(task_id="key", **{name: gives(value, "other", "answer")}, **others)
        operator(task_id="listed", **{name: ["an owl", gives(value, "third")]}, **others)
        operator.partial(task_id="partial", **{name: gives(value, "fourth")}, **others).expand(doc_rst=["a"])
    assert getattr(rendered(dag), name) == value
    assert getattr(rendered(dag, "key"), name) == value
    assert getattr(rendered(dag, "partial"), name) == value
    assert getattr(rendered(dag, "listed"), name) == ["an owl", value]
    assert value == VALUES[form]


@pytest.mark.parametrize("text", [SUM, FILE])
def test_what_a_template_gives_is_not_rendered_a_second_time(dag: DAG, text: str) -> None:
    with dag:
        gives(text)
        for operator in (SeedreamSequentialOperator, SeedreamPromptOperator):
            task_id = operator.__name__
            template = "{{ ti.xcom_pull(task_ids='model', key='return_value') }}"
            operator(task_id=task_id, prompt=template)
            operator.partial(task_id=f"{task_id}_mapped").expand(prompt=[template])
    for task_id in dag.task_ids[1:]:
        assert rendered(dag, task_id).prompt == text


@every_case
def test_what_a_mapped_group_got_from_a_task_arrives_as_it_is(
    dag: DAG, operator: Any, name: str, others: dict[str, Any], form: str
) -> None:
    value = copy.deepcopy(VALUES[form])
    with dag:

        @task_group
        def one(given: Any) -> None:
            operator(task_id="one", **{name: given}, **others)

        @task_group
        def two(given: Any) -> None:
            operator(task_id="one", **{name: given}, **others)

        one.expand(given=gives([value]))
        two.expand_kwargs(gives([{"given": value}], "other"))
    assert getattr(rendered(dag, "one.one"), name) == value
    assert getattr(rendered(dag, "two.one"), name) == value


@pytest.mark.parametrize("form", VALUES)
def test_what_a_task_gave_to_a_decorated_function_arrives_as_it_is(dag: DAG, form: str) -> None:
    value = copy.deepcopy(VALUES[form])
    with dag:

        @task.seedream_sequential
        def one(idea: Any, style: str = "ink") -> Any:
            return idea

        one.override(task_id="called")(gives(value), gives(value, "2"))
        one.override(task_id="expanded").expand(idea=gives([value], "3"))
        one.override(task_id="kwargs").expand_kwargs(gives([{"idea": value}], "4"))
        one.override(task_id="mixed").partial(style="{{ ds }}").expand_kwargs(gives([{"idea": value}], "5"))
        one.override(task_id="zipped").expand(idea=gives([value], "6").zip(gives([value], "7")))
    called = rendered(dag, "called")
    assert [*called.op_args, *called.op_kwargs.values()] == [value, value]
    for task_id in ("expanded", "kwargs"):
        assert rendered(dag, task_id).op_kwargs == {"idea": value}
    assert rendered(dag, "mixed").op_kwargs == {"style": "2026-01-01", "idea": value}
    assert rendered(dag, "zipped").op_kwargs == {"idea": (value, value)}
    assert value == VALUES[form]


AUTHORS: dict[str, tuple[Any, Any]] = {
    "text": ("a {{ 7 * 6 }} fox", "a 42 fox"),
    "list": (["a {{ 7 * 6 }} fox", "an owl"], ["a 42 fox", "an owl"]),
    "scenes": ([Scene("a {{ 7 * 6 }} fox"), "an owl"], ["a 42 fox", "an owl"]),
    "mapping": (
        {"scenes": [Scene("a {{ 7 * 6 }} fox")], "style": "{{ ds }}"},
        {"scenes": ["a 42 fox"], "style": "2026-01-01"},
    ),
    "prompt by its parts": (
        ImageSetPrompt(("a {{ 7 * 6 }} fox",), style="{{ ds }}"),  # type: ignore[arg-type]
        {"scenes": [{"text": "a 42 fox"}], "characters": "", "style": "2026-01-01", "palette": ""},
    ),
}


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("operator", [SeedreamSequentialOperator, SeedreamPromptOperator])
@pytest.mark.parametrize("form", AUTHORS)
def test_what_the_author_wrote_is_rendered_however_it_is_handed_over(
    dag: DAG, form: str, operator: Any, native: bool
) -> None:
    written, arrives = AUTHORS[form]
    before = copy.deepcopy(written)
    dag.render_template_as_native_obj = native
    with dag:
        operator(task_id="given", prompt=written)
        operator.partial(task_id="partial", prompt=written).expand(max_images=[1, 2])
        operator.partial(task_id="from_task", prompt=written).expand(max_images=gives([1]))
        operator.partial(task_id="kwargs_from_task", prompt=written).expand_kwargs(
            gives([{"max_images": 1}], "2")
        )
        operator.partial(task_id="expanded").expand(prompt=[written, "another"])
        operator.partial(task_id="kwargs").expand_kwargs([{"prompt": written}, gives({}, "3")])
        with TaskGroup("group", default_args={"prompt": written}):
            operator(task_id="default")
            operator.partial(task_id="default_of_mapped").expand_kwargs(gives([{"max_images": 1}], "4"))
    for task_id in [each.task_id for each in dag.tasks if each.operator_class is not BaseOperator]:
        assert rendered(dag, task_id).prompt == arrives, task_id
    assert written == before, "the author's object is the author's"
    assert prompt_text(arrives)


@pytest.mark.parametrize(
    "written",
    [
        ImageSetPrompt(("a fox",)),  # type: ignore[arg-type]
        ImageSetPrompt(("a fox", "1985", "None", "[1, 2]"), style="ink"),  # type: ignore[arg-type]
        ImageSetPrompt(("a fox",), characters="True", palette="0x10", style="'ink'"),  # type: ignore[arg-type]
        {"scenes": ["a fox"], "characters": "", "style": "1985"},
        {"scenes": [{"text": "1985"}], "palette": ""},
        ["1985", Scene("(1, 2)")],
        "1985",
    ],
    ids=lambda written: type(written).__name__,
)
@pytest.mark.parametrize("operator", [SeedreamSequentialOperator, SeedreamPromptOperator])
def test_a_text_without_a_template_stays_the_same_text_under_native_rendering(
    dag: DAG, operator: Any, written: Any
) -> None:
    dag.render_template_as_native_obj = True
    with dag:
        operator(task_id="one", prompt=written)
        operator.partial(task_id="mapped", prompt=written).expand(max_images=[1, 2])
    for task_id in ("one", "mapped"):
        assert prompt_text(rendered(dag, task_id).prompt) == prompt_text(written)


def test_a_template_still_gives_an_object_under_native_rendering(dag: DAG) -> None:
    dag.render_template_as_native_obj = True
    with dag:
        SeedreamSequentialOperator(task_id="one", prompt="{{ ['a fox', ds] }}", max_images="{{ 1 + 1 }}")
    task_instance = rendered(dag)
    assert (task_instance.prompt, task_instance.max_images) == (["a fox", "2026-01-01"], 2)


def test_a_dag_may_choose_other_marks_for_its_templates(dag: DAG) -> None:
    dag.jinja_environment_kwargs = {"variable_start_string": "<<", "variable_end_string": ">>"}
    with dag:
        SeedreamSequentialOperator(task_id="one", prompt=[Scene("a << 7 * 6 >> fox"), "a {{ 7 * 6 }} owl"])
        SeedreamSequentialOperator.partial(task_id="mapped", prompt="a fox").expand_kwargs(
            gives([{"output_path": "/<< ds >>"}])
        )
    assert rendered(dag).prompt == ["a 42 fox", "a {{ 7 * 6 }} owl"]
    with pytest.raises(AirflowFailException, match="output_path='/<< ds >>' is refused"):
        rendered(dag, "mapped")


def test_the_log_says_that_what_looks_like_a_template_was_not_rendered(
    dag: DAG, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with dag:
        mapped = SeedreamPromptOperator.partial(task_id="one", style="{{ ds }}")
        mapped.expand_kwargs(gives([{"prompt": SUM, "palette": "teal"}]))
    with caplog.at_level(logging.WARNING):
        task_instance = rendered(dag)
    logged = caplog.text + capsys.readouterr().out
    assert logged.count("came from a task by expand_kwargs() and holds what looks like a template") == 1
    assert "prompt came from a task by expand_kwargs()" in logged
    assert SUM not in logged
    assert task_instance.style == "2026-01-01"


def test_what_a_task_gives_in_the_place_of_an_argument_of_partial_is_not_rendered(dag: DAG) -> None:
    with dag:
        mapped = SeedreamPromptOperator.partial(task_id="one", prompt="a fox", style="{{ ds }}")
        mapped.expand_kwargs(gives([{"style": SUM}]), strict=False)
    assert rendered(dag).style == SUM


def test_an_operator_that_goes_on_in_the_same_process_is_not_rendered_again(dag: DAG) -> None:
    with dag:
        SeedreamSequentialOperator.partial(task_id="one").expand(prompt=gives([[SUM]]))
    task_instance = rendered(dag).prepare_for_execution()
    task_instance.render_template_fields({"ti": SimpleNamespace(map_index=0)})
    assert task_instance.prompt == [SUM]


def test_files_are_read_into_a_list_of_our_own(dag: DAG) -> None:
    written = [FILE, "an owl"]
    with dag:
        SeedreamPromptOperator(task_id="one", prompt=written)
        SeedreamPromptOperator.partial(task_id="mapped", prompt=written).expand(style=["ink"])
    dag.resolve_template_files()
    for task_id in ("one", "mapped"):
        assert rendered(dag, task_id).prompt == ["from the file, 42", "an owl"]
    assert written == [FILE, "an owl"]


@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))]
)
def test_a_prompt_by_its_parts_survives_every_kind_of_copy(duplicate: Any) -> None:
    prompt = AUTHORS["prompt by its parts"][0]
    operator = duplicate(SeedreamSequentialOperator(task_id="one", prompt=prompt))
    assert operator.prompt == prompt


@pytest.mark.parametrize("operator", [SeedreamSequentialOperator, SeedreamPublishOperator])
def test_a_path_object_names_the_same_folder_as_its_text(
    dag: DAG, tmp_path: pathlib.Path, operator: Any
) -> None:
    name, others = {
        SeedreamSequentialOperator: ("output_path", {"prompt": "a fox"}),
        SeedreamPublishOperator: ("path", {"image_set": "{}"}),
    }[operator]
    folders: dict[str, Any] = {
        "text": f"{tmp_path}/{{{{ ds }}}}",
        "pathlib": tmp_path / "{{ ds }}",
        "store": ObjectStoragePath(f"file://{tmp_path}") / "{{ ds }}",
    }
    with dag:
        for task_id, folder in folders.items():
            operator(task_id=task_id, **{name: folder}, **others)
            operator.partial(task_id=f"{task_id}_partial", **{name: folder}, **others).expand(doc_md=["a"])
            operator.partial(task_id=f"{task_id}_mapped", **others).expand(**{name: [folder]})
    for task_id in dag.task_ids:
        folder = object_store_folder(name, getattr(rendered(dag, task_id), name))
        assert folder.path == f"{tmp_path}/2026-01-01", task_id


def test_a_path_object_of_a_task_is_not_rendered(dag: DAG, tmp_path: pathlib.Path) -> None:
    folder = ObjectStoragePath(f"file://{tmp_path}/{{{{ 7 * 6 }}}}")
    with dag:
        SeedreamPublishOperator(task_id="given", path=gives(folder), image_set="{}")
        SeedreamPublishOperator.partial(task_id="mapped", image_set="{}").expand(path=gives([folder], "2"))
    for task_id in ("given", "mapped"):
        assert str(rendered(dag, task_id).path).endswith("/{{ 7 * 6 }}")
