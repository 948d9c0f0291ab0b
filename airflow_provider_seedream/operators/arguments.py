"""What our operators do alike with their arguments and their errors."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, TypeAlias, TypeVar

from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator, ObjectStoragePath, conf

from airflow_provider_seedream.options import OnLostSubmission
from airflow_provider_seedream.wavespeed.errors import InvalidInputError, WaveSpeedError
from airflow_provider_seedream.wavespeed.validation import (
    parse_bool,
    parse_choice,
    refuse_unknown,
    without_secrets,
)

_Choice = TypeVar("_Choice")

# Anything but three slashes, with a connection's id before the third: file://tmp/x, file:////tmp/x, file:tmp/x.
_RELATIVE_FILE_URL = re.compile(r"(file|local):(?!//([^/@]*@)?/(?!/))", re.IGNORECASE)

PathInput: TypeAlias = str | os.PathLike[str] | ObjectStoragePath
"""Every form in which a folder or a file is accepted."""


_WRITTEN_OUT = re.compile(r"[\w .:/@+=-]+")
"""A path that surely holds no template."""


def refuse_unknown_arguments(
    operator: type[BaseOperator],
    given: Mapping[str, Any],
    airflows: type[BaseOperator] = BaseOperator,
    *,
    also: Iterable[str] = (),
) -> None:
    """Refuse a keyword that neither the operator nor Airflow knows, naming the closest one that is known.

    :param airflows: the class of Airflow's that it is built upon.
    :param also: what else is known where the keywords were given.
    :raises InvalidInputError: for the first unknown keyword.
    """
    ours = operator.__mro__[: operator.__mro__.index(airflows)]
    signatures = [
        inspect.signature(vars(each)["__init__"]).parameters for each in ours if "__init__" in vars(each)
    ]
    own = [name for parameters in signatures for name in parameters if name not in ("self", "kwargs")]
    airflow = {
        **inspect.signature(BaseOperator.__init__).parameters,
        **inspect.signature(airflows.__init__).parameters,
    }
    unknown = [name for name in given if not name.startswith("_") and name not in airflow]
    refuse_unknown(unknown, [*also, *own], what="argument")


def parse_on_lost_submission(value: str) -> OnLostSubmission:
    """The policy for lost submissions.

    :raises InvalidInputError: also for ``"ask"`` on an Airflow that has no form.
    """
    policy: OnLostSubmission = parse_choice("on_lost_submission", value, OnLostSubmission)
    if policy == "ask" and find_spec("airflow.sdk.execution_time.hitl") is None:
        raise InvalidInputError(
            "on_lost_submission",
            policy,
            "Airflow asks people by a form from 3.1 on",
            'Leave it at "fail": the error says how a person decides.',
        )
    return policy


def parse_deferrable(given: bool | None) -> bool:
    """Whether a task waits in the triggerer: as its DAG says, else as ``AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE`` does, else yes.

    In ``airflow.cfg`` the option says nothing: Airflow itself writes "no" there when it makes the file (2.11.2 to 3.4.0b2).

    :param given: the argument ``deferrable``; ``None``: the DAG says nothing.
    :raises InvalidInputError: if it is no bool.
    """
    if given is not None:
        return parse_bool("deferrable", given)
    if os.environ.get("AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE"):
        return bool(conf.getboolean("operators", "default_deferrable"))
    return True


def reject_blank(field: str, value: Any) -> Any:
    """A value that may be left out, but that a template must not leave empty.

    :raises InvalidInputError: for blank text, which would pass for "left out".
    """
    if isinstance(value, str) and not value.strip():
        raise InvalidInputError(
            field, value, "it is empty", "Leave it out, or see what its template renders to."
        )
    return value


def refuse_what_rendered_to_nothing(task: Any, names_given: Iterable[str]) -> None:
    """Refuse an argument that was given but became ``None``, as a native template does without a value.

    It would pass for "left out": a ceiling would be none.

    :param names_given: the arguments that were not ``None`` when the task was written.
    :raises InvalidInputError: for the first that is now.
    """
    for name in names_given:
        if getattr(task, name) is None:
            raise InvalidInputError(
                name,
                None,
                "its template, or the task it comes from, gave nothing",
                "Leave it out, or give a default.",
            )


def object_store_folder(field: str, path: object, conn_id: str | None = None) -> ObjectStoragePath:
    """The folder that a path names, in an object store that this Airflow knows.

    :param path: a text, a path object, or an ``ObjectStoragePath``, whose own connection and options count.
    :param conn_id: Airflow connection of the store.
    :raises InvalidInputError: if it names none, or nothing answers to its scheme.
    """
    text = _folder_text(field, path)
    _refuse_relative(field, text)
    return object_store_path(field, text.strip() if isinstance(path, str) or conn_id else path, conn_id)


def is_judged_at_once(task: BaseOperator) -> bool:
    """Whether the literals of a task can be judged when it is made.

    A mapped task is made on the worker, and is judged when it runs. A DAG may have templates that look otherwise.
    """
    dag = task.get_dag()
    return not (getattr(task, "_BaseOperator__from_mapped", False) or (dag and dag.jinja_environment_kwargs))


def refuse_wrong_folder(task: BaseOperator, field: str) -> None:
    """Refuse a folder when the DAG file is parsed, where it is written out, and is relative or none.

    :raises InvalidInputError: as on the worker.
    """
    text = path_text(getattr(task, field))
    blank = text is None or (isinstance(text, str) and not text.strip())
    if is_judged_at_once(task) and (blank or (isinstance(text, str) and _WRITTEN_OUT.fullmatch(text))):
        _refuse_relative(field, _folder_text(field, text))


def refuse_wrong_choice(task: BaseOperator, field: str, choices: Any) -> None:
    """Refuse a choice that may be a template when the DAG file is parsed, where it is written out.

    :param choices: a ``Literal``.
    :raises InvalidInputError: as on the worker.
    """
    value = getattr(task, field)
    is_text = isinstance(value, str)
    plain = (_WRITTEN_OUT.fullmatch(value) or not value.strip()) if is_text else isinstance(value, bool | int)
    if plain and is_judged_at_once(task):
        parse_choice(field, value, choices)


def _folder_text(field: str, path: object) -> str:
    text = path_text(path)
    if isinstance(text, str) and text.strip() not in ("", "None"):
        return text
    raise InvalidInputError(
        field,
        path,
        "it must name a folder",
        f'Write for example {field}="s3://bucket/stories/{{{{ run_id }}}}", or a local folder.',
    )


def _refuse_relative(field: str, text: str) -> None:
    text = text.strip()
    if _RELATIVE_FILE_URL.match(text):
        raise InvalidInputError(
            field,
            without_secrets(text),
            "a file URL has three slashes and no host; this one would lead below the worker's current folder",
            f'Write {field}="file:///srv/stories", for example, or an absolute path without a scheme.',
        )
    if "://" not in text and not text.startswith("/"):
        raise InvalidInputError(
            field,
            text,
            "a path without a scheme must be absolute: a worker's current folder may be any",
            f'Write {field}="s3://{text}", for example, or an absolute path.',
        )


def refuse_relative_file_url(field: str, text: str) -> None:
    """Refuse ``file://tmp/x``; a path without a scheme may be relative here.

    :raises InvalidInputError: naming the form with three slashes.
    """
    if _RELATIVE_FILE_URL.match(text.strip()):
        _refuse_relative(field, text)


def path_text(value: object) -> object:
    """A path object as text; any other value as it is."""
    return str(value) if isinstance(value, os.PathLike | ObjectStoragePath) else value


def object_store_path(field: str, path: Any, conn_id: str | None = None) -> ObjectStoragePath:
    """A place in an object store that this Airflow knows.

    :param path: its text, or an ``ObjectStoragePath``.
    :param conn_id: Airflow connection of the store.
    :raises InvalidInputError: if nothing answers to its scheme, or if it is relative.
    """
    refuse_relative_file_url(field, str(path))
    try:
        place = path if isinstance(path, ObjectStoragePath) else ObjectStoragePath(str(path), conn_id=conn_id)
        place.fs  # noqa: B018 - looks the scheme up
    except (ValueError, ImportError) as error:
        # What a ValueError says may quote a part of the path, hence of its password.
        why = str(error) if isinstance(error, ImportError) else type(error).__name__
        raise InvalidInputError(
            field,
            without_secrets(str(path)),
            f"no object store answers to it ({why})",
            "Install the Airflow provider of the store, for example apache-airflow-providers-amazon[s3fs].",
        ) from None
    return place


@contextmanager
def lasting_errors_fail_at_once() -> Iterator[None]:
    """Turn errors that trying again cannot cure into ``AirflowFailException``, so that no retry burns time or money."""
    try:
        yield
    except WaveSpeedError as error:
        if error.transient:
            raise
        message = f"{type(error).__name__}: {error}"
    else:
        return
    # Out here, so that a log shows one traceback and the message once.
    raise AirflowFailException(message)
