"""The choices that a user can write. Read with each DAG, so it imports nothing of ours."""

from __future__ import annotations

from typing import Literal

OnClear = Literal["resubmit", "reuse"]
"""What clearing a task means for the prediction it paid for."""

OnLostSubmission = Literal["fail", "adopt", "resubmit", "ask"]
"""What to do where a paying request got no answer."""

PriceSource = Literal["table", "api"]
"""Where the price of a submission comes from."""

OnShortDelivery = Literal["accept", "fail"]
"""What becomes of an image set with fewer images than were asked for."""

OnFlagged = Literal["keep", "drop", "fail"]
"""What becomes of images that the API flagged."""

EnhancementMode = Literal["image", "video"]
"""What the optimizer writes a prompt for."""

EnhancementStyle = Literal["default", "artistic", "photographic", "technical", "anime", "realistic"]
"""The manner in which the optimizer writes."""

OnUnusableEnhancement = Literal["keep_original", "fail"]
"""What to do where the optimizer wrote a prompt that cannot be used."""

OnExisting = Literal["replace_own", "replace", "fail"]
"""What becomes of an image set that is in the folder already."""

OnRenditionError = Literal["skip", "fail"]
"""What becomes of a publish where a rendition, the contact sheet or the page cannot be made."""

CheckSize = Literal["fail"] | bool
"""What becomes of images of another size than requested: published with (True) or without a warning, or refused."""

OutputFormat = Literal["jpeg", "png"]
"""The formats in which the API delivers images."""
