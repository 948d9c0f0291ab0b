"""A prediction: its course is fixed when it is accepted, its status is read off the clock, its outputs when asked for."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from airflow_provider_seedream.emulator import faults
from airflow_provider_seedream.emulator.clock import rfc3339
from airflow_provider_seedream.emulator.models import MODELS, dimensions

LAG = 0.05
"""Share of its time that a running task still shows as ``created``."""

_ORDINALS = """first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth
fifteenth"""
_ENHANCED = {
    "default": "Clear composition, natural light, rich detail",
    "artistic": "Painterly brushwork, expressive colour, gallery quality",
    "photographic": "35 mm photograph, shallow depth of field, soft natural light",
    "technical": "Precise line work, orthographic view, even light",
    "anime": "Anime key visual, clean lines, luminous colour",
    "realistic": "Lifelike textures, true-to-life proportions, daylight",
}


@dataclass(frozen=True, slots=True)
class ImageSpec:
    """One image to draw.

    :param prompt: of the whole set, whose images share character, land and palette.
    :param scene: the words for this image alone.
    :param take: counts the tasks with this prompt; another take shows the same character in another composition.
    :param position: from 1 within the set.
    :param form: ``jpeg`` or ``png``.
    :param marks: of AI origin that it bears.
    """

    prompt: str
    scene: str
    take: int
    position: int
    width: int
    height: int
    form: str
    marks: tuple[str, ...] = ()


def split(prompt: str) -> list[str]:
    """What a prompt says of the whole set, then the words of each scene, in order ("First, … Second, …")."""
    parts, rest = [], prompt
    for ordinal in _ORDINALS.split():
        found = re.search(rf"\b{ordinal}\b\s*[,:\-–]\s*", rest, re.IGNORECASE)
        if found is None:
            break
        parts.append(rest[: found.start()].strip())
        rest = rest[found.end() :]
    return [*parts, rest.strip()]


@dataclass(frozen=True, slots=True)
class Prediction:
    """One accepted task, and how it turns out once its time is over.

    :param number: counts all tasks of this emulator from 1.
    :param created_at: epoch seconds, as are all times here.
    :param starts_at: when a place among the parallel tasks is free.
    :param images: how many outputs there are.
    :param flags: one per output; empty: an empty list is shown; None: none is shown.
    :param take: counts the tasks with this very prompt from 1, for other images each time.
    :param ending: the status it ends with.
    :param code: task code, 0 for success (API reference 8.3).
    :param marks: of AI origin that its images bear, ``iptc`` and ``aigc``.
    :param lost: by output, from 0, what stands there in place of the image.
    :param text: what the prompt optimizer writes; None: its input, enhanced.
    """

    id: str
    number: int
    model: str
    inputs: Mapping[str, Any]
    price: Decimal
    created_at: float
    starts_at: float
    ends_at: float
    images: int
    flags: tuple[bool, ...] | None
    take: int = 1
    ending: str = "completed"
    code: int = 0
    error: str = ""
    outputs_as_objects: bool = False
    data_urls: bool = False
    marks: tuple[str, ...] = ()
    lost: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    text: str | None = None
    refunded: bool = False
    deleted: bool = False

    def over(self, now: float) -> bool:
        """Whether its time is over."""
        return now >= self.ends_at

    def status(self, now: float) -> str:
        """The status to show at ``now``."""
        if self.over(now):
            return self.ending
        lag = LAG * (self.ends_at - self.starts_at)
        return "processing" if now >= self.starts_at + lag else "created"

    def completed(self, now: float) -> bool:
        """Whether there are outputs."""
        return self.over(now) and self.ending == "completed"

    @property
    def form(self) -> str:
        """``jpeg`` or ``png``; jpeg where the model has no such input."""
        return str(self.inputs.get("output_format", "jpeg"))

    def image(self, position: int, size: tuple[int, int] | None = None) -> ImageSpec:
        """What to draw as output ``position`` (from 1).

        :param size: other dimensions than were asked for.
        """
        prompt = str(self.inputs["prompt"])
        scenes = split(prompt)
        scene = scenes[position] if position < len(scenes) else scenes[0]
        width, height = size or dimensions(self.inputs)
        return ImageSpec(prompt, scene, self.take, position, width, height, self.form, self.marks)

    def changed_by(self, fault: faults.Fault) -> Prediction:
        """The same prediction with another course or ending."""
        change: dict[str, Any] = {}
        match fault:
            case faults.FailPrediction(code=code, error=error, after_seconds=after):
                change = {"ending": "failed", "code": code, "error": error}
                if after is not None:
                    change["ends_at"] = self.created_at + after
            case faults.EndAs(status=status, error=error):
                change = {"ending": status, "error": error}
            case faults.Short(images=images):
                flags = self.flags[:images] if self.flags else self.flags
                change = {"images": min(images, self.images), "flags": flags}
            case faults.LoseImages(indices=indices, code=word, message=message):
                error_object = {"error": {"code": word, "message": message}} if message else None
                change = {"lost": {**self.lost, **{str(place): error_object for place in indices}}}
            case faults.DataUrls():
                change = {"data_urls": True}
            case faults.Marks(kinds=kinds):
                change = {"marks": kinds}
            case faults.Flag(indices=indices):
                change = {"flags": tuple(position in indices for position in range(self.images))}
            case faults.NoFlags(empty=empty):
                change = {"flags": () if empty else None}
            case faults.OutputsAsObjects():
                change = {"outputs_as_objects": True}
            case faults.Writes(text=text):
                change = {"text": text}
            case faults.Takes(seconds=seconds):
                change = {"ends_at": self.starts_at + seconds}
        return dataclasses.replace(self, **change)

    def outputs(self, cdn_origin: str) -> list[str]:
        """What it delivers (API reference 3.3, 11): one URL per image, numbered from 1, or the optimizer's text."""
        if MODELS[self.model].makes_images:
            return [
                f"{cdn_origin}/{self.id}/{position}.{self.form}" for position in range(1, self.images + 1)
            ]
        if self.text is not None:
            return [self.text]
        text = str(self.inputs.get("text") or "An image").strip().rstrip(".")
        return [f"{text}. {_ENHANCED[self.inputs.get('style', 'default')]}."]

    def to_json(
        self,
        now: float,
        *,
        origin: str,
        outputs: Sequence[str],
        with_input: bool = False,
        listed: bool = False,
        status: str | None = None,
    ) -> dict[str, Any]:
        """The prediction object as submit, result and list show it (API reference 2.5, 3).

        :param origin: the API's own, for ``urls.get``.
        :param outputs: URLs, base64 or text; shown only once the prediction is completed.
        :param listed: with ``executionTime``, as list items have it.
        :param status: show this one instead of the true one.
        """
        shown = status or self.status(now)
        done = shown == "completed"
        over = self.over(now) and status is None
        inference = round((self.ends_at - self.starts_at) * 1000) if over else 0
        body: dict[str, Any] = {
            "id": self.id,
            "model": self.model,
            "outputs": [],
            "urls": {"get": f"{origin}/api/v3/predictions/{self.id}/result"},
            "has_nsfw_contents": list(self.flags or ()) if done else [],
            "status": shown,
            "created_at": rfc3339(self.created_at),
            "error": self.error if over else "",
            "timings": {"inference": inference},
        }
        if done:
            given = [{"url": each} if self.outputs_as_objects else each for each in outputs]
            body["outputs"] = [self.lost.get(str(place), each) for place, each in enumerate(given)]
        if self.flags is None:
            del body["has_nsfw_contents"]
        if over and self.code:
            body["code"] = self.code
        if with_input:
            body["input"] = dict(self.inputs)
        if listed:
            body["executionTime"] = inference
        return body

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Prediction:
        """Read a row of the state file."""
        flags = None if row["flags"] is None else tuple(row["flags"])
        marks = tuple(row.get("marks", ()))
        return cls(**{**row, "price": Decimal(row["price"]), "flags": flags, "marks": marks})
