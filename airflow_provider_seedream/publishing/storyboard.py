"""The storyboard page of a set: one HTML file that shows the pictures beside it, with their scenes."""

from __future__ import annotations

import base64
import hashlib
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from html import escape
from pathlib import Path

from airflow_provider_seedream.publishing.manifest import MANIFEST_NAME, Companion, PublishedPicture
from airflow_provider_seedream.wavespeed.image_set import ImageSet

SHORT = 200
"""Characters of a scene that are shown before the rest is folded away."""
ALT = 500
"""Characters of a scene that are read out for its picture; the whole stands below it."""
_SIZES = "(min-width: 72rem) 22rem, (min-width: 46rem) 45vw, 92vw"
_STYLE = Path(__file__).with_name("storyboard.css")
# Explicit embeddings, overrides and isolates: a text must not turn around what stands beside it.
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def storyboard_page(
    image_set: ImageSet, pictures: Sequence[PublishedPicture], renditions: Sequence[Companion] = ()
) -> bytes:
    """The page as UTF-8. The same set always gives the same bytes.

    It holds its style, and fetches nothing but the pictures in its own folder; its policy (CSP) forbids the rest,
    scripts included. The words of a prompt are escaped, and shown in their own direction.

    :param renditions: smaller copies of the pictures, which a browser takes where they are sharp enough.
    """
    smaller: dict[str, list[Companion]] = defaultdict(list)
    for each in renditions:
        smaller[each.of or ""].append(each)
    scenes = "\n".join(
        _scene(index, picture, smaller[picture.file]) for index, picture in enumerate(pictures, start=1)
    )
    title = f"Storyboard in {len(pictures)} {'scene' if len(pictures) == 1 else 'scenes'}"
    page = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_policy()}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{_style()}</style>
</head>
<body>
<a class="skip" href="#scenes">Skip to the scenes</a>
<header>
<p class="eyebrow">Image set</p>
<h1>{title}</h1>
<p class="facts">{_facts(image_set, pictures)}</p>
</header>
<main id="scenes">
<ol class="scenes" data-count="{len(pictures)}">
{scenes}
</ol>
</main>
<footer>
{_folded("The whole prompt", image_set.prompt) if image_set.prompt else ""}
<p>Prediction <code>{_plain(image_set.prediction_id)}</code> · <a href="{MANIFEST_NAME}">Manifest</a></p>
</footer>
</body>
</html>
"""
    return page.encode("utf-8", "replace")


def _scene(index: int, picture: PublishedPicture, smaller: Sequence[Companion]) -> str:
    scene = _readable(picture.scene or "")
    flag = '\n<p class="flag">Flagged as unsafe by the vendor</p>' if picture.flagged else ""
    return f"""<li id="scene-{index}">
<figure>
<a class="picture" href="{escape(picture.file)}">
<picture>
{_sources(picture, smaller)}<img src="{escape(picture.file)}" width="{picture.width}" height="{picture.height}" alt="{_alt(index, scene)}" lang="" dir="auto"{_lazy(index)}>
</picture>
</a>
<figcaption>
<h2><span class="number">{index:02d}</span> <span class="spoken">Scene {index}</span></h2>
{_caption(scene)}{flag}
</figcaption>
</figure>
</li>"""


def _sources(picture: PublishedPicture, smaller: Iterable[Companion]) -> str:
    """WebP before JPEG; the original closes the list of its own type, for screens that need more."""
    by_type: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for each in smaller:
        by_type[each.media_type].append((each.width or 0, each.file))
    if picture.media_type in by_type:
        by_type[picture.media_type].append((picture.width, picture.file))
    return "".join(
        f'<source type="{media_type}" sizes="{_SIZES}" '
        f'srcset="{", ".join(f"{escape(file)} {width}w" for width, file in sorted(set(files)))}">\n'
        for media_type, files in sorted(by_type.items(), reverse=True)
    )


def _lazy(index: int) -> str:
    """The first pictures are on the screen at once."""
    return "" if index <= 3 else ' loading="lazy" decoding="async"'


def _alt(index: int, scene: str) -> str:
    return escape(_cut(scene, ALT) if scene else f"Picture {index}")


def _caption(scene: str) -> str:
    if not scene:
        return ""
    if len(scene) <= SHORT:
        return f'<p class="text" lang="" dir="auto">{escape(scene)}</p>'
    short = f'<p class="text" lang="" dir="auto">{escape(_cut(scene, SHORT))}</p>'
    return f"{short}\n{_folded('The whole scene', scene)}"


def _folded(summary: str, text: str) -> str:
    shown = escape(_readable(text, lines=True))
    return (
        f'<details><summary>{summary}</summary><p class="text whole" lang="" dir="auto">{shown}</p></details>'
    )


def _facts(image_set: ImageSet, pictures: Sequence[PublishedPicture]) -> str:
    first = pictures[0]
    facts: Mapping[str, str] = {
        "Model": _plain(image_set.model),
        "Size": f"{first.width} × {first.height}",
        "Made": _plain((image_set.completed_at or image_set.created_at or "")[:10]),
        "Cost": "" if image_set.cost_usd is None else f"${image_set.cost_usd:g}",
    }
    return " ".join(
        f'<span><span class="label">{name}</span> {value}</span>' for name, value in facts.items() if value
    )


def _plain(text: str) -> str:
    return f"<bdi>{escape(_readable(text))}</bdi>" if text else ""


def _readable(text: str, *, lines: bool = False) -> str:
    """``text`` without control characters, which HTML forbids, and without those that turn text around."""
    kept = "".join(each for each in text if each.isspace() or not _is_forbidden(each))
    return (
        "\n".join(" ".join(line.split()) for line in kept.splitlines()) if lines else " ".join(kept.split())
    )


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
    return _STYLE.read_text("utf-8")


@cache
def _policy() -> str:
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    # "file:" for a page opened from a disk: whether 'self' holds there is left to the browser (w3c/webappsec-csp#459).
    sources = f"img-src 'self' file:; style-src 'sha256-{digest}'"
    return f"default-src 'none'; {sources}; base-uri 'none'; form-action 'none'"
