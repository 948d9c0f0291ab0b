"""The request for an image set: everything checked and priced before anything is paid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from airflow_provider_seedream.options import OutputFormat
from airflow_provider_seedream.wavespeed.counting import counted, named_count
from airflow_provider_seedream.wavespeed.errors import InvalidInputError
from airflow_provider_seedream.wavespeed.inputs import integer_within, refuse_unknown, switch
from airflow_provider_seedream.wavespeed.models import (
    DEFAULT_MODEL,
    MAX_TOGETHER,
    PRICES_USD,
    SequentialModel,
    model_named,
    output_format_for,
    version_for,
)
from airflow_provider_seedream.wavespeed.paid_request import Input, digest
from airflow_provider_seedream.wavespeed.prompt import PromptInput, ordinal, prompt_text, scenes_of
from airflow_provider_seedream.wavespeed.references import Reference
from airflow_provider_seedream.wavespeed.sizes import DEFAULT_SIZE, Size, SizeRules

MAX_IMAGES = 15
PARAMETERS = (
    "prompt",
    "max_images",
    "size",
    "width",
    "height",
    "resolution",
    "model",
    "output_format",
    "enable_base64_output",
    "enable_sync_mode",
    "images",
)
"""What :meth:`ImageSetRequest.build` takes."""


@dataclass(frozen=True, slots=True)
class ImageSetRequest:
    """A request that the API can be paid for; made by :meth:`build`, which checks it.

    :param prompt: the text as it is sent; names ``max_images`` whenever that is more than one.
    :param max_images: 1-15 images, at most; each one asked for is billed (API reference, sections 2.2 and 2.3).
    :param images: the reference pictures, for a model that takes some.
    :param count_was_added: whether :meth:`build` put the count in front of the prompt, worth a log line.
    """

    prompt: str
    max_images: int
    size: Size = DEFAULT_SIZE
    model: str = DEFAULT_MODEL
    output_format: OutputFormat | None = None
    enable_base64_output: bool = False
    enable_sync_mode: bool = False
    images: tuple[Reference, ...] = ()
    count_was_added: bool = field(default=False, compare=False)

    @classmethod
    def build(
        cls,
        *,
        prompt: PromptInput | None = None,
        max_images: int | str | None = None,
        size: str | Size | Sequence[int] | None = None,
        width: int | str | None = None,
        height: int | str | None = None,
        resolution: str | None = None,
        model: str | None = None,
        output_format: str | None = None,
        enable_base64_output: bool | str = False,
        enable_sync_mode: bool | str = False,
        images: Sequence[Reference | str] | None = None,
        **unknown: object,
    ) -> ImageSetRequest:
        """The request that a user's inputs describe. None stands for "left out".

        Numbers may be given as their digits and bools as "true" or "false", because templates yield text.

        :param prompt: text, :class:`ImageSetPrompt`, its JSON mapping, or a list of scenes. Required.
        :param max_images: 1-15; left out: as many as the prompt names, for scenes their number, else 1.
        :param size: see :meth:`Size.parse`; left out: 2048*2048, or ``width`` and ``height``.
        :param width: pixels, only together with ``height`` and instead of ``size``.
        :param height: pixels, only together with ``width`` and instead of ``size``.
        :param resolution: "2K" or "4K" for a ``size`` that is a preset; left out: 2K.
        :param model: a key of ``PRICES_USD``; left out: :data:`DEFAULT_MODEL`, or its sibling where there are ``images``.
        :param output_format: "jpeg" or "png", where the model can choose; left out: the vendor's choice.
        :param enable_base64_output: get the pictures in the answer instead of URLs.
        :param enable_sync_mode: let the submission wait for the pictures.
        :param images: reference pictures for an edit model, 1-10: links, or files as :meth:`Reference.file` gives them;
            with the images to make, at most 15.
        :raises InvalidInputError: for anything that could be paid for and not be what was meant.
        """
        refuse_unknown(unknown, PARAMETERS)
        text, count, count_was_added = _agreed(prompt_text(prompt), max_images)
        default = version_for(DEFAULT_MODEL, references=images is not None)
        chosen = model_named(default if model is None else model)
        return cls(
            prompt=text,
            max_images=count,
            size=_size(size, width, height, resolution, chosen.size_rules),
            model=chosen.id,
            output_format=output_format_for(chosen, output_format),
            enable_base64_output=switch("enable_base64_output", enable_base64_output),
            enable_sync_mode=switch("enable_sync_mode", enable_sync_mode),
            images=_references(images, chosen, count),
            count_was_added=count_was_added,
        )

    @property
    def cost_usd(self) -> float:
        """What the table of prices says this costs: price of an image times ``max_images``, in US dollars."""
        return round(float(PRICES_USD[self.model] * self.max_images), 6)

    @property
    def asks_for(self) -> str:
        """What is paid for, for logs and errors."""
        return f"{self.max_images} image(s) of {self.size}"

    @property
    def most_outputs(self) -> int:
        """Fewer pictures than were asked for may come, never more."""
        return self.max_images

    def told_apart_by(self) -> Mapping[str, Input]:
        """The inputs that no vendor would rewrite. The link of an uploaded file is known only to the try that made it."""
        links = [each.url for each in self.images]
        return {"prompt": self.prompt, "max_images": self.max_images, "images": links}

    def inputs(self) -> dict[str, Input]:
        """The JSON to POST. Size and count always, because the documented defaults contradict each other;
        nothing that is left out, because nulls may be refused (API reference, sections 2.1 and 2.4).

        :raises ValueError: while a reference picture is not uploaded.
        """
        links = [each.url for each in self.images if each.url is not None]
        if len(links) < len(self.images):
            raise ValueError("a reference picture is not uploaded yet")
        return {**self.priced_inputs(), "images": links} if links else self.priced_inputs()

    def priced_inputs(self) -> dict[str, Input]:
        """The inputs that the price may depend on: all but the reference pictures (section 2.6)."""
        inputs: dict[str, Input] = {
            "prompt": self.prompt,
            "size": str(self.size),
            "max_images": self.max_images,
        }
        if self.output_format is not None:
            inputs["output_format"] = self.output_format
        if self.enable_base64_output:
            inputs["enable_base64_output"] = True
        if self.enable_sync_mode:
            inputs["enable_sync_mode"] = True
        return inputs

    def fingerprint(self, conn_id: str) -> str:
        """SHA-256, in hex, of all that is billed: a record of another request is never resumed.

        It lives in records of earlier versions of this package, so it must stay what it is.

        :param conn_id: the Airflow connection, that is, the account that pays.
        """
        billed: dict[str, object] = {
            "conn_id": conn_id,
            "model": self.model,
            "prompt": self.prompt,
            "size": str(self.size),
            "max_images": self.max_images,
            "output_format": self.output_format,
        }
        if self.images:
            billed["images"] = [each.identity for each in self.images]
        return digest(billed)


def _agreed(text: str, max_images: object) -> tuple[str, int, bool]:
    """The prompt to send, the count to ask for, and whether the count had to be put in front of the prompt."""
    asked = None
    if max_images is not None:
        way_out = "Leave it out to make as many as the prompt names; make several sets for more."
        asked = integer_within("max_images", max_images, 1, MAX_IMAGES, way_out)
    named = named_count(text)
    if named is None and len(scenes := scenes_of(text)) != (asked or 1) and scenes:
        rule = f"it tells {len(scenes)} scenes, First to {ordinal(len(scenes))}, for {counted(asked or 1).rstrip('.')}"
        way_out = f'Begin it with "{counted(len(scenes))}", or give max_images={len(scenes)}.'
        raise InvalidInputError("prompt", text, rule, way_out)
    if named is None:
        count = asked or 1
        return (f"{counted(count)} {text}", count, True) if count > 1 else (text, count, False)
    if not 1 <= named <= MAX_IMAGES:
        rule = f"it names {named} images, and a set has 1-{MAX_IMAGES}"
        raise InvalidInputError(
            "prompt", text, rule, "Name fewer, or make several sets." if named else "Name 1-15."
        )
    if asked is not None and asked != named:
        rule = f"the prompt names {counted(named).rstrip('.')}, and both must agree"
        way_out = (
            f'Leave max_images out to make {named}, or let the prompt say "{counted(asked)}" at its start.'
        )
        raise InvalidInputError("max_images", max_images, rule, way_out)
    return text, named, False


def _size(size: object, width: object, height: object, resolution: object, rules: SizeRules) -> Size:
    if size is not None:
        for name, side in (("width", width), ("height", height)):
            if side is not None:
                rule = f"size={size!r} is given too, and one of the two must decide"
                raise InvalidInputError(name, side, rule, "Give size, or width and height.")
        return Size.parse(size, resolution, rules)
    if resolution is not None:
        rule = "it belongs to a preset, and size is not given"
        raise InvalidInputError(
            "resolution", resolution, rule, 'Add size="16:9", for example, or leave it out.'
        )
    if width is None and height is None:
        return DEFAULT_SIZE
    for name, side, other in (("width", width, "height"), ("height", height, "width")):
        if side is None:
            rule = f"{other} is given, and one side alone makes no size"
            raise InvalidInputError(name, side, rule, f"Add {name}, or use size instead of both.")
    return Size.of_sides(width, height, rules)


def _references(images: object, model: SequentialModel, count: int) -> tuple[Reference, ...]:
    most = model.max_references
    if images is None:
        if most:
            way_out = f"Give images=[...], or use {model.sibling}."
            raise InvalidInputError(
                "images", None, f"{model.id} draws from 1-{most} reference pictures", way_out
            )
        return ()
    if not isinstance(images, list | tuple) or not all(isinstance(each, Reference | str) for each in images):
        raise InvalidInputError(
            "images", images, "it must be a list of links", 'For example ["https://example.org/fox.png"].'
        )
    references = tuple(each if isinstance(each, Reference) else Reference.link(each) for each in images)
    shown, number = [each.shown for each in references], len(references)
    if not most:
        rule = f"{model.id} takes no reference pictures"
        raise InvalidInputError("images", shown, rule, f"Leave it out, or use {model.sibling}.")
    if not 1 <= number <= most:
        rule = f"{model.id} takes 1-{most} reference pictures, and these are {number}"
        raise InvalidInputError("images", shown, rule, "Give the ones that matter most.")
    if number + count > MAX_TOGETHER:
        rule = f"{number} reference pictures and {count} images to make are more than {MAX_TOGETHER} together"
        way_out = f"Ask for {MAX_TOGETHER - number} images or fewer, or give fewer references."
        raise InvalidInputError("images", shown, rule, way_out)
    return references
