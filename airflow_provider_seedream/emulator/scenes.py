"""The scenes that a prompt describes, as the model page's convention has them ("First, … Second, …")."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ORDINALS = [
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
    "thirteenth",
    "fourteenth",
    "fifteenth",
]
_MARK = re.compile(rf"\b({'|'.join(_ORDINALS)})\b\s*[,:\-–]\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Script:
    """What all pictures of a set share, and what each shows.

    :param lead: the text before the first scene: the count and anything said of the whole set.
    :param scenes: one text per scene, in order; empty where the prompt names none.
    """

    lead: str
    scenes: tuple[str, ...]

    def scene(self, position: int) -> str:
        """The words of picture ``position`` (from 1); the whole prompt where it has none of its own."""
        if position <= len(self.scenes):
            return self.scenes[position - 1]
        return self.lead


def script(prompt: str) -> Script:
    """Split a prompt at its ordinals, as far as they come in order."""
    marks: list[re.Match[str]] = []
    for mark in _MARK.finditer(prompt):
        if len(marks) < len(_ORDINALS) and mark[1].lower() == _ORDINALS[len(marks)]:
            marks.append(mark)
    if not marks:
        return Script(prompt.strip(), ())
    ends = [mark.start() for mark in marks[1:]] + [len(prompt)]
    scenes = tuple(prompt[mark.end() : end].strip() for mark, end in zip(marks, ends, strict=True))
    return Script(prompt[: marks[0].start()].strip(), scenes)
