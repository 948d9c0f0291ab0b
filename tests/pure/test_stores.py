"""What the errors of file systems mean, and what is given to them: by type, code and number only."""

from __future__ import annotations

import errno
import sys
import types
from typing import Any

import pytest

from airflow_provider_seedream.publishing.errors import StoreFault
from airflow_provider_seedream.publishing.stores import (
    Operation,
    Store,
    content_type_options,
    knows_no_exclusive_create,
    says_it_is_there,
    store_error,
    store_of,
)


class AzureError(Exception):
    """As azure-core raises it."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__("a text that may be in any language")
        self.status_code, self.error_code = status, code


class GoogleError(Exception):
    """As gcsfs raises it; its code is a number, or a text of one."""

    def __init__(self, code: int | str) -> None:
        super().__init__("a text that may be in any language")
        self.code = code


class AmazonError(Exception):
    """As botocore raises it."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__("a text that may be in any language")
        self.response = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}


def made_of(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


def within(error: BaseException, context: BaseException) -> BaseException:
    error.__context__ = context
    return error


FAULTS = [
    (made_of(PermissionError("x"), AmazonError(403, "AccessDenied")), Store.S3, Operation.WRITE, StoreFault.DENIED),
    (made_of(OSError(errno.EIO, "x"), AmazonError(403, "Unheard")), Store.S3, Operation.READ, StoreFault.DENIED),
    (made_of(PermissionError("x"), AmazonError(403, "403")), Store.S3, Operation.READ, StoreFault.DENIED),
    (made_of(PermissionError("x"), AmazonError(400, "ExpiredToken")), Store.S3, Operation.LIST, StoreFault.CREDENTIALS),
    (made_of(PermissionError("x"), AmazonError(403, "SignatureDoesNotMatch")), Store.S3, Operation.LIST, StoreFault.CREDENTIALS),
    (made_of(FileNotFoundError("x"), AmazonError(404, "NoSuchBucket")), Store.S3, Operation.READ, StoreFault.NO_BUCKET),
    (made_of(FileNotFoundError("x"), AmazonError(404, "NoSuchKey")), Store.S3, Operation.READ, None),
    (made_of(OSError(errno.EBUSY, "x"), AmazonError(503, "SlowDown")), Store.S3, Operation.WRITE, None),
    (OSError("Forbidden"), Store.GCS, Operation.DELETE, StoreFault.DENIED),
    (OSError("Forbidden"), Store.S3, Operation.DELETE, None),
    (GoogleError(403), Store.GCS, Operation.DELETE, StoreFault.DENIED),
    (GoogleError("401"), Store.GCS, Operation.DELETE, StoreFault.CREDENTIALS),
    (GoogleError(503), Store.GCS, Operation.DELETE, None),
    (FileNotFoundError("x"), Store.GCS, Operation.WRITE, StoreFault.NO_BUCKET),
    (FileNotFoundError("x"), Store.GCS, Operation.READ, None),
    (AzureError(403, "AuthorizationPermissionMismatch"), Store.AZURE, Operation.WRITE, StoreFault.DENIED),
    (AzureError(403, "AuthenticationFailed"), Store.AZURE, Operation.WRITE, StoreFault.CREDENTIALS),
    (AzureError(404, "ContainerNotFound"), Store.AZURE, Operation.WRITE, StoreFault.NO_BUCKET),
    (within(FileNotFoundError(2, "x"), AzureError(404, "ContainerNotFound")), Store.AZURE, Operation.LIST, StoreFault.NO_BUCKET),
    (within(FileNotFoundError(2, "x"), AzureError(404, "BlobNotFound")), Store.AZURE, Operation.READ, None),
    (made_of(PermissionError("x"), AmazonError(403, "QuotaExceeded")), Store.S3, Operation.WRITE, None),
    (made_of(OSError("x"), AmazonError(301, "PermanentRedirect")), Store.S3, Operation.WRITE, StoreFault.ELSEWHERE),
    (made_of(PermissionError("x"), AmazonError(301, "301")), Store.S3, Operation.LIST, StoreFault.ELSEWHERE),
    (made_of(OSError("x"), AmazonError(400, "AuthorizationHeaderMalformed")), Store.S3, Operation.READ, StoreFault.ELSEWHERE),
    (PermissionError("x"), None, Operation.WRITE, None),
    (ConnectionResetError("x"), Store.S3, Operation.WRITE, None),
]  # fmt: skip


@pytest.mark.parametrize(("error", "store", "operation", "fault"), FAULTS)
def test_an_error_of_a_file_system_is_named_by_its_code(
    error: BaseException, store: Store | None, operation: Operation, fault: StoreFault | None
) -> None:
    found = store_error(error, store, operation, "pictures", "story/01.jpg")
    assert (None if found is None else found.fault) is fault
    if found is not None:
        assert "pictures" in str(found)
        assert "story/01.jpg" in str(found)
        assert operation.value in str(found)
        assert "any language" not in str(found)


@pytest.mark.parametrize(
    ("error", "unknown", "there"),
    [
        (made_of(OSError(errno.ENOSYS, "x"), AmazonError(501, "NotImplemented")), True, False),
        (made_of(OSError(errno.EINVAL, "x"), AmazonError(400, "InvalidArgument")), True, False),
        (made_of(OSError(errno.EINVAL, "x"), AmazonError(412, "PreconditionFailed")), False, True),
        (made_of(OSError(errno.EIO, "x"), AmazonError(409, "ConditionalRequestConflict")), False, True),
        (made_of(TimeoutError("x"), AmazonError(400, "RequestTimeout")), False, False),
        (made_of(OSError(errno.EIO, "x"), AmazonError(500, "InternalError")), False, False),
        (made_of(OSError(errno.EIO, "x"), AmazonError(411, "MissingContentLength")), True, False),
        (made_of(OSError(errno.EIO, "x"), AmazonError(422, "UnprocessableEntity")), True, False),
        (GoogleError(501), True, False),
        (AzureError(409, "BlobAlreadyExists"), False, True),
        (NotImplementedError("x"), True, False),
        (TypeError("unexpected keyword argument"), True, False),
        (ConnectionResetError("x"), False, False),
        (TimeoutError("x"), False, False),
    ],
)
def test_a_refused_exclusive_create_differs_from_a_failure(
    error: BaseException, unknown: bool, there: bool
) -> None:
    assert (knows_no_exclusive_create(error), says_it_is_there(error)) == (unknown, there)


def test_content_types_are_given_in_each_file_systems_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    azure: Any = types.ModuleType("azure.storage.blob")
    azure.ContentSettings = lambda content_type: f"settings of {content_type}"
    monkeypatch.setitem(sys.modules, "azure.storage.blob", azure)
    assert content_type_options(Store.S3, "01.webp") == {"ContentType": "image/webp"}
    assert content_type_options(Store.GCS, "index.html") == {"content_type": "text/html; charset=utf-8"}
    assert content_type_options(Store.AZURE, "01.png") == {"content_settings": "settings of image/png"}
    assert content_type_options(None, "01.png") == {}


@pytest.mark.parametrize(
    ("protocol", "store"),
    [
        (("s3", "s3a"), Store.S3),
        (("gs", "gcs"), Store.GCS),
        ("abfs", Store.AZURE),
        ("memory", None),
        ((), None),
    ],
)
def test_a_store_is_known_by_the_protocol_of_its_file_system(protocol: Any, store: Store | None) -> None:
    assert store_of(types.SimpleNamespace(protocol=protocol)) is store
