from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from made_files import epub
from ragweft.errors import LoadError
from ragweft.loading import UrlLoader, load_url
from ragweft.loading.web import _addresses, _is_public, _normal
from ragweft.places import place_of

PAGE = "<title>Schlüssel</title><nav>Menu</nav><h1>Größe</h1><p>text"

Answer = tuple[int, Mapping[str, str], bytes]


def html(text: str = PAGE, charset: str = "utf-8", **headers: str) -> Answer:
    return 200, {"Content-Type": f"text/html; charset={charset}", **headers}, text.encode(charset)


def plain(kind: str, data: bytes, status: int = 200) -> Answer:
    return status, {"Content-Type": kind}, data


def sent_on(where: str) -> Answer:
    return 302, {"Location": where}, b""


ANSWERS: dict[str, Callable[[], Answer]] = {
    "/page": html,
    "/latin?x=1": lambda: html(charset="iso-8859-1"),
    "/wrong": lambda: (200, {"Content-Type": "text/html; charset=ascii"}, PAGE.encode()),
    "/unsaid.md": lambda: plain("text/plain", b"# Title\n\ntext"),
    "/unsaid.py": lambda: plain("application/octet-stream", b'"""Doc."""\n'),
    "/data": lambda: plain("application/json", b'{"a": 1}'),
    "/book.epub": lambda: plain("application/epub+zip", epub("<h1>One</h1>", "<h1>Two</h1>")),
    "/picture": lambda: plain("image/png", b"\x89PNG"),
    "/nothing": lambda: (200, {}, b"\0\1"),
    "/binary": lambda: plain("text/html", b"\0\1\2"),
    "/gone": lambda: plain("text/html", b"no", 404),
    "/busy": lambda: plain("text/html", b"no", 503),
    "/moved": lambda: sent_on("/page#part"),
    "/loop": lambda: sent_on("/loop"),
    "/file": lambda: sent_on("file:///etc/passwd"),
    "/metadata": lambda: sent_on("http://169.254.169.254/latest/meta-data/"),
    "/nowhere": lambda: sent_on("http://[::broken"),
    "/packed": lambda: (
        200,
        {"Content-Type": "text/html", "Content-Encoding": "gzip"},
        gzip.compress(PAGE.encode()),
    ),
    "/bomb": lambda: (
        200,
        {"Content-Type": "text/html", "Content-Encoding": "gzip"},
        gzip.compress(bytes(50_000_000)),
    ),
    "/twice": lambda: (
        200,
        {"Content-Type": "text/html", "Content-Encoding": "gzip, gzip"},
        gzip.compress(gzip.compress(b"x")),
    ),
}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/drip":
            self.wfile.write(b"HTTP/1.0 200 OK\r\n")
            with suppress(OSError):
                for number in range(600):
                    self.wfile.write(b"X-%d: y\r\n" % number)
                    time.sleep(0.05)
            return
        status, headers, body = ANSWERS[self.path]()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the library calls it so)
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{made.server_port}"
    made.shutdown()
    made.server_close()
    thread.join()


@pytest.fixture(scope="module")
def loader() -> Iterator[UrlLoader]:
    made = UrlLoader(allow_private=True, seconds=10.0, max_bytes=5_000_000)
    yield made
    made.close()


@pytest.fixture(scope="module")
def strict() -> Iterator[UrlLoader]:
    made = UrlLoader()
    yield made
    made.close()


def test_a_page_is_its_main_text(server: str, loader: UrlLoader) -> None:
    document = loader.load(f"{server.upper()}/page#part")
    assert document.places is not None
    assert document.id == document.source == f"{server}/page"
    assert (document.text, document.title, document.format) == ("# Größe\n\ntext", "Schlüssel", "markdown")
    assert document.metadata == {"media_type": "text/html"}
    assert document.places == ()
    assert loader.load(f"{server}/page") == document


