"""Downloads over real sockets: what is fetched is what was paid for, and nothing of ours leaks on the way."""

from __future__ import annotations

import gzip
import hashlib
import socket
import threading
import time
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_seedream.publishing.addresses import Zone, Zones
from airflow_provider_seedream.publishing.download import DownloadLimits, download
from airflow_provider_seedream.publishing.errors import ImageError, ImageFault
from airflow_provider_seedream.publishing.image_check import Expectation, Media, VerifiedImage
from airflow_provider_seedream.publishing.names import MediaType
from tests.cdn import Cdn, body, far_cdn, in_turn, picture, redirect

JPEG = picture()
EXPECTED = Expectation((64, 48))
ONE_TRY = DownloadLimits(attempts=1)


@pytest.fixture
def cdn() -> Iterator[Cdn]:
    with Cdn() as server:
        yield server


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits between tries shrink to a hundredth."""
    from tenacity import nap

    sleep = nap.sleep_using_event.__call__
    monkeypatch.setattr(nap.sleep_using_event, "__call__", lambda self, seconds: sleep(self, seconds / 100))


def fetch(
    url: str, folder: Path, expected: Expectation = EXPECTED, limits: DownloadLimits = ONE_TRY, **options: Any
) -> VerifiedImage:
    return download(url, folder / "picture", expected, limits=limits, **options)


def refused(
    url: str, folder: Path, expected: Expectation = EXPECTED, limits: DownloadLimits = ONE_TRY
) -> ImageError:
    with pytest.raises(ImageError) as caught:
        fetch(url, folder, expected, limits)
    return caught.value


@pytest.mark.parametrize(
    ("kind", "media_type"), [("JPEG", MediaType.JPEG), ("PNG", MediaType.PNG), ("WEBP", MediaType.WEBP)]
)
def test_a_picture_arrives_whole_with_its_digest(
    cdn: Cdn, tmp_path: Path, kind: str, media_type: MediaType
) -> None:
    data = picture(kind)
    cdn.paths["/a"] = body(data)
    got = fetch(f"{cdn.url}/a", tmp_path)
    assert got == VerifiedImage(Media(media_type, 64, 48), hashlib.sha256(data).hexdigest(), len(data))
    assert (tmp_path / "picture").read_bytes() == data


def test_no_credential_is_ever_sent(cdn: Cdn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password canary-netrc\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WAVESPEED_API_KEY", "canary-key")
    cdn.paths["/a"] = body(b"", 302, Location="/b", Set_Cookie="session=canary-cookie")
    cdn.paths["/b"] = body(JPEG)
    fetch(f"{cdn.url}/a", tmp_path)
    assert [path for path, _ in cdn.requests] == ["/a", "/b"]
    for _, headers in cdn.requests:
        assert sorted(headers) == ["Accept", "Accept-Encoding", "Host", "User-Agent"]
        assert "canary" not in str(headers)


def test_a_page_with_status_200_is_refused_before_the_rest_is_read(cdn: Cdn, tmp_path: Path) -> None:
    cdn.paths["/a"] = body(b"<!doctype html><title>Sign in</title>", Content_Type="text/html")
    error = refused(f"{cdn.url}/a", tmp_path)
    assert error.fault is ImageFault.NOT_AN_IMAGE
    assert not error.transient
    assert "text/html" in str(error)


def test_an_empty_answer_is_a_transfer_that_broke_off(cdn: Cdn, tmp_path: Path) -> None:
    cdn.paths["/a"] = body(b"")
    assert refused(f"{cdn.url}/a", tmp_path).fault is ImageFault.TRUNCATED


@pytest.mark.parametrize(
    "head",
    [
        b"\0\0\0\x1cftypavif",
        b"\0\0\0\x18ftypheic",
        b"\0\0\0\x18ftypheim",
        b"GIF89a",
        b"MM\0*",
        b"\0\0\0\x0cJXL \r\n\x87\n",
        b"\xff\x0a\xfa",
        b"\0\0\0\x0cjP  \r\n\x87\n",
        b"\xff\x4f\xff\x51",
    ],
)
def test_an_image_of_another_format_is_called_one(cdn: Cdn, tmp_path: Path, head: bytes) -> None:
    cdn.paths["/a"] = body(head + b"\0" * 100)
    error = refused(f"{cdn.url}/a", tmp_path)
    assert error.fault is ImageFault.NOT_AN_IMAGE
    assert "It is an image of a format that this package does not publish" in str(error)
    assert "proxy" not in str(error)


@pytest.mark.parametrize(
    "encoding",
    ["", "identity", "Identity", "none", "aws-chunked", "aws-chunked, identity", "utf-8", "binary", "null"],
)
def test_an_encoding_that_changes_nothing_is_no_obstacle(cdn: Cdn, tmp_path: Path, encoding: str) -> None:
    cdn.paths["/a"] = body(JPEG, Content_Encoding=encoding)
    assert fetch(f"{cdn.url}/a", tmp_path).sha256 == hashlib.sha256(JPEG).hexdigest()


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", gzip.compress(JPEG)),
        ("GZIP", gzip.compress(JPEG)),
        ("x-gzip", gzip.compress(JPEG)),
        ("deflate", zlib.compress(JPEG)),
        ("aws-chunked,gzip", gzip.compress(JPEG)),
        ("deflate, gzip", gzip.compress(zlib.compress(JPEG))),
    ],
)
def test_a_packed_image_is_unpacked(cdn: Cdn, tmp_path: Path, encoding: str, packed: bytes) -> None:
    cdn.paths["/a"] = body(packed, Content_Encoding=encoding)
    got = fetch(f"{cdn.url}/a", tmp_path)
    assert (got.sha256, got.bytes) == (hashlib.sha256(JPEG).hexdigest(), len(JPEG))
    assert (tmp_path / "picture").read_bytes() == JPEG


def test_what_unpacks_to_more_than_an_image_may_have_is_dropped(cdn: Cdn, tmp_path: Path) -> None:
    cdn.paths["/a"] = body(gzip.compress(JPEG + bytes(4_000_000)), Content_Encoding="gzip")
    error = refused(f"{cdn.url}/a", tmp_path, limits=DownloadLimits(attempts=1, max_bytes=1_000_000))
    assert error.fault is ImageFault.TOO_LARGE
    assert (tmp_path / "picture").stat().st_size <= 1_000_000


@pytest.mark.parametrize(
    ("encoding", "fault"), [("gzip", ImageFault.TRUNCATED), ("compress", ImageFault.NOT_AN_IMAGE)]
)
def test_a_body_that_is_not_packed_as_it_says_or_cannot_be_unpacked_is_refused(
    cdn: Cdn, tmp_path: Path, encoding: str, fault: ImageFault
) -> None:
    cdn.paths["/a"] = body(b"packed?" + JPEG, Content_Encoding=encoding)
    error = refused(f"{cdn.url}/a", tmp_path)
    assert error.fault is fault
    assert "encod" in str(error).lower()


@pytest.mark.parametrize("encoding", ["br", "gzip", "zstd", "compress", "gzip, br"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_an_image_that_something_unpacked_and_left_its_label_is_taken_as_it_is(
    cdn: Cdn, tmp_path: Path, kind: str, encoding: str
) -> None:
    cdn.paths["/a"] = body(picture(kind), Content_Encoding=encoding)
    assert fetch(f"{cdn.url}/a", tmp_path).sha256 == hashlib.sha256(picture(kind)).hexdigest()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_picture_that_ends_early_is_refused(cdn: Cdn, tmp_path: Path, kind: str) -> None:
    cdn.paths["/a"] = body(picture(kind)[:-20])
    error = refused(f"{cdn.url}/a", tmp_path)
    assert error.fault is ImageFault.TRUNCATED
    assert error.transient


def test_a_connection_that_breaks_off_is_told_from_a_short_file(cdn: Cdn, tmp_path: Path) -> None:
    def cut(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(JPEG)))
        handler.end_headers()
        handler.wfile.write(JPEG[:500])
        handler.wfile.flush()
        handler.connection.shutdown(socket.SHUT_RDWR)

    cdn.paths["/a"] = cut
    error = refused(f"{cdn.url}/a", tmp_path)
    assert error.fault is ImageFault.TRUNCATED
    assert "broke off" in str(error)


def test_the_wrong_pixel_size_is_refused_and_both_are_named(cdn: Cdn, tmp_path: Path) -> None:
    cdn.paths["/a"] = body(JPEG)
    error = refused(f"{cdn.url}/a", tmp_path, Expectation((65, 48)))
    assert error.fault is ImageFault.WRONG_SIZE
    assert "65x48" in str(error)
    assert "64x48" in str(error)


def test_the_wrong_format_is_refused_whatever_name_and_header_say(cdn: Cdn, tmp_path: Path) -> None:
    cdn.paths["/a.png"] = body(JPEG, Content_Type="image/png")
    error = refused(f"{cdn.url}/a.png", tmp_path, Expectation((64, 48), MediaType.PNG))
    assert error.fault is ImageFault.WRONG_FORMAT
    assert "image/jpeg" in str(error)


def test_an_endless_body_is_cut_at_the_limit(cdn: Cdn, tmp_path: Path) -> None:
    sent = 0

    def endless(handler: BaseHTTPRequestHandler) -> None:
        nonlocal sent
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write(JPEG[:100])
        while True:
            handler.wfile.write(bytes(65536))
            sent += 65536

    cdn.paths["/a"] = endless
    error = refused(f"{cdn.url}/a", tmp_path, limits=DownloadLimits(max_bytes=2**20, attempts=3))
    assert error.fault is ImageFault.TOO_LARGE
    assert (tmp_path / "picture").stat().st_size <= 2**20
    assert cdn.asked("/a") == 1


def test_a_body_that_drips_does_not_outlive_the_deadline(cdn: Cdn, tmp_path: Path) -> None:
    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(JPEG)))
        handler.end_headers()
        for start in range(len(JPEG)):
            handler.wfile.write(JPEG[start : start + 1])
            time.sleep(0.02)

    cdn.paths["/a"] = drip
    began = time.monotonic()
    error = refused(f"{cdn.url}/a", tmp_path, limits=DownloadLimits(total_timeout=0.5, attempts=3))
    assert error.fault is ImageFault.TIMED_OUT
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("status", [403, 404, 410])
def test_an_expired_link_says_so_without_showing_its_signature(cdn: Cdn, tmp_path: Path, status: int) -> None:
    cdn.paths["/set/a.jpg"] = body(b"no", status)
    error = refused(
        f"{cdn.url}/set/a.jpg?Signature=canary&Expires=1", tmp_path, limits=DownloadLimits(attempts=3)
    )
    assert error.fault is ImageFault.EXPIRED
    assert "seven days" in str(error)
    assert "127.0.0.1/set/a.jpg" in str(error)
    assert "canary" not in str(error)
    assert cdn.asked("/set/a.jpg") == 1


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_fresh_image_that_the_cdn_does_not_show_yet_is_waited_for(
    cdn: Cdn, tmp_path: Path, status: int
) -> None:
    cdn.paths["/a"] = in_turn(*[body(b"", status)] * 7, body(JPEG))
    url, limits = f"{cdn.url}/a", DownloadLimits(attempts=3)
    with pytest.raises(ImageError) as caught:
        fetch(url, tmp_path, limits=limits, made_at=time.time() - 5)
    assert caught.value.fault is ImageFault.NOT_THERE_YET
    assert caught.value.transient
    assert "new set" not in str(caught.value)
    assert cdn.asked("/a") == 3
    fetch(url, tmp_path, limits=limits, made_at=time.time() - 5, patient=True)
    assert cdn.asked("/a") == 8


def test_a_link_that_should_still_live_is_not_called_expired(cdn: Cdn, tmp_path: Path) -> None:
    cdn.paths["/a"] = body(b"", 404)
    with pytest.raises(ImageError, match="48 hours old") as caught:
        fetch(f"{cdn.url}/a", tmp_path, made_at=time.time() - 48 * 3600)
    assert caught.value.fault is ImageFault.EXPIRED
    assert "new set" not in str(caught.value)


def test_an_unreachable_host_shows_no_signature_in_the_whole_traceback(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    with pytest.raises(ImageError) as caught:
        fetch(f"http://127.0.0.1:{port}/a?Signature=canary", tmp_path)
    assert caught.value.fault is ImageFault.UNREACHABLE
    assert "canary" not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
def test_what_may_pass_is_tried_again(cdn: Cdn, tmp_path: Path, status: int) -> None:
    cdn.paths["/a"] = in_turn(body(b"", status, Retry_After="0"), body(JPEG[:-30]), body(JPEG))
    assert fetch(f"{cdn.url}/a", tmp_path, limits=DownloadLimits()).bytes == len(JPEG)
    assert cdn.asked("/a") == 3


def test_tries_are_bounded(cdn: Cdn, tmp_path: Path) -> None:
    cdn.paths["/a"] = body(b"", 503)
    error = refused(f"{cdn.url}/a", tmp_path, limits=DownloadLimits(attempts=4))
    assert error.fault is ImageFault.SERVER_ERROR
    assert error.transient
    assert cdn.asked("/a") == 4


def test_a_wait_longer_than_the_time_left_is_declined(cdn: Cdn, tmp_path: Path) -> None:
    cdn.paths["/a"] = body(b"", 429, Retry_After="3600")
    error = refused(f"{cdn.url}/a", tmp_path, limits=DownloadLimits(attempts=4))
    assert error.fault is ImageFault.THROTTLED
    assert error.retry_after == 3600
    assert cdn.asked("/a") == 1


def test_another_thread_can_stop_a_download(cdn: Cdn, tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(ImageError) as caught:
        fetch(f"{cdn.url}/a", tmp_path, stop=stop)
    assert caught.value.fault is ImageFault.STOPPED
    assert cdn.requests == []


def test_three_redirects_are_followed_and_a_fourth_is_not(cdn: Cdn, tmp_path: Path) -> None:
    for hop in range(4):
        cdn.paths[f"/{hop}"] = redirect(f"/{hop + 1}", (301, 302, 307, 308)[hop])
    cdn.paths["/4"] = body(JPEG)
    assert fetch(f"{cdn.url}/1", tmp_path).bytes == len(JPEG)
    assert refused(f"{cdn.url}/0", tmp_path).fault is ImageFault.TOO_MANY_REDIRECTS


@pytest.mark.parametrize(
    "url",
    [
        "http://cdn.wavespeed.ai/a.jpg",
        "http://localhost.attacker.example/a.jpg",
        "ftp://127.0.0.1/a.jpg",
        "file:///etc/passwd",
        "https://user:pass@cdn.wavespeed.ai/a.jpg",
        "https:///a.jpg",
        "https://[::1/a.jpg",
        "a.jpg",
        "",
    ],
)
def test_links_that_are_not_https_are_refused_unvisited(url: str, tmp_path: Path) -> None:
    assert refused(url, tmp_path).fault is ImageFault.UNSAFE_ADDRESS


@pytest.mark.parametrize("location", ["http://10.0.0.1/a", "http://cdn.wavespeed.ai/a", "file:///etc/passwd"])
def test_a_redirect_must_keep_the_rules_of_links(cdn: Cdn, tmp_path: Path, location: str) -> None:
    cdn.paths["/a"] = redirect(location)
    assert refused(f"{cdn.url}/a", tmp_path).fault is ImageFault.UNSAFE_ADDRESS


@pytest.fixture
def far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cdn]:
    with far_cdn(tmp_path, monkeypatch) as server:
        yield server


def test_https_is_verified_with_the_bundle_of_the_environment(
    far: Cdn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    far.paths["/a"] = body(JPEG)
    assert fetch(f"{far.url}/a", tmp_path).bytes == len(JPEG)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    error = refused(f"{far.url}/a", tmp_path)
    assert "SSLError" in str(error)


@pytest.mark.parametrize(
    "location",
    [
        "https://169.254.169.254/latest/meta-data",
        "https://10.1.2.3/a",
        "https://192.168.0.1/a",
        "https://127.0.0.1/a",
        "https://localhost/a",
        "https://[::1]/a",
        "https://[fe80::1]/a",
        "https://[::ffff:10.0.0.1]/a",
        "https://[64:ff9b::a00:1]/a",
        "https://[2002:a00:1::]/a",
        "https://0.0.0.0/a",
        "https://100.64.0.1/a",
        "http://cdn.test/a",
    ],
)
def test_a_redirect_into_a_private_network_is_refused_unvisited(
    far: Cdn, tmp_path: Path, location: str
) -> None:
    far.paths["/a"] = redirect(location)
    error = refused(f"{far.url}/a", tmp_path)
    assert error.fault is ImageFault.UNSAFE_ADDRESS
    assert len(far.requests) == 1


def test_a_redirect_to_a_name_that_resolves_to_a_private_address_is_refused_before_a_byte_is_sent(
    far: Cdn, tmp_path: Path
) -> None:
    far.paths["/a"] = redirect(f"https://elsewhere.test:{far.port}/b?Signature=canary")
    far.paths["/b"] = body(JPEG)
    error = refused(f"{far.url}/a", tmp_path)
    assert error.fault is ImageFault.UNSAFE_ADDRESS
    assert "127.0.0.1" in str(error)
    assert "canary" not in str(error)
    assert [path for path, _ in far.requests] == ["/a"]


def test_a_proxy_of_the_environment_is_used_but_not_for_this_machine(
    cdn: Cdn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Cdn() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        cdn.paths["/a"] = body(JPEG)
        fetch(f"{cdn.url}/a", tmp_path)
        error = refused("https://cdn.example/a", tmp_path)
    assert "ProxyError" in str(error)  # the test's proxy does not know CONNECT, which it was asked for
    assert cdn.asked("/a") == 1


def home(*zones: Zone) -> Zones:
    """A connection whose host lies in these zones."""
    return lambda: frozenset(zones)


PRIVATE_HOSTS = [
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f.0.0.1",
    "0177.0.0.1",
    "localhost",
    "localhost.",
    "LOCALHOST",
    "cdn.localhost",
    "[::1]",
    "[::]",
    "0.0.0.0",
    "[::ffff:127.0.0.1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.0.1",
    "[fd00::1]",
    "[fec0::1]",
    "[::ffff:10.0.0.1]",
    "169.254.169.254",
    "169.254.169.254.",
    "2852039166",
    "[fe80::1]",
    "[fe80::1%25eth0]",
    "[fd00:ec2::254]",
    "100.64.0.1",
    "198.18.0.1",
    "192.0.2.1",
    "224.0.0.1",
    "255.255.255.255",
    "240.0.0.1",
]


@pytest.mark.parametrize("host", PRIVATE_HOSTS)
@pytest.mark.parametrize("proxy", [False, True])
def test_without_a_connection_there_no_link_leads_to_an_address_that_is_not_public(
    cdn: Cdn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, proxy: bool
) -> None:
    cdn.paths["/a"] = body(JPEG)
    if proxy:
        monkeypatch.setenv("HTTPS_PROXY", cdn.url)
    with pytest.raises(ImageError) as caught:
        fetch(f"https://{host}:{cdn.port}/a?Signature=canary", tmp_path, zones=home())
    assert caught.value.fault is ImageFault.UNSAFE_ADDRESS
    assert "canary" not in str(caught.value)
    assert cdn.requests == []


@pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]", "0.0.0.0", "224.0.0.1"])
def test_addresses_where_clouds_keep_credentials_are_refused_whatever_the_connection_is(
    tmp_path: Path, host: str
) -> None:
    with pytest.raises(ImageError) as caught:
        fetch(f"https://{host}/a", tmp_path, zones=home(*Zone))
    assert caught.value.fault is ImageFault.UNSAFE_ADDRESS


@pytest.mark.parametrize("zones", [(), (Zone.PRIVATE,), (Zone.SHARED,)])
def test_plain_http_to_this_machine_is_refused_unless_the_connection_is_there(
    cdn: Cdn, tmp_path: Path, zones: tuple[Zone, ...]
) -> None:
    cdn.paths["/a"] = body(JPEG)
    with pytest.raises(ImageError) as caught:
        fetch(f"{cdn.url}/a", tmp_path, zones=home(*zones))
    assert caught.value.fault is ImageFault.UNSAFE_ADDRESS
    assert cdn.requests == []
    assert fetch(f"{cdn.url}/a", tmp_path, zones=home(Zone.LOOPBACK)).bytes == len(JPEG)


def test_a_name_of_the_first_hop_that_resolves_to_a_private_address_is_refused_before_anything_is_sent(
    far: Cdn, tmp_path: Path
) -> None:
    far.paths["/a"] = body(JPEG)
    with pytest.raises(ImageError, match=r"one to 127\.0\.0\.1") as caught:
        fetch(f"{far.url}/a", tmp_path, zones=home())
    assert caught.value.fault is ImageFault.UNSAFE_ADDRESS
    assert far.requests == []
    assert fetch(f"{far.url}/a", tmp_path, zones=home(Zone.LOOPBACK)).bytes == len(JPEG)


def test_a_name_is_resolved_once_and_the_connection_is_made_to_what_was_looked_at(
    far: Cdn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    far.paths["/a"] = body(JPEG)
    resolve, asked = socket.getaddrinfo, []

    def rebinding(host: str, *args: Any, **kwargs: Any) -> Any:
        asked.append(host)
        named = [each for each in asked if each == "cdn.test"]
        return resolve("127.0.0.1" if host == "cdn.test" and len(named) > 1 else "192.0.2.1", *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    with pytest.raises(ImageError, match=r"192\.0\.2\.1"):
        fetch(f"{far.url}/a", tmp_path, zones=home(Zone.LOOPBACK))
    assert far.requests == []


def test_of_several_addresses_of_a_name_the_next_is_taken_where_one_does_not_answer(
    far: Cdn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    far.paths["/a"] = body(JPEG)
    resolve = socket.getaddrinfo

    def both(host: str, *args: Any, **kwargs: Any) -> Any:
        if host != "cdn.test":
            return resolve(host, *args, **kwargs)
        return [*resolve("127.0.0.9", *args, **kwargs), *resolve("127.0.0.1", *args, **kwargs)]

    monkeypatch.setattr(socket, "getaddrinfo", both)
    assert fetch(f"{far.url}/a", tmp_path, zones=home(Zone.LOOPBACK)).bytes == len(JPEG)


def test_a_redirect_within_a_private_host_is_followed_where_the_connection_is_there(
    far: Cdn, tmp_path: Path
) -> None:
    far.paths["/a"] = redirect("/b")
    far.paths["/b"] = body(JPEG)
    assert fetch(f"{far.url}/a", tmp_path, zones=home(Zone.LOOPBACK)).bytes == len(JPEG)


@pytest.mark.parametrize(
    "link",
    [
        "https://cdn.example\\@127.0.0.1/a",
        "https://cdn.example\t/a",
        "https://１２７.0.0.1/a",
        "https://cdn.example/\x1b[2J",
    ],
)
def test_links_that_programs_read_in_different_ways_are_refused(tmp_path: Path, link: str) -> None:
    error = refused(link, tmp_path)
    assert error.fault is ImageFault.UNSAFE_ADDRESS
    assert str(error).isprintable()


SECRETS = [
    (b"canary-credentials: AKIA", "text/plain"),
    (b'{"canary": 1}', "application/json"),
    (b"<html>canary</html>", "text/html; canary"),
    (b"\x00\x01canary", "canary/x"),
    (b"", "canary"),
    (b"\x89PNG\r\n\x1a\ncanary-behind-a-signature", "image/png"),
    (b"\xff\xd8\xffcanary-behind-a-signature", "image/jpeg"),
    (b"RIFF\x20\x00\x00\x00WEBPcanary-behind-a-signature", "image/webp"),
]


@pytest.mark.parametrize(("data", "kind"), SECRETS)
def test_nothing_of_a_foreign_answer_is_shown(cdn: Cdn, tmp_path: Path, data: bytes, kind: str) -> None:
    cdn.paths["/a"] = body(data, Content_Type=kind, X_Canary="canary")
    error = refused(f"{cdn.url}/a", tmp_path)
    shown = f"{error!s} {error.got} {error.__cause__!s}"
    assert "canary" not in shown
    assert "AKIA" not in shown


@pytest.mark.parametrize("name", ["Content_Encoding", "Location", "Retry_After"])
def test_no_header_of_a_foreign_answer_is_shown(cdn: Cdn, tmp_path: Path, name: str) -> None:
    cdn.paths["/a"] = body(b"", 302 if name == "Location" else 200, **{name: "canary:canary"})
    assert "canary" not in str(refused(f"{cdn.url}/a", tmp_path))


def test_a_redirect_to_what_is_no_link_is_refused_with_an_error_of_ours(cdn: Cdn, tmp_path: Path) -> None:
    cdn.paths["/a"] = body(b"", 302, Location="http://[::1")
    assert refused(f"{cdn.url}/a", tmp_path).fault is ImageFault.REFUSED
