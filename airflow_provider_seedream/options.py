"""The choices that a user can write. Read with each DAG, so it imports nothing of ours."""

from __future__ import annotations

from typing import Literal

OnExisting = Literal["replace_own", "replace", "fail"]
"""What becomes of an image set that is in the folder already."""

OutputFormat = Literal["jpeg", "png"]
"""The formats in which the API delivers images."""

OnShortDelivery = Literal["accept", "fail"]
"""What becomes of an image set with fewer images than asked for."""

OnFlagged = Literal["keep", "drop", "fail"]
"""What becomes of images that the API flagged (NSFW)."""

EnhancementMode = Literal["image", "video"]
"""What the prompt optimizer writes a prompt for."""

EnhancementStyle = Literal["default", "artistic", "photographic", "technical", "anime", "realistic"]
"""The manner in which the prompt optimizer writes."""
