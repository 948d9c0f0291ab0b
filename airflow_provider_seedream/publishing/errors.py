"""Why an image could not be published, as data: no code reads the message to decide."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from airflow_provider_seedream.wavespeed.errors import WaveSpeedError
from airflow_provider_seedream.wavespeed.validation import plain

_PUBLISH_AGAIN = "Run the task again, which pays nothing; if it stays so, open the prediction in the WaveSpeedAI dashboard."


class _Fault(Enum):
    """A kind of fault, and whether another try may find it gone."""

    def __init__(self, code: str, transient: bool) -> None:
        self.code = code
        self.transient = transient


class ImageFault(_Fault):
    """What is wrong with one image."""

    UNREACHABLE = ("unreachable", True)
    SERVER_ERROR = ("server_error", True)
    THROTTLED = ("throttled", True)
    TIMED_OUT = ("timed_out", True)
    TRUNCATED = ("truncated", True)
    STOPPED = ("stopped", True)
    NOT_THERE_YET = ("not_there_yet", True)
    EXPIRED = ("expired", False)
    REFUSED = ("refused", False)
    UNSAFE_ADDRESS = ("unsafe_address", False)
    TOO_MANY_REDIRECTS = ("too_many_redirects", False)
    TOO_LARGE = ("too_large", False)
    NOT_AN_IMAGE = ("not_an_image", False)
    DAMAGED = ("damaged", False)
    WRONG_FORMAT = ("wrong_format", False)
    WRONG_SIZE = ("wrong_size", False)


class ImageError(WaveSpeedError):
    """One image that cannot be published, or not yet.

    :param fault: what is wrong, as data.
    :param where: the image: host and path of its link without the query string (which may carry a
        signature), or its place in a base64 set.
    :param expected: what should have come.
    :param got: what came.
    :param way_out: what to do next; ``None``: publish again, which pays nothing.
    :param retry_after: seconds the server asked to wait, when it did.
    """

    def __init__(
        self,
        fault: ImageFault,
        *,
        where: str,
        expected: str,
        got: str,
        way_out: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(f"Image {where}: expected {expected}, got {got}. {way_out or _PUBLISH_AGAIN}")
        self.fault = fault
        self.transient = fault.transient
        self.where = where
        self.expected = expected
        self.got = got
        self.way_out = way_out
        self.retry_after = retry_after

    def for_paying_task(self, way_out: str) -> ImageError:
        """This error for the task that paid for the image, which does more than publish when it runs again.

        :param way_out: how to have the image without paying.
        """
        return ImageError(
            self.fault,
            where=self.where,
            expected=self.expected,
            got=self.got,
            way_out=way_out if self.way_out is None else f"{self.way_out} {way_out}",
            retry_after=self.retry_after,
        )


class RenditionError(WaveSpeedError):
    """Renditions, a contact sheet or a page could not be made. The images and their manifest are published.

    :param folder: its URL.
    :param left_out: each file, and why it could not be made.
    """

    def __init__(self, folder: str, left_out: Sequence[tuple[str, str]]) -> None:
        listed = "; ".join(f"{file} ({reason})" for file, reason in left_out[:5])
        super().__init__(
            f"{folder}: {len(left_out)} of the files made from the images could not be made: {listed}. The images and their "
            'manifest are published. Leave these files out, or set on_rendition_error="skip".'
        )
        self.left_out = tuple(left_out)


class StoreFault(_Fault):
    """Why a store does not do what a publish needs."""

    DENIED = ("denied", False)
    CREDENTIALS = ("credentials", True)
    """The identity itself is refused; a token that expired is renewed for the next try."""
    NO_BUCKET = ("no_bucket", False)
    ELSEWHERE = ("elsewhere", False)
    """The bucket is in another region, or belongs to another endpoint."""


class StoreError(WaveSpeedError):
    """A store refused an operation, as a permission or a bucket is missing.

    :param fault: what is wrong, as data.
    :param operation: ``"list"``, ``"read"``, ``"write"`` or ``"delete"``.
    :param store: its kind.
    :param bucket: where; a container on Azure.
    :param key: of the file, or of the folder that was to be listed.
    :param code: what the store answered.
    :param permission: what the operation needs.
    """

    def __init__(
        self, fault: StoreFault, operation: str, store: str, bucket: str, key: str, code: str, permission: str
    ) -> None:
        where = f"{key} in bucket {bucket} ({code})"
        if fault is StoreFault.NO_BUCKET:
            said = f"{store} has no bucket {bucket} ({code}): cannot {operation} {key}. Create it, or correct the path."
        elif fault is StoreFault.ELSEWHERE:
            said = (
                f"{store} has bucket {bucket} in another region, or at another endpoint ({code}): cannot {operation} {key}. "
                "Set region_name (or endpoint_url) in the extra of the store's connection."
            )
        elif fault is StoreFault.DENIED:
            said = (
                f"{store} does not allow to {operation} {where}. That needs {permission}: grant it to the "
                "identity of the store's connection."
            )
        else:
            said = (
                f"{store} refused the credentials: cannot {operation} {where}. "
                "Renew what the store's connection holds."
            )
        super().__init__(f"{said} What is needed, and what works with less: docs/publishing.md, Permissions.")
        self.fault = fault
        self.transient = fault.transient
        self.operation = operation
        self.bucket = bucket
        self.key = key
        self.code = code
        self.permission = permission

    def with_way_out(self, way_out: str) -> StoreError:
        """This error with one more advice, for a task that has other options."""
        self.args = (f"{self} {way_out}",)
        return self


class MediaError(ValueError):
    """Bytes that are not a whole image of a known type."""

    fault: ImageFault


class UnknownMediaError(MediaError):
    """The first bytes belong to none of the types."""

    fault = ImageFault.NOT_AN_IMAGE


class TruncatedMediaError(MediaError):
    """The image ends before its end."""

    fault = ImageFault.TRUNCATED


class DamagedMediaError(MediaError):
    """The bytes contradict their own format."""

    fault = ImageFault.DAMAGED


class OversizedMediaError(MediaError):
    """The image has more pixels than are decoded."""

    fault = ImageFault.TOO_LARGE


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
        self.what = f"{folder} holds prediction {plain(prediction_id, 80)}, published {how}."
        super().__init__(f"{self.what} {way_out}")
        self.folder = folder
        self.transient = transient
        self.prediction_id = prediction_id

    def with_way_out(self, way_out: str) -> FolderTakenError:
        """This error with another advice, for a task that has other options."""
        self.args = (f"{self.what} {way_out}",)
        return self


class ForeignFileError(FolderTakenError):
    """The folder has files that a publish would overwrite, and no manifest or journal says that they are ours.

    :param folder: its URL.
    :param names: the files.
    :param way_out: what to do next.
    :param transient: whether they may be this package's after all, of a publish that is at work.
    """

    def __init__(self, folder: str, names: Sequence[str], way_out: str, *, transient: bool = False) -> None:
        listed = ", ".join(map(ascii, names[:5])) + (f" and {len(names) - 5} more" if names[5:] else "")
        self.what = (
            f"{folder} holds {listed}, which is no file of a published image set: somebody else's, or damaged. "
            "It was left as it is."
        )
        WaveSpeedError.__init__(self, f"{self.what} {way_out}")
        self.folder = folder
        self.transient = transient
        self.prediction_id = ""
        self.names = tuple(names)