@pytest.mark.parametrize("path", ["/latin?x=1", "/wrong", "/packed"])
def test_what_servers_say_of_character_sets_holds_if_it_can(server: str, loader: UrlLoader, path: str) -> None:
    document = loader.load(server + path)
    assert document.id == server + path
    assert document.text == "# Größe\n\ntext"


@pytest.mark.parametrize(
    ("path", "written", "text"),
    [
        ("/unsaid.md", "markdown", "# Title\n\ntext"),
        ("/unsaid.py", "python", '"""Doc."""\n'),
        ("/data", "text", '{"a": 1}'),
    ],
)
def test_the_name_decides_where_servers_say_little(
    server: str, loader: UrlLoader, path: str, written: str, text: str
) -> None:
    document = loader.load(server + path)
    assert (document.format, document.text) == (written, text)


def test_files_are_converted(server: str, loader: UrlLoader) -> None:
    document = loader.load(f"{server}/book.epub")
    assert document.places is not None
    assert document.text == "# One\n\n# Two\n"
    assert place_of(document.places, 0, len(document.text)) == "sections 1-2"
    assert document.metadata["author"] == "A. Writer, B. Writer"


def test_sent_on_the_id_stays_what_was_asked_for(server: str, loader: UrlLoader) -> None:
    document = loader.load(f"{server}/moved")
    assert document.id == f"{server}/moved"
    assert document.metadata == {"media_type": "text/html", "url": f"{server}/page"}


@pytest.mark.parametrize(
    ("path", "reason", "passing"),
    [
        ("/gone", "127.0.0.1 answered 404 Not Found; open it in a browser", False),
        ("/busy", "127.0.0.1 answered 503 Service Unavailable; try again later", True),
        ("/loop", "sent on more than 10 times; name the last URL", False),
        ("/file", "only http and https URLs are fetched", False),
        ("/nowhere", "answers what no browser understands .Invalid URL in location header", False),
        ("/picture", "is image/png, which is not read; save it as a file", False),
        ("/nothing", "is of a type the server does not name, which is not read", False),
        ("/binary", "looks binary", False),
        ("/bomb", "larger than 5,000,000 bytes", False),
        ("/twice", "compresses its answer several times over", False),
    ],
)
def test_what_is_not_taken(server: str, loader: UrlLoader, path: str, reason: str, passing: bool) -> None:
    with pytest.raises(LoadError, match=reason) as caught:
        loader.load(server + path)
    assert str(caught.value).startswith(f"{server}{path}: ")
    assert str(caught.value).isprintable()
    assert isinstance(caught.value.__cause__, OSError) == passing


def test_a_server_that_drips_is_given_up(server: str) -> None:
    loader = UrlLoader(allow_private=True, seconds=1.0)
    with pytest.raises(LoadError, match="took longer than 1 seconds; try again later") as caught:
        loader.load(f"{server}/drip")
    assert isinstance(caught.value.__cause__, TimeoutError)
    loader.close()


def test_nobody_listens(loader: UrlLoader) -> None:
    with pytest.raises(LoadError, match=r"127\.0\.0\.1 cannot be reached") as caught:
        loader.load("http://127.0.0.1:1/")
    assert isinstance(caught.value.__cause__, OSError)


@pytest.mark.parametrize(
    "url",
    [
        "{server}/page",
        "http://localhost:1/",
        "http://[::1]/",
        "http://0.0.0.0/",
        "http://[::ffff:127.0.0.1]/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1/",
        "http://[64:ff9b::7f00:1]/",
        "http://[fd00::1]/",
    ],
)
def test_private_addresses_are_refused_unless_they_are_allowed(
    server: str, strict: UrlLoader, url: str
) -> None:
    with pytest.raises(LoadError, match=r"an address of this machine or a private network|is not known"):
        strict.load(url.format(server=server))


