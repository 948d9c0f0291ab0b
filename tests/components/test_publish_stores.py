"""What object stores refuse, remember and must be given: conditional writes, permissions, buckets, content types, listings."""

from __future__ import annotations

import logging
import mimetypes
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, ObjectStoragePath
from botocore.config import Config
from moto.server import DomainDispatcherApplication, create_backend_app
from s3fs import S3FileSystem
from werkzeug.serving import make_server

from airflow_provider_seedream.emulator import Emulator
from airflow_provider_seedream.operators.arguments import object_store_folder, object_store_path
from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator
from airflow_provider_seedream.publishing import storage
from airflow_provider_seedream.publishing.errors import FolderTakenError, StoreError, StoreFault
from airflow_provider_seedream.publishing.folder_lock import refuse_others
from airflow_provider_seedream.publishing.journal import JOURNAL_NAME
from airflow_provider_seedream.publishing.manifest import MANIFEST_NAME, TaskInstanceKey
from airflow_provider_seedream.publishing.publish import Published, publish
from airflow_provider_seedream.publishing.storage import Folder
from airflow_provider_seedream.wavespeed.errors import InvalidInputError
from airflow_provider_seedream.wavespeed.image_set import GeneratedImage, ImageSet
from tests.cdn import Cdn, body, picture
from tests.components.airflow_context import Tries, run
from tests.object_stores import google_store

KEYS = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "us-east-1"}


class Request(NamedTuple):
    method: str
    key: str
    exclusive: bool
    query: str


