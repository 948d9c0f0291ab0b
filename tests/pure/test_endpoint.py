"""What a connection may say about where the key goes."""

from __future__ import annotations

import pytest

from airflow_provider_seedream.wavespeed import InvalidInputError
from airflow_provider_seedream.wavespeed.endpoint import DEFAULT_ORIGIN, Endpoint


def test_nothing_but_a_key_leads_to_the_vendor():
    endpoint = Endpoint.build(host=None, api_key="k")
    assert (endpoint.origin, endpoint.connect_timeout, endpoint.read_timeout) == (DEFAULT_ORIGIN, 10.0, 60.0)


def test_blanks_around_a_key_are_removed():
    assert Endpoint.build(host=None, api_key=" \tk3y\n").api_key == "k3y"


@pytest.mark.parametrize("key", [None, "", "   "])
def test_a_connection_without_a_key_is_refused(key):
    with pytest.raises(InvalidInputError, match=r"password=.*no API key"):
        Endpoint.build(host=None, api_key=key)


@pytest.mark.parametrize("key", ["two words", "new\nline", "clé"])
def test_a_key_that_no_header_can_carry_is_refused_without_showing_it(key):
    with pytest.raises(InvalidInputError) as refused:
        Endpoint.build(host=None, api_key=key)
    assert key not in str(refused.value)


@pytest.mark.parametrize(
    ("host", "port", "origin"),
    [
        ("https://api.wavespeed.ai/", None, "https://api.wavespeed.ai"),
        ("https://proxy.example:8443", None, "https://proxy.example:8443"),
        ("https://proxy.example", 8443, "https://proxy.example:8443"),
        ("http://127.0.0.1:18080", None, "http://127.0.0.1:18080"),
        ("http://localhost", 0, "http://localhost"),
        ("http://[::1]:9", None, "http://[::1]:9"),
    ],
)
def test_an_origin_is_scheme_host_and_port(host, port, origin):
    assert Endpoint.build(host=host, port=port, api_key="k").origin == origin


@pytest.mark.parametrize(
    "host",
    [
        "api.wavespeed.ai",
        "ftp://api.wavespeed.ai",
        "https://",
        "https://api.wavespeed.ai/api/v3",
        "https://api.wavespeed.ai?x=1",
        "https://me:secret@api.wavespeed.ai",
        "https://api.wavespeed.ai:port",
    ],
)
def test_anything_but_an_origin_is_refused_with_the_way_out(host):
    with pytest.raises(InvalidInputError, match=r"host=.*Write scheme, host and port") as refused:
        Endpoint.build(host=host, api_key="k")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "host", ["http://api.wavespeed.ai", "http://127.0.0.1.evil.example", "http://10.0.0.1"]
)
def test_clear_text_to_another_machine_is_refused_unless_allowed(host):
    with pytest.raises(InvalidInputError, match="in clear"):
        Endpoint.build(host=host, api_key="k")
    assert Endpoint.build(host=host, api_key="k", allow_insecure_http=True).origin == host


@pytest.mark.parametrize("value", [0, -1, 601, "soon", True, float("nan")])
def test_a_timeout_that_makes_no_sense_is_refused(value):
    with pytest.raises(InvalidInputError, match="read_timeout"):
        Endpoint.build(host=None, api_key="k", read_timeout=value)


def test_the_key_is_in_no_repr_and_is_taken_out_of_texts():
    endpoint = Endpoint.build(host=None, api_key="canary-key")
    assert "canary-key" not in repr(endpoint)
    assert endpoint.redact("no such key canary-key!") == "no such key ***!"


@pytest.mark.parametrize("form", ['can"ary/key\\!', 'can\\"ary/key\\\\!', 'can\\"ary\\/key\\\\!'])
def test_a_key_that_is_repeated_in_json_is_hidden_as_well(form):
    endpoint = Endpoint("https://api.wavespeed.ai", 'can"ary/key\\!')
    assert endpoint.redact(f'{{"message": "no such key {form}"}}') == '{"message": "no such key ***"}'


@pytest.mark.parametrize(
    "host",
    [
        "canary-key",
        "user:canary-key@api.wavespeed.ai",
        "https://:canary-key@host:999999",
        "ftp://u:canary-key@h",
    ],
)
def test_a_key_that_was_pasted_into_the_host_is_not_shown(host):
    with pytest.raises(InvalidInputError) as refusal:
        Endpoint.build(host=host, api_key="k")
    assert "canary-key" not in str(refusal.value)


@pytest.mark.parametrize(
    ("host", "port"),
    [
        ("https://h:0", None),
        ("https://h", 70000),
        ("https://h", -1),
        ("https://a..b", None),
        ("https://" + "a" * 64, None),
        ("https://api.example.test\x00", None),
        ("https://api example.test", None),
        ("https://*.example.test", None),
    ],
)
def test_a_host_that_cannot_be_asked_is_refused_before_anything_is_sent(host, port):
    with pytest.raises(InvalidInputError, match=r"(?:host|port)="):
        Endpoint.build(host=host, port=port, api_key="k")


def test_a_person_who_waits_is_answered_within_ten_seconds():
    assert Endpoint.build(host=None, api_key="k").hurried().total_timeout < 10
