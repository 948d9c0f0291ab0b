"""The choices that a user can write. Read with each DAG, so it imports nothing of ours."""

from __future__ import annotations

from typing import Literal

OnExisting = Literal["replace_own", "replace", "fail"]
"""What becomes of an image set that is in the folder already."""

OnRenditionError = Literal["skip", "fail"]
"""What becomes of a publish where a rendition, the contact sheet or the page cannot be made."""

OutputFormat = Literal["jpeg", "png"]
"""The formats in which the API delivers images."""