class S3:
    """An S3 server on loopback. ``rule`` may answer a request instead: (status line, code)."""

    def __init__(self) -> None:
        inner = DomainDispatcherApplication(create_backend_app)
        self.rule: Callable[[Request], tuple[str, str] | None] = lambda request: None
        self.requests: list[Request] = []

        def app(environ: dict[str, Any], start: Any) -> Any:
            key = "/".join(environ["PATH_INFO"].split("/")[2:])
            exclusive = "HTTP_IF_NONE_MATCH" in environ
            request = Request(environ["REQUEST_METHOD"], key, exclusive, environ.get("QUERY_STRING", ""))
            self.requests.append(request)
            answer = self.rule(request)
            if answer is None:
                return inner(environ, start)
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            status, code = answer
            error = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
            error = b"" if request.method == "HEAD" else error
            start(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(error)))])
            return [error]

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self.server = make_server("127.0.0.1", 0, app, threaded=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{self.server.server_port}"
        self.client = boto3.client(
            "s3", endpoint_url=url, config=Config(s3={"addressing_style": "path"}), **KEYS
        )
        self.bucket = f"b-{uuid.uuid4().hex}"
        self.client.create_bucket(Bucket=self.bucket)
        self.fs = S3FileSystem(
            key="testing", secret="testing", endpoint_url=url, client_kwargs={"region_name": "us-east-1"}
        )
        self.conn_id = uuid.uuid4().hex
        attach("s3", self.conn_id, self.fs)

    def folder(self, bucket: str | None = None) -> ObjectStoragePath:
        return ObjectStoragePath(f"s3://{bucket or self.bucket}/story", conn_id=self.conn_id)

    def types(self) -> dict[str, str]:
        heads = {
            name: self.client.head_object(Bucket=self.bucket, Key=f"story/{name}") for name in self.names()
        }
        return {name: head["ContentType"] for name, head in heads.items()}

    def names(self) -> list[str]:
        found = self.client.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        return [each["Key"].removeprefix("story/") for each in found]


def attach(protocol: str, conn_id: str, fs: Any) -> None:
    try:
        from airflow.sdk.io import attach
    except ImportError:
        from airflow.io.store import attach
    attach(protocol, conn_id, fs=fs)


@pytest.fixture(autouse=True)
def _untried() -> None:
    storage._exclusive.clear()


@pytest.fixture
def s3() -> Iterator[S3]:
    server = S3()
    yield server
    server.client.close()
    server.server.shutdown()
    server.server.server_close()


@pytest.fixture
def gcs(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The connection of a Google Cloud Storage on loopback that has one bucket, ``bucket``."""
    with google_store(monkeypatch) as store:
        conn_id = uuid.uuid4().hex
        attach("gs", conn_id, store)
        yield conn_id


@pytest.fixture(scope="module")
def cdn() -> Iterator[Cdn]:
    with Cdn() as server:
        for kind in ("JPEG", "PNG", "WEBP"):
            server.paths[f"/{kind}"] = body(picture(kind))
        yield server


def image_set(cdn: Cdn, prediction_id: str = "p1", kinds: tuple[str, ...] = ("JPEG", "WEBP")) -> ImageSet:
    links = tuple(GeneratedImage(f"{cdn.url}/{kind}") for kind in kinds)
    return ImageSet(prediction_id, "m", "foxes", "64*48", len(kinds), links, 0.035 * len(kinds))


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("501 Not Implemented", "NotImplemented"),
        ("400 Bad Request", "InvalidArgument"),
        ("400 Bad Request", "InvalidRequest"),
        ("405 Method Not Allowed", "MethodNotAllowed"),
    ],
)
def test_a_store_that_refuses_conditional_writes_is_published_to_with_one_warning(
    s3: S3, cdn: Cdn, caplog: pytest.LogCaptureFixture, status: str, code: str
) -> None:
    s3.rule = lambda request: (status, code) if request.exclusive else None
    assert publish(image_set(cdn), s3.folder()).fetched == 2
    assert publish(image_set(cdn), s3.folder()).fetched == 0
    assert [each.exclusive for each in s3.requests].count(True) == 1
    said = [each for each in warnings(caplog) if "does not create files exclusively" in each]
    assert len(said) == 1
    with pytest.raises(FolderTakenError):
        publish(image_set(cdn, "p2"), s3.folder())


def test_a_store_that_fails_once_is_not_believed_to_refuse_conditional_writes(
    s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Folder(s3.folder())
    pipe = s3.fs.pipe_file
    failures: list[Exception] = [TimeoutError("no answer"), ConnectionResetError("by peer")]

    def pipe_file(*args: Any, **kwargs: Any) -> Any:
        if failures:
            raise failures.pop()
        return pipe(*args, **kwargs)

    monkeypatch.setattr(s3.fs, "pipe_file", pipe_file)
    for expected in (ConnectionResetError, TimeoutError):
        with pytest.raises(expected):
            folder.create("record", b"1")
    assert folder.create("record", b"1")
    assert not folder.create("record", b"2")
    assert set(storage._exclusive.values()) == {True}


def test_files_have_their_content_types_on_a_machine_without_a_table_of_types(
    s3: S3, cdn: Cdn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mimetypes, "guess_type", lambda *args, **kwargs: (None, None))
    s3.rule = lambda request: ("403 Forbidden", "AccessDenied") if request.method == "DELETE" else None
    options: dict[str, Any] = {"renditions": {"webp": [32], "jpeg": [32]}, "contact_sheet": True}
    publish(image_set(cdn, kinds=("JPEG", "PNG", "WEBP")), s3.folder(), storyboard_page=True, **options)
    types = s3.types()
    by_ending = {(name.rpartition(".")[2], types[name]) for name in types}
    assert by_ending == {
        ("jpg", "image/jpeg"),
        ("png", "image/png"),
        ("webp", "image/webp"),
        ("html", "text/html; charset=utf-8"),
        ("json", "application/json"),
        ("partial", "application/json"),
    }


def test_files_have_their_content_types_on_google_cloud_storage(
    gcs: str, cdn: Cdn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mimetypes, "guess_type", lambda *args, **kwargs: (None, None))
    path = ObjectStoragePath("gs://bucket/story", conn_id=gcs)
    publish(image_set(cdn), path, storyboard_page=True)
    types = {
        name.rpartition(".")[2]: path.fs.info(f"bucket/story/{name}")["contentType"]
        for name in Folder(path).names()
    }
    assert types == {
        "jpg": "image/jpeg",
        "webp": "image/webp",
        "html": "text/html",  # this stand-in keeps no parameters
        "json": "application/json",
    }


DENIED = {
    "list": (lambda r: r.method == "GET" and "list-type" in r.query, "story", "s3:ListBucket"),
    "read": (lambda r: r.method == "GET" and bool(r.key), "story/manifest.json", "s3:GetObject"),
    "write": (lambda r: r.method == "PUT", "story/manifest.json.partial", "s3:PutObject"),
}


@pytest.mark.parametrize("operation", list(DENIED))
def test_a_missing_permission_is_named_with_operation_bucket_and_key(
    s3: S3, cdn: Cdn, operation: str
) -> None:
    refused, key, permission = DENIED[operation]
    s3.rule = lambda request: ("403 Forbidden", "AccessDenied") if refused(request) else None
    with pytest.raises(StoreError) as raised:
        publish(image_set(cdn), s3.folder())
    error = raised.value
    assert (error.fault, error.operation, error.bucket, error.key) == (
        StoreFault.DENIED,
        operation,
        s3.bucket,
        key,
    )
    assert all(each in str(error) for each in (f"to {operation}", s3.bucket, key, permission, "AccessDenied"))
    assert not error.transient


def test_refused_credentials_are_not_called_a_missing_permission(s3: S3, cdn: Cdn) -> None:
    s3.rule = lambda request: ("400 Bad Request", "ExpiredToken")
    with pytest.raises(StoreError, match="refused the credentials") as raised:
        publish(image_set(cdn), s3.folder())
    assert raised.value.transient
    assert "s3:ListBucket" not in str(raised.value)


def test_where_nothing_may_be_deleted_a_set_is_published_and_its_journal_stays(
    s3: S3, cdn: Cdn, caplog: pytest.LogCaptureFixture
) -> None:
    s3.rule = lambda request: ("403 Forbidden", "AccessDenied") if request.method == "DELETE" else None
    me = TaskInstanceKey("dag", "run", "task", -1)
    assert publish(image_set(cdn), s3.folder(), published_by=me).fetched == 2
    assert s3.names() == ["01-picture.jpg", "02-picture.webp", MANIFEST_NAME, JOURNAL_NAME]
    (said,) = warnings(caplog)
    assert all(
        each in said for each in ("s3:DeleteObject", f"story/{JOURNAL_NAME}", s3.bucket, "does no harm")
    )
    assert publish(image_set(cdn), s3.folder(), published_by=me).fetched == 0
    with pytest.raises(StoreError) as raised:
        publish(image_set(cdn, "p2", ("PNG",)), s3.folder(), published_by=me)
    assert (raised.value.operation, raised.value.key) == ("delete", "story/manifest.json")
    assert {"01-picture.jpg", "02-picture.webp", MANIFEST_NAME} <= set(s3.names())


@pytest.mark.parametrize(
    "refusal",
    [
        ("405 Method Not Allowed", "MethodNotAllowed"),
        ("501 Not Implemented", "NotImplemented"),
        ("423 Locked", "Locked"),
    ],
    ids=lambda each: each[1],
)
def test_a_store_that_deletes_nothing_is_published_to(
    s3: S3, cdn: Cdn, caplog: pytest.LogCaptureFixture, refusal
) -> None:
    s3.rule = lambda request: refusal if request.method == "DELETE" else None
    assert publish(image_set(cdn), s3.folder()).fetched == 2
    assert "does no harm" in " ".join(warnings(caplog))
    assert publish(image_set(cdn), s3.folder()).fetched == 0


@pytest.mark.parametrize("before", [None, "p1", "p0"], ids=["empty folder", "the same set", "an earlier set"])
def test_nothing_is_deleted_that_is_not_there(s3: S3, cdn: Cdn, before: str | None) -> None:
    if before is not None:
        publish(image_set(cdn, before, ("PNG",) if before == "p0" else ("JPEG", "WEBP")), s3.folder())
    missing: list[str] = []

    def rule(request: Request) -> None:
        if request.method == "DELETE":
            s3.rule = lambda request: None
            if request.key.removeprefix("story/") not in s3.names():
                missing.append(request.key)
            s3.rule = rule

    s3.rule = rule
    publish(image_set(cdn), s3.folder(), on_existing="replace")
    assert missing == []
    assert s3.names() == ["01-picture.jpg", "02-picture.webp", MANIFEST_NAME]


def publish_to(path: ObjectStoragePath, cdn: Cdn) -> Published:
    return publish(image_set(cdn), path)


def check_before_paying(path: ObjectStoragePath, cdn: Cdn) -> None:
    refuse_others(path, None, prompt="foxes", images=1)


@pytest.mark.parametrize("step", [publish_to, check_before_paying])
@pytest.mark.parametrize("store", ["s3", "gcs"])
def test_a_missing_bucket_is_named_before_and_after_paying(
    request: pytest.FixtureRequest, cdn: Cdn, store: str, step: Callable[[ObjectStoragePath, Cdn], Any]
) -> None:
    server = request.getfixturevalue(store)
    if store == "s3":
        path = server.folder("no-such-bucket")
    else:
        path = ObjectStoragePath("gs://no-such-bucket/story", conn_id=server)
    with pytest.raises(StoreError, match="has no bucket no-such-bucket") as raised:
        step(path, cdn)
    assert raised.value.fault is StoreFault.NO_BUCKET


@pytest.mark.parametrize("step", [publish_to, check_before_paying])
@pytest.mark.parametrize(
    ("status", "code"),
    [("301 Moved Permanently", "PermanentRedirect"), ("400 Bad Request", "AuthorizationHeaderMalformed")],
)
def test_a_bucket_of_another_region_is_named_with_the_way_out(
    s3: S3, cdn: Cdn, status: str, code: str, step: Callable[[ObjectStoragePath, Cdn], Any]
) -> None:
    # The client asks once more, by HEAD, for the region of the bucket.
    s3.rule = lambda request: None if request.method == "HEAD" else (status, code)
    with pytest.raises(
        StoreError, match=rf"has bucket {s3.bucket} in another region.*Set region_name"
    ) as raised:
        step(s3.folder(), cdn)
    assert raised.value.fault is StoreFault.ELSEWHERE
    assert not raised.value.transient


def drawing(path: str) -> SeedreamSequentialOperator:
    return SeedreamSequentialOperator(task_id="gen", prompt="a fox", output_path=path)


def test_nothing_is_paid_where_the_bucket_is_missing_or_may_not_be_listed(
    s3: S3, seedream_emulator: Emulator, hurried: None
) -> None:
    with pytest.raises(AirflowFailException, match="has no bucket no-such-bucket"):
        run(drawing(f"s3://{s3.conn_id}@no-such-bucket/story"), Tries())
    s3.rule = lambda request: ("403 Forbidden", "AccessDenied") if "list-type" in request.query else None
    with pytest.raises(AirflowFailException, match="s3:ListBucket"):
        run(drawing(f"s3://{s3.conn_id}@{s3.bucket}/story"), Tries())
    assert seedream_emulator.paid_tasks == 0


def test_a_paid_set_that_may_not_be_written_says_how_it_is_had_without_paying(
    s3: S3, seedream_emulator: Emulator, hurried: None
) -> None:
    s3.rule = lambda request: ("403 Forbidden", "AccessDenied") if request.method == "PUT" else None
    with pytest.raises(AirflowFailException, match=r"s3:PutObject.*is paid.*This pays nothing"):
        run(drawing(f"s3://{s3.conn_id}@{s3.bucket}/story"), Tries())
    assert seedream_emulator.paid_tasks == 1


def test_a_cached_listing_is_not_believed(s3: S3, cdn: Cdn) -> None:
    target = s3.folder()
    first = publish(image_set(cdn), target)
    folder, there = Folder(target), f"{s3.bucket}/story"
    assert len(s3.fs.ls(there, detail=True)) == 3  # now the file system remembers sizes and entity tags
    s3.client.put_object(Bucket=s3.bucket, Key="story/02-picture.webp", Body=b"another, longer or shorter")
    assert folder.digest("02-picture.webp") is not None  # FileExpired before
    s3.fs.ls(there, detail=True)
    s3.client.delete_object(Bucket=s3.bucket, Key="story/01-picture.jpg")
    assert folder.is_gone("01-picture.jpg")
    s3.fs.ls(there, detail=True)
    s3.client.put_object(Bucket=s3.bucket, Key="story/01-picture.jpg", Body=b"somebody's")
    with folder.staging() as stage:
        staged = stage("01-picture.jpg")
        staged.write_bytes(b"ours")
        assert not folder.commit(staged, "01-picture.jpg", replace=False)
    s3.fs.ls(there, detail=True)
    s3.client.delete_object(Bucket=s3.bucket, Key="story/01-picture.jpg")
    s3.client.put_object(Bucket=s3.bucket, Key="story/02-picture.webp", Body=b"another again")
    again = publish(image_set(cdn), target)
    assert again.fetched == 2
    assert again.manifest == first.manifest


@pytest.mark.parametrize(
    "path",
    [
        "file://tmp/fox/run", "file://localhost/tmp/fox", "FILE://tmp/x", "local://tmp/x", "file://store@tmp/x",
        "file://./x", "file://~/x", "file://", "file:////tmp/x", "file:tmp/x",
    ],
)  # fmt: skip
def test_a_file_url_that_is_no_absolute_path_is_refused_with_the_way_out(path: str) -> None:
    for field, take in (("path", object_store_folder), ("images", object_store_path)):
        with pytest.raises(InvalidInputError) as raised:
            take(field, path)
        assert field in str(raised.value)
        assert "absolute" in str(raised.value)
        assert "s3://" not in str(raised.value)


@pytest.mark.parametrize("path", ["file:///{}", "file://store@/{}", "local:///{}", "/{}"])
def test_a_file_url_with_three_slashes_is_a_folder_of_this_machine(path: str, tmp_path: Path) -> None:
    written = path.format(str(tmp_path).lstrip("/"))
    assert Folder(object_store_folder("path", written)).local == tmp_path
