"""Why a picture could not be published, as data: nobody reads the message to decide."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from airflow_provider_seedream.wavespeed.errors import WaveSpeedError


class PictureFault(Enum):
    """What is wrong with one picture, and whether another look may find it right."""

    UNREACHABLE = ("unreachable", True)
    SERVER_ERROR = ("server_error", True)
    THROTTLED = ("throttled", True)
    TIMED_OUT = ("timed_out", True)
    TRUNCATED = ("truncated", True)
    STOPPED = ("stopped", True)
    EXPIRED = ("expired", False)
    REFUSED = ("refused", False)
    UNSAFE_ADDRESS = ("unsafe_address", False)
    TOO_MANY_REDIRECTS = ("too_many_redirects", False)
    TOO_LARGE = ("too_large", False)
    NOT_A_PICTURE = ("not_a_picture", False)
    DAMAGED = ("damaged", False)
    WRONG_FORMAT = ("wrong_format", False)
    WRONG_SIZE = ("wrong_size", False)

    def __init__(self, code: str, transient: bool) -> None:
        self.code = code
        self.transient = transient


class PictureError(WaveSpeedError):
    """One picture that is not, or not yet, fit to be published.

    :param fault: what is wrong, as data.
    :param where: the picture: host and path of its link without the query string (which may carry a
        signature), or its place in a base64 set.
    :param expected: what should have come.
    :param got: what came.
    :param way_out: what to do next.
    :param retry_after: seconds the server asked to wait, when it did.
    """

    def __init__(
        self,
        fault: PictureFault,
        *,
        where: str,
        expected: str,
        got: str,
        way_out: str,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(f"Picture {where}: expected {expected}, got {got}. {way_out}")
        self.fault = fault
        self.transient = fault.transient
        self.where = where
        self.expected = expected
        self.got = got
        self.way_out = way_out
        self.retry_after = retry_after


class FolderTakenError(WaveSpeedError):
    """The folder belongs to another image set.

    :param folder: its URL.
    :param prediction_id: the set that is there.
    :param how: when or by whom it was put there.
    :param way_out: what to do next.
    :param transient: whether it may be free later by itself.
    """

    def __init__(
        self, folder: str, prediction_id: str, how: str, way_out: str, *, transient: bool = False
    ) -> None:
        self.what = f"{folder} holds prediction {prediction_id[:80]}, published {how}."
        super().__init__(f"{self.what} {way_out}")
        self.folder = folder
        self.transient = transient
        self.prediction_id = prediction_id

    def with_way_out(self, way_out: str) -> FolderTakenError:
        """This error with another advice, for a task that has other options."""
        self.args = (f"{self.what} {way_out}",)
        return self


class ForeignFileError(FolderTakenError):
    """The folder has files that a publish would overwrite, and no manifest or record says that they are ours.

    :param folder: its URL.
    :param names: the files.
    :param way_out: what to do next.
    """

    def __init__(self, folder: str, names: Sequence[str], way_out: str) -> None:
        listed = ", ".join(map(ascii, names[:5])) + (f" and {len(names) - 5} more" if names[5:] else "")
        self.what = (
            f"{folder} holds {listed}, which no manifest or record of a published image set names: somebody else's. "
            "It was left as it is."
        )
        WaveSpeedError.__init__(self, f"{self.what} {way_out}")
        self.folder = folder
        self.transient = False
        self.prediction_id = ""
        self.names = tuple(names)