def test_a_redirect_into_a_private_network_is_refused_too(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the first hop is taken for public here."""
    from ragweft.loading import web

    real = web._addresses
    monkeypatch.setattr(
        web,
        "_addresses",
        lambda url, *, allow_private, proxied: real(
            url, allow_private=str(url).startswith(server), proxied=proxied
        ),
    )
    header = {
        "url": f"{server}/metadata",
        "max_bytes": 99,
        "fetch_seconds": 5.0,
        "allow_private": False,
        "proxies": {},
    }
    with pytest.raises(LoadError, match=r"169\.254\.169\.254, an address of this machine"):
        web.fetch(header, b"")


def test_where_clouds_keep_keys_nothing_is_read_even_of_a_private_network(
    server: str, loader: UrlLoader
) -> None:
    """The loader may read private addresses; a page of that network sends it on."""
    wanted = r"/metadata: 169\.254\.169\.254, an address of .* is never read"
    with pytest.raises(LoadError, match=wanted):
        loader.load(f"{server}/metadata")


@pytest.mark.parametrize(
    "host",
    [
        *("169.254.0.1", "[fe80::1]", "[febf::1]", "[fd00:ec2::254]", "[fd20:ce::254]", "100.100.100.200"),
        *("[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]", "[2002:a9fe:a9fe::1]", "2852039166"),
        *("168.63.129.16", "[::169.254.169.254]", "[::ffff:0:169.254.169.254]"),
    ],
)
def test_addresses_that_are_never_read(host: str) -> None:
    with pytest.raises(LoadError, match="is never read"):
        _addresses(httpx.URL(f"http://{host}/"), allow_private=True, proxied=False)


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1", "192.168.1.1", "[::1]", "[fd00:ec2::253]"])
def test_other_addresses_of_ones_own_are_read_when_that_is_allowed(host: str) -> None:
    url = httpx.URL(f"http://{host}/")
    assert _addresses(url, allow_private=True, proxied=False) == [url.host]
    with pytest.raises(LoadError) as caught:
        _addresses(url, allow_private=False, proxied=False)
    assert str(caught.value).count(url.host) == 1
    assert "is read only with allow_private=True" in str(caught.value)


def test_a_name_is_told_with_the_address_it_stands_for() -> None:
    with pytest.raises(LoadError, match=r"^localhost \((127\.0\.0\.1|::1)\), an address of this machine"):
        _addresses(httpx.URL("http://localhost/"), allow_private=False, proxied=False)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://example.org/", "only http and https URLs are fetched"),
        ("file:///etc/passwd", "only http and https URLs are fetched"),
        ("example.org", "only http and https URLs are fetched"),
        ("", "only http and https URLs are fetched"),
        ("https://user:word@example.org/", "holds a user name or password"),
        ("http://example.org:port/", "is no URL"),
        ("http://exam\nple.org/", "is no URL"),
        ("http://no-such-host.invalid/", "is not known; check the name and the network"),
    ],
)
def test_what_is_no_address(url: str, reason: str) -> None:
    with pytest.raises(LoadError, match=reason) as caught:
        load_url(url)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2001:4860:4860::8888", True),
        ("::ffff:8.8.8.8", True),
        ("127.0.0.1", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("fe80::1%eth0", False),
        ("ff02::1", False),
        ("2002:7f00:1::", False),
        ("64:ff9b::a00:1", False),
        ("::", False),
    ],
)
def test_public_addresses(address: str, public: bool) -> None:
    assert _is_public(address) == public


@given(st.text(max_size=30), st.sampled_from(["http://", "https://", "HTTP://EXAMPLE.org/", "", "http://a@b/"]))
def test_any_text_is_a_plain_url_or_refused(text: str, before: str) -> None:
    try:
        url = _normal(before + text)
    except LoadError:
        return
    assert url.startswith(("http://", "https://"))
    assert "#" not in url
    assert _normal(url) == url


def test_a_single_url(server: str) -> None:
    assert load_url(f"{server}/page", allow_private=True).title == "Schlüssel"


def test_repr() -> None:
    assert repr(UrlLoader(max_bytes=5, seconds=2)) == "UrlLoader(max_bytes=5, seconds=2, allow_private=False)"
