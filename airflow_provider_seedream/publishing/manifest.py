"""The manifest of a published image set: a value, its JSON and its schema. Knows nothing of Airflow."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_seedream.publishing.names import MediaType
from airflow_provider_seedream.wavespeed.errors import InvalidInputError
from airflow_provider_seedream.wavespeed.image_set import GeneratedImage, ImageSet, MissingImage
from airflow_provider_seedream.wavespeed.validation import read_json, without_secrets

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

MANIFEST_NAME = "manifest.json"
MAX_BYTES = 2 * 1024 * 1024
"""The longest file that is read as a manifest. A set of 15 images with ten renditions each has about 60 kB."""
MAX_FILES = 2000
"""The most images and other files of one set."""
VERSION = 1
_SCHEMA = Path(__file__).with_name("manifest.schema.json")


class Role(StrEnum):
    """What a file made from the images is."""

    CONTACT_SHEET = "contact_sheet"
    RENDITION = "rendition"
    STORYBOARD_PAGE = "storyboard_page"


@dataclass(frozen=True, slots=True)
class TaskInstanceKey:
    """The task instance that published a set: who owns its folder.

    :param map_index: -1 where the task is not mapped.
    :param deployment: digest of the deployment's own random id, so that equal names in two deployments are two task
        instances; None where there is none, blank where it could not be read: that equals no other.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    deployment: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; a deployment that is not known is left out."""
        return {key: value for key, value in asdict(self).items() if value not in (None, "")}


@dataclass(frozen=True, slots=True)
class PublishedImage:
    """One image in the folder.

    :param file: its name beside the manifest.
    :param sha256: hex digest of the file.
    :param bytes: length of the file.
    :param width: pixels, read from the file; so are height and media type.
    :param scene: its scene of the prompt, or None where that is not known.
    :param flagged: whether the vendor holds it for unsafe; None where it did not say.
    :param digital_source_type: IPTC's word for how it was made, as the file says it, else that a model made it; None where
        the file was published by an earlier version.
    :param marks: which marks of origin the file bears: ``"c2pa"``, ``"iptc"``, ``"aigc"``; None as above.
    """

    file: str
    sha256: str
    bytes: int
    media_type: MediaType
    width: int
    height: int
    scene: str | None
    flagged: bool | None
    digital_source_type: str | None = None
    marks: tuple[str, ...] | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; what is not known of its origin is left out."""
        plain = asdict(self) | {"marks": None if self.marks is None else list(self.marks)}
        return {
            key: value for key, value in plain.items() if value is not None or key in ("scene", "flagged")
        }


