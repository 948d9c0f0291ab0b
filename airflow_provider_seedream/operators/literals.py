"""What can be judged when a DAG file is parsed: arguments that hold no template and come from no task.

A mistake is then an import error in the UI, and not a failed task at night. What a template or a task gives is judged on the
worker, by the same functions. Where one argument is not known yet, a harmless value stands in for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_seedream.operators.arguments import (
    is_judged_at_once,
    path_text,
    refuse_relative_file_url,
    refuse_wrong_folder,
    reject_blank,
)
from airflow_provider_seedream.wavespeed.errors import InvalidInputError
from airflow_provider_seedream.wavespeed.optimizer import EnhancementRequest
from airflow_provider_seedream.wavespeed.prompt import ImageSetPrompt, Scene, is_list
from airflow_provider_seedream.wavespeed.prompt_parsing import prompt_text, read_answer
from airflow_provider_seedream.wavespeed.references import Reference, sources_of
from airflow_provider_seedream.wavespeed.request import MAX_IMAGES, MODELS, ImageSetRequest
from airflow_provider_seedream.wavespeed.validation import is_link, parse_usd

_SHORT = re.compile(r"[\w .:*×,/()$-]*")
"""A text that is surely no template."""

_MARKS = re.compile(r"\{[{%#]|\[\[|<%|%%|^[ \t]*#", re.MULTILINE)
"""What a prompt with a template in it may hold."""

_SOME_IMAGE = Reference("https://example.org/image.png", url="https://example.org/image.png")
_SIZES = ("size", "width", "height", "resolution")


def refuse_wrong_literals(task: BaseOperator) -> None:
    """Refuse what no template and no task can make right.

    :param task: the operator with its arguments, before anything is rendered.
    :raises InvalidInputError: as on the worker.
    """
    if not is_judged_at_once(task):
        return
    values = {name: value for name, value in _given(task).items() if value is not None}
    if "output_path" in values:
        refuse_wrong_folder(task, "output_path")
    known: dict[str, Any] = {"prompt": "an image"}
    if "max_images" not in values or is_known(values["max_images"]):
        known |= {name: values[name] for name in ("max_images", "prompt") if name in values}
    if (
        known["prompt"] == ""
        or not is_written_out(known["prompt"])
        or ("max_images" not in known and _count_is_plain(known["prompt"]))
    ):
        # Scenes are as many as they are, whatever a template makes of them.
        known["prompt"] = _stand_in(known["prompt"])
    if all(is_known(values.get(name)) for name in _SIZES):
        known |= {name: values[name] for name in _SIZES if name in values}
    if "images" in values:
        known["images"] = _references(values["images"])
    if is_known(values.get("output_format")):
        known["output_format"] = values.get("output_format")
    model = reject_blank("model", values.get("model"))
    _build(known, model if is_known(model) else None)


def refuse_wrong_prompt_literals(task: BaseOperator) -> None:
    """The same for the operator that makes a prompt.

    :param task: the operator with its arguments, before anything is rendered.
    :raises InvalidInputError: as on the worker.
    """
    if not is_judged_at_once(task):
        return
    given = _given(task)
    if is_known(given["enhancement_mode"]) and is_known(given["enhancement_style"]):
        EnhancementRequest.build(
            text="an image", mode=given["enhancement_mode"], style=given["enhancement_style"]
        )
    known: dict[str, Any] = {"prompt": "an image"}
    if is_known(given["max_images"]):
        known["max_images"] = given["max_images"]
    parts = {name: given[name] for name in ("characters", "style", "palette")}
    # A text may be the name of a file.
    if not isinstance(given["prompt"], str) and all(map(is_written_out, (given["prompt"], *parts.values()))):
        known["prompt"] = prompt_text(read_answer(given["prompt"], **parts))
    if given["max_images"] is None or "max_images" in known:
        ImageSetRequest.build(**known)


def _given(task: BaseOperator) -> dict[str, Any]:
    """What may be a template, by name, with the ceiling judged, which all paying tasks have."""
    given = {name: getattr(task, name) for name in task.template_fields}
    if is_known(given["max_cost"]):
        parse_usd("max_cost", given["max_cost"])
    return given


def _build(known: Mapping[str, Any], model: str | None) -> None:
    """Build the request; where a connection or a template names the model, one must take it."""
    alike = [name for name, each in MODELS.items() if bool(each.max_references) is ("images" in known)]
    refused: InvalidInputError | None = None
    for each in [model] if model else [None, *alike]:
        try:
            ImageSetRequest.build(**known, model=each)
        except InvalidInputError as error:
            refused = refused or error
        else:
            return
    if refused is not None:
        raise refused


def _count_is_plain(prompt: Any) -> bool:
    """Whether a prompt is sound and its count needs no reading: a list of scenes, or a text without a digit.

    Reading a count takes longer than all the rest of a parse, so the worker does it for these.

    :raises InvalidInputError: as on the worker.
    """
    if isinstance(prompt, str):
        prompt_text(prompt)
        return not any(map(str.isdigit, prompt))
    return len(ImageSetPrompt.of(prompt).scenes) <= MAX_IMAGES


def _stand_in(prompt: Any) -> str | list[str]:
    scenes = prompt if is_list(prompt) else prompt.scenes if isinstance(prompt, ImageSetPrompt) else ()
    return ["an image"] * len(scenes) if len(scenes) > 1 else "an image"


def is_known(value: object) -> bool:
    """Whether a short value is a literal without a template."""
    if isinstance(value, list | tuple):
        return all(map(is_known, value))
    return _is_plain(value) or (isinstance(value, str) and _SHORT.fullmatch(value) is not None)


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, bool | int | float)


def is_written_out(prompt: object) -> bool:
    """Whether a prompt is text, or made of texts, and holds no template."""
    if isinstance(prompt, ImageSetPrompt):
        prompt = prompt.to_json()
    if isinstance(prompt, Mapping):
        return all(map(is_written_out, prompt.values()))
    if is_list(prompt):
        return all(map(is_written_out, prompt))
    if isinstance(prompt, Scene):
        prompt = prompt.text
    return _is_plain(prompt) or (isinstance(prompt, str) and _MARKS.search(prompt) is None)


def _references(images: object) -> list[Reference]:
    """The reference images as they are known so far: their number, links that are no links, and relative file URLs."""
    if _is_plain(images):
        sources_of(images)
    images = [path_text(each) for each in images] if isinstance(images, list | tuple) else path_text(images)
    listed = [images] if isinstance(images, str) else images
    if not isinstance(listed, list | tuple) or not all(isinstance(each, str) for each in listed):
        return [_SOME_IMAGE]
    if any(_MARKS.search(each) for each in listed):
        return [_SOME_IMAGE] * (len(listed) if isinstance(images, list | tuple) else 1)
    sources = sources_of(images)
    for each in sources:
        refuse_relative_file_url("images", each)
    # Whether the API is near, and may fetch from this network, is known to the worker.
    return [
        Reference.link(each, api_is_near=lambda: True) if is_link(each) else _SOME_IMAGE for each in sources
    ]
