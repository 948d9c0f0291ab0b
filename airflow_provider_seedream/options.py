"""The choices that a user can write. Read with each DAG, so it imports nothing of ours."""

from __future__ import annotations

from typing import Literal

OnExisting = Literal["replace_own", "replace", "fail"]
"""What becomes of an image set that is in the folder already."""

OutputFormat = Literal["jpeg", "png"]
"""The formats in which the API delivers images."""