@dataclass(frozen=True, slots=True)
class Derivative:
    """A file made from the images, in the same folder.

    :param media_type: ``text/html`` for the page, else an image's.
    :param digital_source_type: see :class:`PublishedImage`; so are ``marks``. None for the page.
    :param of: of a rendition: the file it was made from. The next two are its own size in pixels.
    """

    role: Role
    file: str
    sha256: str
    bytes: int
    media_type: str
    of: str | None = None
    width: int | None = None
    height: int | None = None
    digital_source_type: str | None = None
    marks: tuple[str, ...] | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; what only renditions have is left out of the others."""
        plain = asdict(self) | {"marks": None if self.marks is None else list(self.marks)}
        return {key: value for key, value in plain.items() if value is not None}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Derivative:
        """Read one entry of ``companions`` that has been validated."""
        marks = document.get("marks")
        return cls(
            **{
                **document,
                "role": Role(document["role"]),
                "marks": None if marks is None else tuple(marks),
            }
        )


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file that was wanted and could not be made from the images.

    :param file: the name that it would have.
    :param reason: why, for people.
    """

    file: str
    reason: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """A published image set.

    :param image_set: the operator's result, whole.
    :param images: the file of each image of the set, in its order.
    :param derivatives: other files that belong to the set.
    :param published_by: the task instance, or None outside Airflow.
    :param left_out: files that could not be made from the images.
    """

    image_set: ImageSet
    images: tuple[PublishedImage, ...]
    derivatives: tuple[Derivative, ...] = ()
    published_by: TaskInstanceKey | None = None
    left_out: tuple[LeftOut, ...] = ()

    def __post_init__(self) -> None:
        if [link.flagged for link in self.image_set.images] != [image.flagged for image in self.images]:
            raise ValueError("a manifest has exactly one file for each image of its set, with the same flag")

    @property
    def files(self) -> dict[str, str]:
        """The SHA-256 of every file that belongs to the set, by name; the manifest itself is not among them."""
        images = {each.file: each.sha256 for each in self.images}
        return images | {each.file: each.sha256 for each in self.derivatives}

    def to_json(self) -> dict[str, Any]:
        """Plain JSON: every key of the result, each image with its file, and a version."""
        plain = self.image_set.to_json()
        plain["images"] = [
            {**link.to_json(), "url": without_secrets(link.url) or None, **image.to_json()}
            for link, image in zip(self.image_set.images, self.images, strict=True)
        ]
        return {
            "version": VERSION,
            **plain,
            "companions": [each.to_json() for each in self.derivatives],
            "published_by": None if self.published_by is None else self.published_by.to_json(),
            **({"left_out": [asdict(each) for each in self.left_out]} if self.left_out else {}),
        }

    def to_bytes(self) -> bytes:
        """The file: UTF-8, indented; the same set always gives the same bytes."""
        document = self.to_json()
        validate(document)
        text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
        # A lone surrogate in a prompt has no UTF-8; backslashreplace writes just the escape that JSON has for it.
        return f"{text}\n".encode("utf-8", "backslashreplace")

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Manifest:
        """Read a manifest.

        :raises InvalidInputError: it does not follow the schema; names the place.
        """
        validate(document)
        links = tuple(
            GeneratedImage(image["url"] or "", image["flagged"], image.get("index"))
            for image in document["images"]
        )
        own = {field.name: document[field.name] for field in fields(ImageSet) if field.name in document}
        missing = tuple(MissingImage(**each) for each in document.get("missing", ()))
        publisher = document["published_by"]
        return cls(
            image_set=ImageSet(**{**own, "images": links, "missing": missing}),
            images=tuple(read_image(image) for image in document["images"]),
            derivatives=tuple(Derivative.from_json(each) for each in document["companions"]),
            published_by=None if publisher is None else TaskInstanceKey(**publisher),
            left_out=tuple(LeftOut(**each) for each in document.get("left_out", ())),
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Manifest:
        """Read a manifest file.

        :raises InvalidInputError: it is not JSON, or does not follow the schema.
        """
        if len(data) > MAX_BYTES:
            raise _refusal("", f"{len(data):,} bytes", f"it may have {MAX_BYTES:,} bytes")
        try:
            document = read_json(data, parse_constant=_no_number)
        except ValueError as error:
            raise _refusal("", f"{len(data):,} bytes", f"it is not JSON ({error})") from None
        return cls.from_json(document)


def read_image(mapping: Mapping[str, Any]) -> PublishedImage:
    """The image of one entry of ``images`` that has been validated."""
    own = {field.name: mapping[field.name] for field in fields(PublishedImage) if field.name in mapping}
    marks = None if own.get("marks") is None else tuple(own["marks"])
    return PublishedImage(**{**own, "media_type": MediaType(own["media_type"]), "marks": marks})


@cache
def schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12), shipped beside this file."""
    document: dict[str, Any] = json.loads(_SCHEMA.read_bytes())
    return document


@cache
def _validator() -> Validator:
    """A validator of the schema with its definitions in place: looking each up costs as much as all other checks."""
    from jsonschema import Draft202012Validator

    whole = schema()

    def in_place(part: Any) -> Any:
        if isinstance(part, list):
            return [in_place(each) for each in part]
        if not isinstance(part, dict):
            return part
        named = whole["$defs"][part["$ref"].rpartition("/")[2]] if "$ref" in part else {}
        return {
            key: in_place(value) for key, value in {**named, **part}.items() if key not in ("$ref", "$defs")
        }

    return Draft202012Validator(in_place(whole))


def validate(document: Mapping[str, Any]) -> None:
    """Check a manifest's JSON against the schema, that no file is named twice and each rendition has its image.

    :raises InvalidInputError: names the place and what was expected there.
    """
    from jsonschema.exceptions import best_match

    # Before the schema, which takes a second for each 4,000 entries.
    lists = (
        [value for value in document.values() if isinstance(value, list)]
        if isinstance(document, dict)
        else []
    )
    if (count := sum(map(len, lists))) > MAX_FILES:
        raise _refusal("", f"{count:,} entries", f"it may have {MAX_FILES:,}")
    if (error := best_match(_validator().iter_errors(document))) is not None:
        raise _refusal(error.json_path.removeprefix("$"), error.instance, error.message[:200])
    names = Counter(each["file"] for key in ("images", "companions") for each in document[key])
    if twice := [name for name, count in names.items() if count > 1]:
        raise _refusal(".images", min(twice), "a file is named twice")
    images = {each["file"] for each in document["images"]}
    if strays := {each["of"] for each in document["companions"] if "of" in each} - images:
        raise _refusal(".companions", min(strays), "a rendition is of no image in the manifest")


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _refusal(place: str, value: object, allowed: str) -> InvalidInputError:
    way_out = "Publish the set again to write a new manifest."
    return InvalidInputError(f"manifest{place}", value, allowed, way_out)
