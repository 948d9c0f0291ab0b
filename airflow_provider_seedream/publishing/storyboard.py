"""The storyboard page of a set: one HTML file that shows the images beside it, with their scenes."""

from __future__ import annotations

import base64
import hashlib
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from airflow_provider_seedream.publishing.manifest import MANIFEST_NAME, Derivative, PublishedImage
from airflow_provider_seedream.publishing.provenance import MADE_BY_AI
from airflow_provider_seedream.wavespeed.image_set import ImageSet

SHORT = 200
"""Characters of a scene that are shown before the rest is folded away."""
ALT = 500
"""Characters of a scene that are read out for its image; the whole stands below it."""
_HERE = Path(__file__).parent
# Explicit embeddings, overrides and isolates: a text must not turn around what stands beside it.
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def storyboard_page(
    image_set: ImageSet, images: Sequence[PublishedImage], renditions: Sequence[Derivative] = ()
) -> bytes:
    """The page as UTF-8. The same set always gives the same bytes.

    It holds its style, and fetches nothing but the images in its own folder; its policy (CSP) forbids the rest,
    scripts included. Every text is escaped, and shown in its own direction.

    :param renditions: smaller copies of the images, which a browser takes where they are sharp enough.
    """
    style = _style()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    # "file:" for a page opened from a disk: whether 'self' holds there is left to the browser (w3c/webappsec-csp#459).
    sources = f"img-src 'self' file:; style-src 'sha256-{digest}'"
    page = _template().render(
        policy=Markup(f"default-src 'none'; {sources}; base-uri 'none'; form-action 'none'"),  # noqa: S704
        style=Markup(style),  # noqa: S704
        title=f"Storyboard in {len(images)} {'scene' if len(images) == 1 else 'scenes'}",
        facts=[
            ("Model", _readable(image_set.model), True),
            ("Size", f"{images[0].width} × {images[0].height}", False),
            ("Made", _readable((image_set.completed_at or image_set.created_at or "")[:10]), True),
            ("Cost", "" if image_set.cost_usd is None else f"${image_set.cost_usd:g}", False),
        ],
        scenes=[
            _scene(number, image, [each for each in renditions if each.of == image.file])
            for number, image in zip(image_set.numbers, images, strict=True)
        ],
        missing=[(each.index, _readable(each.reason)) for each in image_set.missing],
        prompt=_readable(image_set.prompt or "", lines=True),
        prediction_id=_readable(image_set.prediction_id),
        manifest=MANIFEST_NAME,
    )
    return page.encode("utf-8", "replace")


def _scene(number: int, image: PublishedImage, smaller: Sequence[Derivative]) -> dict[str, Any]:
    text = _readable(image.scene or "")
    return {
        "number": number,
        "file": image.file,
        "width": image.width,
        "height": image.height,
        "flagged": image.flagged,
        "source_type": image.digital_source_type or MADE_BY_AI,
        "sources": _sources(image, smaller),
        "alt": _cut(text, ALT),
        "short": _cut(text, SHORT),
        "whole": _readable(image.scene or "", lines=True) if len(text) > SHORT else "",
    }


def _sources(image: PublishedImage, smaller: Sequence[Derivative]) -> list[tuple[str, list[str]]]:
    """WebP before JPEG; the original closes the list of its own type, for screens that need more."""
    by_type: dict[str, set[tuple[int, str]]] = defaultdict(set)
    for each in smaller:
        by_type[each.media_type].add((each.width or 0, each.file))
    if image.media_type in by_type:
        by_type[image.media_type].add((image.width, image.file))
    return [
        (media_type, [f"{file} {width}w" for width, file in sorted(files)])
        for media_type, files in sorted(by_type.items(), reverse=True)
    ]


def _readable(text: str, *, lines: bool = False) -> str:
    """``text`` without control characters, which HTML forbids, and without those that turn text around."""
    kept = "".join(each for each in text if each.isspace() or not _is_forbidden(each))
    rows = kept.splitlines() if lines else [kept]
    return "\n".join(" ".join(row.split()) for row in rows)


def _is_forbidden(letter: str) -> bool:
    return letter in _TURNING or unicodedata.category(letter) in ("Cc", "Cs", "Cn", "Co")


def _cut(text: str, length: int) -> str:
    if len(text) <= length:
        return text
    start = text[:length]
    words = start.rpartition(" ")[0]
    return f"{(words if len(words) > length // 2 else start).rstrip()}…"


@cache
def _style() -> str:
    return (_HERE / "storyboard.css").read_text("utf-8")


@cache
def _template() -> Template:
    environment = Environment(loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined)
    return environment.get_template("storyboard.html.j2")
