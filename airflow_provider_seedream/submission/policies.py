"""The choices a user has where a submission is lost or its task is cleared."""

from __future__ import annotations

from typing import Literal

OnClear = Literal["resubmit", "reuse"]
OnLostSubmission = Literal["fail", "adopt", "resubmit"]
