"""Models, prices, and the request for an image set: everything checked and priced before anything is paid."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol, TypeAlias

from airflow_provider_seedream.options import OutputFormat
from airflow_provider_seedream.wavespeed.counting import named_count
from airflow_provider_seedream.wavespeed.errors import InvalidInputError
from airflow_provider_seedream.wavespeed.prompt import PromptInput, counted
from airflow_provider_seedream.wavespeed.prompt_parsing import prompt_text
from airflow_provider_seedream.wavespeed.references import Reference
from airflow_provider_seedream.wavespeed.sizes import (
    DEFAULT_SIZE,
    STRICTEST,
    UPSTREAM_MAX_PIXELS,
    Size,
    SizeRules,
)
from airflow_provider_seedream.wavespeed.validation import parse_bool, parse_integer, refuse_unknown, suggest

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

DEFAULT_MODEL = "bytedance/seedream-v5.0-lite/sequential"


@dataclass(frozen=True, slots=True)
class SequentialModel:
    """A model that makes a set of images from one prompt (API reference, section 2.6).

    Each version has two, of the same price (for v5.0 Lite's edit model the reference only presumes so): one draws from the
    prompt alone, its sibling from reference images as well.

    :param id: the path that is POSTed to, below ``/api/v3/``.
    :param price_usd: price of one requested image.
    :param output_formats: what ``output_format`` may be; empty where the model's schema has no such input.
    :param size_rules: which sizes it takes.
    :param max_references: how many reference images it takes, at least one; 0 for a model without that input.
    """

    id: str
    price_usd: Decimal
    output_formats: tuple[OutputFormat, ...] = ()
    size_rules: SizeRules = STRICTEST
    max_references: int = 0

    @property
    def sibling(self) -> str:
        """The model of the same version that takes reference images where this one does not, and the other way round."""
        version, _, variant = self.id.rpartition("/")
        return f"{version}/{'edit-sequential' if variant == 'sequential' else 'sequential'}"


MAX_REFERENCES = 10
"""Of every edit model: section 2.6 says so for some, and names no other number for any."""

MAX_TOGETHER = 15
"""Reference images and images to make (section 2.2)."""


def _version(
    name: str, price_usd: str, *output_formats: OutputFormat, size_rules: SizeRules
) -> tuple[SequentialModel, SequentialModel]:
    path, rest = f"bytedance/{name}", (Decimal(price_usd), output_formats, size_rules)
    return (
        SequentialModel(f"{path}/sequential", *rest),
        SequentialModel(f"{path}/edit-sequential", *rest, MAX_REFERENCES),
    )


MODELS: Mapping[str, SequentialModel] = {
    model.id: model
    for model in (
        *_version("seedream-v5.0-lite", "0.035", "jpeg", "png", size_rules=STRICTEST),
        # Schemas of these two let a side begin at 64, other sources at 1024; the least total is a third party's word.
        *_version("seedream-v4.5", "0.04", size_rules=SizeRules(min_side=1024)),
        *_version("seedream-v4", "0.027", size_rules=SizeRules(min_side=1024, min_pixels=921_600)),
    )
}

PRICES_USD: Mapping[str, Decimal] = {model.id: model.price_usd for model in MODELS.values()}
"""Price of one requested image by model id; booked at creation, whatever is delivered (section 2.3)."""


def model_named(name: object) -> SequentialModel:
    """The model with an id.

    :raises InvalidInputError: for an id that makes no image sets; names the closest that does.
    """
    if isinstance(name, str) and name in MODELS:
        return MODELS[name]
    raise InvalidInputError(
        "model", name, "it is not a known model that makes image sets", suggest(str(name), MODELS)
    )


def version_for(default: str, *, references: bool) -> str:
    """The model for a request that names none: of the default's version, as the request has reference images or not.

    A default says which version to pay for. It was chosen without the request at hand, and its sibling costs the same.

    :raises InvalidInputError: for a default that is no known model.
    """
    model = model_named(default)
    return model.id if bool(model.max_references) is references else model.sibling


def output_format_for(model: SequentialModel, value: object) -> OutputFormat | None:
    """The image format to ask a model for; None leaves the choice to the vendor.

    :raises InvalidInputError: for another format, and for any format where the model has no such input:
        the API would drop it in silence and bill its own choice (API reference, section 2.4).
    """
    if value is None:
        return None
    for known in model.output_formats:
        if value == known:
            return known
    if not model.output_formats:
        able = ", ".join(each.id for each in MODELS.values() if each.output_formats)
        raise InvalidInputError(
            "output_format", value, f"{model.id} has no such input", f"Leave it out, or use {able}."
        )
    choices = " or ".join(f'"{known}"' for known in model.output_formats)
    raise InvalidInputError(
        "output_format", value, f"it must be {choices}", "Write one of these or leave it out."
    )


Input: TypeAlias = "str | int | bool | list[str] | list[str | None]"
"""An input of a model; a link that is no longer known is ``None``."""


class PaidRequest(Protocol):
    """A request that the API can be paid for, checked and priced."""

    @property
    def model(self) -> str:
        """The model, which is the path that is POSTed to, below ``/api/v3/``."""

    @property
    def cost_usd(self) -> float:
        """What the table of prices says this costs, in US dollars."""

    @property
    def enable_sync_mode(self) -> bool:
        """Whether the submission itself waits for the result."""

    @property
    def describe(self) -> str:
        """What is paid for, for logs and errors."""

    @property
    def most_outputs(self) -> int:
        """The most outputs that a prediction of it can have."""

    def inputs(self) -> Mapping[str, Input]:
        """The JSON to POST."""

    def priced_inputs(self) -> Mapping[str, Input]:
        """Those of the inputs that the price may depend on."""

    def identifying_inputs(self) -> Mapping[str, Input]:
        """Inputs that the API echoes unchanged. A listed prediction that differs in one belongs to another request."""

    def fingerprint(self, conn_id: str) -> str:
        """SHA-256, in hex, of all that is billed.

        :param conn_id: the Airflow connection, that is, the account that pays.
        """


def digest(billed: Mapping[str, object]) -> str:
    """SHA-256, in hex, of what is billed."""
    canonical = json.dumps(billed, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()


LONGEST_PROMPT = 100_000
"""Characters. The model's own guide speaks of some hundred words; what is longer takes seconds to read for its count."""


@dataclass(frozen=True, slots=True)
class ImageSetRequest:
    """A request that the API can be paid for; made by :meth:`build`, which checks it.

    :param prompt: the text as it is sent; names ``max_images`` whenever that is more than one.
    :param max_images: 1-15 images, a maximum; each one asked for is billed (API reference, sections 2.2 and 2.3).
    :param images: the reference images, for a model that takes some.
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
        :param max_images: 1-15; left out: as many as open the prompt, for scenes their number, else 1. Needed where a
            count further on may be that of the set, or not.
        :param size: see :meth:`Size.parse`; left out: 2048*2048, or ``width`` and ``height``.
        :param width: pixels, only together with ``height`` and instead of ``size``.
        :param height: pixels, only together with ``width`` and instead of ``size``.
        :param resolution: "2K", "3K" or "4K" for a ``size`` that is a preset; left out: 2K.
        :param model: a key of ``PRICES_USD``; left out: :data:`DEFAULT_MODEL`, or its sibling where there are ``images``.
        :param output_format: "jpeg" or "png", where the model can choose; left out: the vendor's choice.
        :param enable_base64_output: get the images in the answer instead of URLs.
        :param enable_sync_mode: let the submission wait for the images.
        :param images: reference images for an edit model, 1-10: links, or files as :meth:`Reference.file` gives them;
            with the images to make, at most 15.
        :raises InvalidInputError: for anything that could be paid for and not be what was meant.
        """
        refuse_unknown(unknown, PARAMETERS)
        given = prompt_text(prompt)
        if len(given) > LONGEST_PROMPT:
            rule = f"it has {len(given):,} characters; {LONGEST_PROMPT:,} is the most"
            raise InvalidInputError("prompt", given, rule, "Say in short what each image shows.")
        text, count = prompt_with_count(given, max_images, references=images is not None)
        default = version_for(DEFAULT_MODEL, references=images is not None)
        chosen = model_named(default if model is None else model)
        return cls(
            prompt=text,
            max_images=count,
            size=_size(size, width, height, resolution, chosen.size_rules),
            model=chosen.id,
            output_format=output_format_for(chosen, output_format),
            enable_base64_output=parse_bool("enable_base64_output", enable_base64_output),
            enable_sync_mode=parse_bool("enable_sync_mode", enable_sync_mode),
            images=_references(images, chosen, count),
            count_was_added=text != given,
        )

    @property
    def cost_usd(self) -> float:
        """What the table of prices says this costs: price of an image times ``max_images``, in US dollars."""
        return round(float(PRICES_USD[self.model] * self.max_images), 6)

    @property
    def describe(self) -> str:
        """What is paid for, for logs and errors."""
        return f"{self.max_images} image(s) of {self.size}"

    @property
    def size_may_differ(self) -> bool:
        """Whether images of another size than requested may come: it is over what the model's maker allows."""
        return "v5.0-lite" in self.model and self.size.pixels > UPSTREAM_MAX_PIXELS

    @property
    def images_asked(self) -> str:
        """How many images are asked for, in words: "1 image"."""
        return counted(self.max_images).removesuffix(".")

    @property
    def most_outputs(self) -> int:
        """Fewer images than were asked for may come, never more."""
        return self.max_images

    def identifying_inputs(self) -> Mapping[str, Input]:
        """See :class:`PaidRequest`. The link of an uploaded file is known only to the try that uploaded it."""
        links = [each.url for each in self.images]
        return {"prompt": self.prompt, "max_images": self.max_images, "images": links}

    def inputs(self) -> dict[str, Input]:
        """The JSON to POST. Size and count always, because the documented defaults contradict each other;
        nothing that is left out, because nulls may be refused (API reference, sections 2.1 and 2.4).

        :raises ValueError: while a reference image is not uploaded.
        """
        links = [each.url for each in self.images if each.url is not None]
        if len(links) < len(self.images):
            raise ValueError("a reference image is not uploaded yet")
        return {**self.priced_inputs(), "images": links} if links else self.priced_inputs()

    def priced_inputs(self) -> dict[str, Input]:
        """The inputs that the price may depend on: all but the reference images (section 2.6)."""
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


def prompt_with_count(text: str, max_images: object = None, *, references: bool = False) -> tuple[str, int]:
    """The prompt to send and how many images to ask for; the count is put in front of the prompt where it has to be.

    :param max_images: 1-15; it settles what the text leaves unsure, and must agree with a count that opens it.
    :param references: whether reference images go with the prompt: then only what opens the text is a count.
    :raises InvalidInputError: where the text may ask for several images and nothing settles how many, or a count is
        none that a set has, or differs from ``max_images``.
    """
    asked = None
    if max_images is not None:
        way_out = "Leave it out to make as many as the prompt names; make several sets for more."
        asked = parse_integer("max_images", max_images, 1, MAX_IMAGES, way_out)
    named = named_count(text, references=references)
    if named is None or not named.certain:
        if named is not None and asked is None:
            rule = f"it is not clear how many images it asks for: it says {named.found[:80]!r}"
            number = min(named.number or 1, MAX_IMAGES)
            way_out = (
                f'Begin it with "{counted(number)}", or give max_images={number}, or as many as are meant.'
            )
            raise InvalidInputError("prompt", text, rule, way_out)
        count = asked or 1
        return (f"{counted(count)} {text}" if count > 1 or named is not None else text), count
    number = named.number or 0
    says = (
        f"tells {number} scenes ({named.found[:80]})"
        if named.listed
        else f"names {counted(number).removesuffix('.')}"
    )
    if not 1 <= number <= MAX_IMAGES:
        rule = f"it {says}, and a set has 1-{MAX_IMAGES}"
        raise InvalidInputError(
            "prompt", text, rule, "Name fewer, or make several sets." if number else "Name 1-15."
        )
    if asked is not None and asked != number:
        rule = f"the prompt {says}, and both must agree"
        way_out = (
            f'Leave max_images out to make {number}, or let the prompt say "{counted(asked)}" at its start.'
        )
        raise InvalidInputError("max_images", max_images, rule, way_out)
    return (f"{counted(number)} {text}" if named.listed else text), number


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
                "images", None, f"{model.id} draws from 1-{most} reference images", way_out
            )
        return ()
    if not isinstance(images, list | tuple) or not all(isinstance(each, Reference | str) for each in images):
        raise InvalidInputError(
            "images", images, "it must be a list of links", 'For example ["https://example.org/fox.png"].'
        )
    references = tuple(each if isinstance(each, Reference) else Reference.link(each) for each in images)
    shown, number = [each.shown for each in references], len(references)
    if not most:
        rule = f"{model.id} takes no reference images"
        raise InvalidInputError("images", shown, rule, f"Leave it out, or use {model.sibling}.")
    if not 1 <= number <= most:
        rule = f"{model.id} takes 1-{most} reference images, and these are {number}"
        raise InvalidInputError("images", shown, rule, "Give the ones that matter most.")
    if number + count > MAX_TOGETHER:
        rule = f"{number} reference images and {count} images to make are more than {MAX_TOGETHER} together"
        way_out = f"Ask for {MAX_TOGETHER - number} images or fewer, or give fewer references."
        raise InvalidInputError("images", shown, rule, way_out)
    return references
