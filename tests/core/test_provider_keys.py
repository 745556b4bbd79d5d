"""Keys and the addresses they may go to: recipes come from anybody, and every client library reads a URL its own way."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ragweft.embedding.services import connect as connect_embedder
from ragweft.errors import RecipeError
from ragweft.providers.keys import Secret, find_key, host_of
from ragweft.recipe import Embedding, Rerank
from ragweft.reranking.services import connect as connect_reranker

OWN = "own-key-0123456789"
FOREIGN = "foreign-key-0123456789"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CO_API_KEY", "VOYAGE_API_KEY", "SOME_KEY"):
        monkeypatch.setenv(name, OWN)
    monkeypatch.setenv("RAGWEFT_API_KEY", FOREIGN)


def sent_to(base_url: str) -> str:
    return find_key("some", ("SOME_KEY",), base_url=base_url).reveal()


@pytest.mark.parametrize(
    "base_url",
    [
        "http://localhost:8080/v1",
        "http://LOCALHOST/v1",
        "https://127.0.0.1",
        "http://127.8.9.10:11434/",
        "http://[::1]:8080/v1",
    ],
)
def test_a_server_on_this_machine_gets_the_providers_key(base_url: str) -> None:
    assert sent_to(base_url) == OWN


@pytest.mark.parametrize(
    "base_url",
    [
        "http://127.evil.example.com/v1",
        "http://127.0.0.1.evil.example.com/v1",
        "http://localhost.evil.example.com",
        "http://localhost./v1",
        "http://evil-localhost",
        "http://127.1/v1",
        "http://0x7f.0.0.1/v1",
        "http://2130706433",
        "http://0.0.0.0:8000",
        "http://[2001:db8::1]/v1",
        "https://models.example.com/v1",
    ],
)
def test_any_other_gets_the_one_for_strangers(base_url: str) -> None:
    assert sent_to(base_url) == FOREIGN


NASTY = [
    "http://evil.example\\@127.0.0.1/v1",
    "http://127.0.0.1\\@evil.example/v1",
    "http://127.0.0.1\\.evil.example/v1",
    "http://user:password@127.0.0.1/v1",
    "http://127.0.0.1@evil.example/v1",
    "http://@evil.example/v1",
    "http://evil.example #@127.0.0.1/v1",
    "http://127.0.0.1#@evil.example/v1",
    "http://127.0.0.1?@evil.example/v1",
    "http://127.0.0.1\t.evil.example/v1",
    "http://127.0.0.1\n.evil.example/v1",
    "http://127.0.0.1\x00.evil.example/v1",
    " http://127.0.0.1/v1",
    "http://127.0.0.1%2eevil.example/v1",
    "http://127.0.0.1%00.evil.example/v1",
    "http://\uff4cocalhost/v1",
    "http://127.0.0.1\u3002evil.example/v1",
    "http://localhost\u2044@evil.example/v1",
    "http://[::1]evil.example/v1",
    "http://[::1",
    "http://[127.0.0.1]/v1",
    "http://[::1%25@evil.example]/v1",
    "http://127.0.0.1:80:80/v1",
    "http://127.0.0.1:/v1",
    "http://127.0.0.1:99999/v1",
    "http:///v1",
    "http:127.0.0.1/v1",
    "//127.0.0.1/v1",
    "127.0.0.1/v1",
    "localhost:8080",
    "ftp://127.0.0.1/v1",
    "file:///etc/passwd",
]


@pytest.mark.parametrize("base_url", NASTY)
def test_an_address_that_can_be_read_in_two_ways_is_refused(base_url: str) -> None:
    with pytest.raises(RecipeError, match="some: base_url") as raised:
        sent_to(base_url)
    said = str(raised.value)
    assert "\n" not in said
    assert "password" not in said, "what stands before an @ may be a secret"


@pytest.mark.parametrize("base_url", ["http://evil.example\\@127.0.0.1/v1", "http://a:b@models.example.com"])
def test_embedders_and_rerankers_refuse_it_alike(base_url: str) -> None:
    with pytest.raises(RecipeError, match="voyage: base_url"):
        connect_embedder("voyage", "voyage-4", Embedding(model="voyage:voyage-4", base_url=base_url))
    with pytest.raises(RecipeError, match="voyage: base_url"):
        connect_reranker("voyage", "rerank-2.5", Rerank(model="voyage:rerank-2.5", base_url=base_url))


NAMES = [
    "127.0.0.1",
    "127.1",
    "localhost",
    "LocalHost",
    "[::1]",
    "evil.example",
    "127.",
    "0x7f",
    "xn--a",
    "a_b",
]
MARKS = [
    "/",
    "//",
    "\\",
    "@",
    ":",
    ":80",
    "#",
    "?",
    "%",
    "[",
    "]",
    ".",
    "..",
    "&",
    "-",
    "v1",
    "%2e",
    "%40",
    "%00",
]
ODD = [" ", "\t", "\n", "\x00", "\x7f", "\u3002", "\uff0e", "\uff4c", "\u2044"]
PIECES = st.one_of(st.sampled_from(NAMES), st.sampled_from(MARKS), st.sampled_from(ODD))


@example(["127.0.0.1", ":80", "/", "@", "evil.example"])
@example(["[::1]", ":80", "/", "v1"])
@example(["a_b", ".", "evil.example", "/"])
@settings(max_examples=500)
@given(st.lists(PIECES, min_size=1, max_size=7))
def test_every_client_library_goes_to_the_host_we_judged(pieces: list[str]) -> None:
    pytest.importorskip("requests")
    pytest.importorskip("yarl")
    import requests
    import yarl

    base_url = "http://" + "".join(pieces)
    try:
        host = host_of(base_url, service="some")
    except RecipeError:
        return
    address = f"{base_url.rstrip('/')}/embeddings"
    readers: dict[str, Callable[[], str | None]] = {
        "urllib": lambda: urlsplit(address).hostname,
        "httpx": lambda: httpx.URL(address).raw_host.decode(),
        "requests": lambda: urlsplit(requests.Request("POST", address).prepare().url or "").hostname,
        "aiohttp": lambda: yarl.URL(address).raw_host,
    }
    for name, read in readers.items():
        try:
            other = read()
        except (ValueError, httpx.InvalidURL):
            continue  # it goes nowhere
        assert _bare(other) == host, name


def _bare(host: str | None) -> str:
    bare = (host or "").lower().strip("[]")
    return str(ipaddress.IPv6Address(bare)) if ":" in bare else bare


@pytest.mark.parametrize(
    "key",
    [
        "sk-with\nnewline12345",
        "sk-with\r\nx: y",
        "\u2026",
        "sk-\u2026abcdefgh",
        "ключ-0123456789",
        "\u200bsk-abcdefgh",
        "sk-with space 12345",
        "Bearer sk-0123456789",
        "sk-\x00-0123456789",
        "sk-\x7f-0123456789",
    ],
)
def test_a_key_with_odd_characters_is_refused_without_being_shown(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ways: list[tuple[str, Callable[[], Secret]]] = [("", lambda: find_key("some", ("OTHER",), given=key))]
    if "\x00" not in key:  # which no environment can hold
        monkeypatch.setenv("SOME_KEY", key)
        ways.append((" in SOME_KEY", lambda: find_key("some", ("OTHER", "SOME_KEY"))))
    for place, way in ways:
        with pytest.raises(RecipeError, match=f"some: the key{place} holds") as raised:
            way()
        said = str(raised.value)
        assert "\n" not in said
        assert not any(part in said for part in key.split() if len(part) > 1)


def test_blanks_around_a_key_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", f"  {OWN}\n")
    assert find_key("some", ("SOME_KEY",)).reveal() == OWN
