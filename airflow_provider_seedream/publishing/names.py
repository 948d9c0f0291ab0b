"""File names for pictures: told from their scenes, safe against whatever the prompt says."""

from __future__ import annotations

import re
import unicodedata

SLUG_LENGTH = 48


def slug(text: str, length: int = SLUG_LENGTH) -> str:
    """``text`` as lower-case ASCII words joined by hyphens, cut between words where possible; may be empty.

    Nothing but ``a-z 0-9 -`` comes out, so no separator, dot, control or right-to-left character does.
    """
    # A prompt may be of any length; only its beginning can matter.
    plain = unicodedata.normalize("NFKD", text[: 8 * length]).encode("ascii", "ignore").decode("ascii")
    words = re.findall(r"[a-z0-9]+", plain.lower().replace("'", ""))
    joined = "-".join(words)
    if len(joined) <= length:
        return joined
    cut = joined[: length + 1].rpartition("-")[0]
    return cut or joined[:length]


def stem(index: int, scene: str | None) -> str:
    """The name of picture ``index`` (from 1) without its extension, such as ``01-a-fox-in-snow``."""
    return f"{index:02d}-{slug(scene or '') or 'picture'}"


def is_file_name(name: object) -> bool:
    """Whether a name is one this package could have given: it can only mean a file in its own folder."""
    return isinstance(name, str) and re.fullmatch(r"[a-z0-9][a-z0-9-]{0,80}\.[a-z0-9]{1,5}", name) is not None
