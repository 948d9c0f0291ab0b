"""In what object stores differ: how a content type is set, what an error means, which permission an operation needs.

Errors are classified by the store's own code, its HTTP status, or the type of the exception, never by a text.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from enum import Enum
from importlib import import_module
from pathlib import PurePosixPath
from typing import Any

from airflow_provider_seedream.publishing.errors import StoreError, StoreFault

CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".json": "application/json",
    ".partial": "application/json",
    ".png": "image/png",
    ".webp": "image/webp",
}
"""By the end of a name. File systems ask the machine instead, which may have no ``/etc/mime.types``, or they do not ask."""


class Store(Enum):
    """The kinds of object stores whose file systems are known here."""

    S3 = "S3"
    GCS = "Google Cloud Storage"
    AZURE = "Azure Blob Storage"


class Operation(Enum):
    """What is asked of a store."""

    LIST = "list"
    READ = "read"
    WRITE = "write"
    DELETE = "delete"


PERMISSIONS = {
    (Store.S3, Operation.LIST): "s3:ListBucket",
    (Store.S3, Operation.READ): "s3:GetObject",
    (Store.S3, Operation.WRITE): "s3:PutObject",
    (Store.S3, Operation.DELETE): "s3:DeleteObject",
    (Store.GCS, Operation.LIST): "storage.objects.list",
    (Store.GCS, Operation.READ): "storage.objects.get",
    (Store.GCS, Operation.WRITE): "storage.objects.create (to write over a file, storage.objects.delete too)",
    (Store.GCS, Operation.DELETE): "storage.objects.delete",
    (Store.AZURE, Operation.LIST): "blobs/read (of a SAS: l and r)",
    (Store.AZURE, Operation.READ): "blobs/read (of a SAS: r)",
    (Store.AZURE, Operation.WRITE): "blobs/write (of a SAS: w)",
    (Store.AZURE, Operation.DELETE): "blobs/delete (of a SAS: d)",
}
"""What the identity of the store's connection must be allowed to do."""

_PROTOCOLS = {
    **dict.fromkeys(("s3", "s3a"), Store.S3),
    **dict.fromkeys(("gs", "gcs"), Store.GCS),
    **dict.fromkeys(("abfs", "abfss", "adl", "az", "wasb"), Store.AZURE),
}
_NO_BUCKET = {"NoSuchBucket", "ContainerNotFound", "ContainerBeingDeleted"}
# A folder that is not there is an empty one, and a file needs none.
_NEED_A_BUCKET = (Operation.LIST, Operation.WRITE)
# Refused as well, and for the identity itself: no permission would help.
_CREDENTIALS = {
    "AuthenticationFailed",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidAuthenticationInfo",
    "InvalidToken",
    "RequestExpired",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
}
# S3 sends on to the region that has the bucket (301), or finds another one in the signature (400).
_ELSEWHERE = {"AuthorizationHeaderMalformed", "PermanentRedirect"}
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9.]{0,63}")
# Refused as well, and no permission would help: Ceph, MinIO, Google.
_QUOTAS = {"QuotaExceeded", "XMinioAdminBucketQuotaExceeded", "quotaExceeded", "rateLimitExceeded"}
# 400: S3's own word for a header it does not want (InvalidArgument, InvalidRequest); 501: NotImplemented.
_UNKNOWN_REQUEST = {400, 405, 411, 415, 422, 501}
_LATER = {
    "RequestTimeout",
    "IncompleteBody",
    "BadDigest",
}  # HTTP 400 on S3, and nothing to do with the request
_UNKNOWN_CALL = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL}


def store_of(file_system: Any) -> Store | None:
    """Which kind of store an fsspec file system leads to; None for another one."""
    protocol = getattr(file_system, "protocol", ())
    names = (protocol,) if isinstance(protocol, str) else protocol
    return next((_PROTOCOLS[name] for name in names if name in _PROTOCOLS), None)


def content_type_options(store: Store | None, name: str) -> dict[str, Any]:
    """What is given to the file system with a file of this name, so that browsers show it."""
    content_type = CONTENT_TYPES.get(PurePosixPath(name).suffix, "application/octet-stream")
    if store is Store.S3:
        return {"ContentType": content_type}
    if store is Store.GCS:
        return {"content_type": content_type}
    if store is Store.AZURE:
        # Its file system, which is in use here, has loaded it. Versions before mid-2026 take no plain dict.
        settings = import_module("azure.storage.blob").ContentSettings
        return {"content_settings": settings(content_type=content_type)}
    return {}


