"""From what a person wrote on the command line to a request, by the rules of the operators."""

from __future__ import annotations

import argparse
from pathlib import Path

from airflow.providers.common.compat.sdk import AirflowNotFoundException, ObjectStoragePath

from airflow_provider_seedream.cli.output import RefusedError
from airflow_provider_seedream.hooks.seedream import SeedreamHook
from airflow_provider_seedream.operators.arguments import object_store_folder
from airflow_provider_seedream.operators.references import read_references
from airflow_provider_seedream.wavespeed.prompt import PromptInput
from airflow_provider_seedream.wavespeed.prompt_parsing import read_answer
from airflow_provider_seedream.wavespeed.request import DEFAULT_MODEL, ImageSetRequest, version_for


def request_of(
    arguments: argparse.Namespace, hook: SeedreamHook, *, without_prompt: PromptInput | None = None
) -> ImageSetRequest:
    """The request for an image set. Reads reference files; sends nothing.

    :param without_prompt: what stands for a prompt where none is needed.
    :raises RefusedError: if there is no prompt, or two.
    :raises InvalidInputError: naming the argument that is wrong.
    """
    images = None
    if arguments.images:
        images = read_references([_place(each) for each in arguments.images], hook)
    model = arguments.model or version_for(_default_model(hook), references=images is not None)
    return ImageSetRequest.build(
        prompt=_prompt(arguments, without_prompt),
        max_images=arguments.max_images,
        size=arguments.size,
        resolution=arguments.resolution,
        model=model,
        output_format=arguments.output_format,
        images=images,
    )


def folder_of(path: str) -> ObjectStoragePath:
    """The folder that a person names; one without a scheme is on this machine, seen from the current folder.

    :raises InvalidInputError: if no object store answers to it.
    """
    return object_store_folder("folder", _place(path))


def _place(path: str) -> str:
    return path if "://" in path or not path.strip() else str(Path(path).expanduser().absolute())


def _prompt(arguments: argparse.Namespace, without_prompt: PromptInput | None) -> PromptInput | None:
    shared = {name: getattr(arguments, name) or "" for name in ("characters", "style", "palette")}
    if arguments.scenes and arguments.prompt is not None:
        raise RefusedError(
            "Both PROMPT and --scene are given. Give the whole prompt, or a --scene for each image."
        )
    if not arguments.scenes and arguments.prompt is None:
        if without_prompt is None:
            raise RefusedError("There is no prompt. Give PROMPT, or a --scene for each image.")
        return without_prompt
    written: PromptInput = arguments.scenes or arguments.prompt
    # As it stands, where it is text that nothing is added to.
    return read_answer(written, **shared) if arguments.scenes or any(shared.values()) else written


def _default_model(hook: SeedreamHook) -> str:
    """The model of those who name none. A price can be asked for before there is a connection."""
    try:
        return hook.settings.model or DEFAULT_MODEL
    except AirflowNotFoundException:
        return DEFAULT_MODEL
