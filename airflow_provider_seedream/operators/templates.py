"""Which values of our operators Airflow renders: what the author of the DAG wrote, and never what came from a task."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from airflow.providers.common.compat.sdk import BaseOperator, ObjectStoragePath, literal

from airflow_provider_seedream.operators.arguments import lasting_errors_fail_at_once
from airflow_provider_seedream.wavespeed.errors import InvalidInputError
from airflow_provider_seedream.wavespeed.prompt import ImageSetPrompt, Scene
from airflow_provider_seedream.wavespeed.validation import without_secrets

if TYPE_CHECKING:
    import jinja2
    from airflow.providers.common.compat.sdk import Context

PROSE = frozenset({"prompt", "characters", "style", "palette"})
"""Arguments whose texts go to the vendor. What has no template in it stays as it is, also under native rendering."""

PLACES = frozenset({"path", "output_path", "images", "seedream_conn_id", "storage_conn_id"})
"""Arguments in which double braces can only be a template that somebody wants rendered."""


class RendersOnlyWhatTheAuthorWrote(BaseOperator):
    """An operator that never renders a value that came from a task, and never reads it as the name of a file.

    A language model may have written such a value, and a template reaches connections and variables. Airflow knows a
    mapped value by its identity, so a subclass must keep the very object that its constructor got, and may convert it
    only once it is rendered. Values of ``expand_kwargs(<a task>)`` are rendered by Airflow's own operators; not here.
    """

    from_tasks: frozenset[str] = frozenset()
    """The arguments that a task gave by way of task mapping. Known once the templates are rendered."""

    _is_rendered = False

    def _do_render_template_fields(
        self,
        parent: Any,
        template_fields: Iterable[str],
        context: Context,
        jinja_env: jinja2.Environment,
        seen_oids: set[int],
    ) -> None:
        if parent is self:
            # dag.test() of Airflow 2 goes on with the rendered task after a deferral. By then nothing is the author's.
            if self._is_rendered:
                return
            self._set_apart(context, jinja_env, seen_oids)
        super()._do_render_template_fields(parent, template_fields, context, jinja_env, seen_oids)
        if parent is self:
            self._is_rendered = True

    def _set_apart(self, context: Context, jinja_env: jinja2.Environment, seen_oids: set[int]) -> None:
        """Tell Airflow about all values that came from tasks, and make of the author's what Jinja can render."""
        marks = _marks(jinja_env)
        for name, value in _given_by_expand_kwargs(self, context):
            seen_oids.add(id(value))
            if any(mark in text for text in _texts(value) for mark in marks):
                self._not_rendered(name, value)
        self.from_tasks = frozenset(
            name for name in self.template_fields if id(getattr(self, name)) in seen_oids
        )

        def prose(text: str) -> object:
            is_file = text.endswith(tuple(self.template_ext))
            return text if is_file or any(mark in text for mark in marks) else literal(text)

        for name in self.template_fields:
            if name not in self.from_tasks and name in PROSE | PLACES:
                setattr(self, name, _plain(getattr(self, name), prose if name in PROSE else str))

    def _not_rendered(self, name: str, value: object) -> None:
        if name in PLACES:
            rule = "a task gave it by expand_kwargs(), and what a task gives is never rendered as a template"
            with lasting_errors_fail_at_once():
                raise InvalidInputError(
                    name, without_secrets(value), rule, f"Write the template in partial({name}=...)."
                )
        self.log.warning(
            "%s came from a task by expand_kwargs() and holds what looks like a template. It is not rendered. "
            "A template that you wrote yourself belongs in partial().",
            name,
        )


def _given_by_expand_kwargs(task: BaseOperator, context: Context) -> Iterator[tuple[str, Any]]:
    """What a mapped task got by ``expand_kwargs(<a task>)``, by argument. Airflow treats it as the author's.

    The author's are the values of ``partial()`` and of default arguments, recognised by identity, as Airflow does it.
    """
    dag = task.get_dag()
    mapped: Any = None if dag is None else dag.task_dict.get(task.task_id)
    if dag is None or mapped is None or isinstance(mapped, BaseOperator):
        return
    expanded = mapped._get_specified_expand_input().value
    if isinstance(expanded, Sequence):
        expanded = expanded[cast("int", context["ti"].map_index)]
    if isinstance(expanded, Mapping):
        return  # The author's own, or of expand(), where Airflow knows what is whose.
    written = [mapped.partial_kwargs, mapped.partial_kwargs.get("op_kwargs") or {}, dag.default_args]
    if mapped.task_group is not None:
        written.append(mapped.task_group.default_args or {})
    authors = {id(value) for values in written for value in values.values()}
    for name in task.template_fields:
        value = getattr(task, name)
        arguments = value.values() if name == "op_kwargs" else (value,)
        yield from ((name, each) for each in arguments if id(each) not in authors)


def _plain(value: object, prose: Callable[[str], object]) -> object:
    """The author's value as text, lists and mappings, which Jinja can render. The author's own object is not changed."""
    if isinstance(value, ImageSetPrompt):
        value = value.to_json()
    elif isinstance(value, Scene):
        value = value.text
    elif isinstance(value, os.PathLike) and not isinstance(value, ObjectStoragePath):
        value = str(value)
    if isinstance(value, str):
        return prose(value)
    if isinstance(value, dict):
        return {key: _plain(each, prose) for key, each in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_plain(each, prose) for each in value)  # type: ignore[call-arg, attr-defined]
    return value


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list | tuple | set):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, os.PathLike | ObjectStoragePath):
        yield str(value)


def _marks(jinja_env: jinja2.Environment) -> tuple[str, ...]:
    """What a text with a template in it holds; a DAG may choose other marks than Jinja's."""
    marks = (
        jinja_env.variable_start_string,
        jinja_env.block_start_string,
        jinja_env.comment_start_string,
        jinja_env.line_statement_prefix,
        jinja_env.line_comment_prefix,
    )
    return tuple(mark for mark in marks if mark)