def store_error(
    error: BaseException, store: Store | None, operation: Operation, bucket: str, key: str
) -> StoreError | None:
    """The error that names what a store refused and the way out, or None for an error that says something else."""
    if store is None:
        return None
    codes, statuses = _codes(error), _statuses(error)
    code = next(iter(codes), next((f"HTTP {each}" for each in statuses), type(error).__name__))
    permission = PERMISSIONS[store, operation]
    if says_no_bucket(error) or (operation in _NEED_A_BUCKET and _is_missing(error, statuses)):
        return StoreError(StoreFault.NO_BUCKET, operation.value, store.value, bucket, key, code, permission)
    if store is Store.S3 and (_ELSEWHERE & {*codes} or 301 in statuses):
        return StoreError(StoreFault.ELSEWHERE, operation.value, store.value, bucket, key, code, permission)
    if _CREDENTIALS & {*codes} or 401 in statuses:
        return StoreError(StoreFault.CREDENTIALS, operation.value, store.value, bucket, key, code, permission)
    if _QUOTAS & {*codes}:
        return None
    if 403 in statuses or (not statuses and _is_forbidden(error, store)):
        return StoreError(StoreFault.DENIED, operation.value, store.value, bucket, key, code, permission)
    return None


def says_no_bucket(error: BaseException) -> bool:
    """Whether it is the bucket that is missing, and not a file in it, where the store tells them apart."""
    return bool(_NO_BUCKET & {*_codes(error)})


def is_refusal(error: BaseException) -> bool:
    """Whether a store refuses something for good: trying again would not help."""
    return any(
        (400 <= status < 500 and status not in (408, 429)) or status == 501 for status in _statuses(error)
    )


def knows_no_exclusive_create(error: BaseException) -> bool:
    """Whether a store refused to create a file exclusively because it, or its file system, has no such operation."""
    if _LATER & {*_codes(error)}:
        return False
    if statuses := _statuses(error):
        return bool(_UNKNOWN_REQUEST & {*statuses})
    unknown = isinstance(error, OSError) and error.errno in _UNKNOWN_CALL
    return unknown or isinstance(error, NotImplementedError | TypeError | ValueError)


def says_it_is_there(error: BaseException) -> bool:
    """Whether a store refused to create a file exclusively because there is one of this name."""
    if statuses := _statuses(error):
        return bool({409, 412} & {*statuses})
    return isinstance(error, OSError) and error.errno in {errno.EEXIST, errno.EINVAL}


def _is_missing(error: BaseException, statuses: list[int]) -> bool:
    return isinstance(error, FileNotFoundError) or 404 in statuses


def _is_forbidden(error: BaseException, store: Store) -> bool:
    # gcsfs (retry.py) raises for HTTP 403, and for nothing else that is asked here, an OSError without a number or a cause.
    plain = store is Store.GCS and type(error) is OSError and error.errno is None
    return plain or isinstance(error, PermissionError)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error of a file system, and the ones of its client that it was made of."""
    at: BaseException | None = error
    for _ in range(5):
        if at is None:
            return
        yield at
        at = at.__cause__ or at.__context__


def _codes(error: BaseException) -> list[str]:
    """The store's own codes: ``AccessDenied`` (botocore), ``AuthorizationFailure`` (Azure)."""
    found = []
    for each in _chain(error):
        response = getattr(each, "response", None)
        answer = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
        code = getattr(each, "error_code", None) or answer
        code = getattr(code, "value", code)
        if isinstance(code, str) and _CODE.fullmatch(code):
            found.append(code)
    return found


def _statuses(error: BaseException) -> list[int]:
    """HTTP statuses: of botocore, of Azure (``status_code``), of aiohttp (``status``), of gcsfs (``code``)."""
    found: list[object] = []
    for each in _chain(error):
        response = getattr(each, "response", None)
        if isinstance(response, dict):
            found.append(response.get("ResponseMetadata", {}).get("HTTPStatusCode"))
        names = (name for name in ("status_code", "status", "code") if hasattr(each, name))
        found += [getattr(each, name) for name in list(names)[:1]]
    return [
        int(each)
        for each in found
        if isinstance(each, int | str) and re.fullmatch("[1-5][0-9]{2}", str(each))
    ]
