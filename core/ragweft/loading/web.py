"""Pages and files by URL, one at a time, when somebody asks for them.

The server is not trusted: how long it takes, how much it sends, where it sends on to, and what its name stands
for at that moment are all held to limits. Fetching happens in a process of its own, so that a limit of time is
one.
"""

from __future__ import annotations

import ipaddress
import socket
import time
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote

from ragweft.errors import LoadError
from ragweft.loading.apart import Apart
from ragweft.loading.converters import CONVERTERS, TASK, Limits
from ragweft.loading.decoding import NotText, decode
from ragweft.loading.files import MAX_BYTES
from ragweft.loading.formats import FileFormat, file_format
from ragweft.loading.reading import read_converted, read_page, read_text
from ragweft.uris import display_path

if TYPE_CHECKING:
    import httpx

    from ragweft.loading.apart import Header
    from ragweft.types import Document, Json

__all__ = ["UrlLoader", "fetch", "load_url"]

_FETCH = "ragweft.loading.web:fetch"
_REDIRECTS = 10
_ADDRESSES = 4
"""Of a host's addresses at most so many are tried."""
_HEADERS = {
    "Accept": "text/html, application/xhtml+xml, text/*, application/pdf, */*;q=0.8",
    "User-Agent": "ragweft",
}
_WRAPPING = tuple(map(ipaddress.ip_network, ("64:ff9b::/96", "::/96", "::ffff:0:0:0/96")))
"""Networks whose addresses hold one of the older kind in their last 32 bits."""
_METADATA = frozenset(
    map(
        ipaddress.ip_address,
        ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "192.0.0.192", "168.63.129.16"),
    )
)
"""Where Amazon, Google, Alibaba, Oracle and Azure answer beside 169.254.169.254, which is link-local."""

_OFFICE = "application/vnd.openxmlformats-officedocument."
_KINDS = {
    "application/epub+zip": "epub",
    "application/pdf": "pdf",
    "application/vnd.ms-excel": "sheets",
    "application/vnd.oasis.opendocument.spreadsheet": "sheets",
    "application/xhtml+xml": "html",
    "application/x-ipynb+json": "notebook",
    "message/rfc822": "mail",
    f"{_OFFICE}presentationml.presentation": "slides",
    f"{_OFFICE}spreadsheetml.sheet": "sheets",
    f"{_OFFICE}wordprocessingml.document": "docx",
    "text/csv": "table",
    "text/html": "html",
    "text/markdown": "markdown",
}
"""Media type to what it is read as; of other texts, or where nothing is said, the name in the URL decides."""
_SAYS_NOTHING = frozenset(("", "application/octet-stream", "application/zip", "binary/octet-stream"))
_TEXTS = ("text/", "application/json", "application/xml", "application/javascript", "application/yaml")


class UrlLoader:
    """Fetches pages and files by `http:` and `https:` URL and reads them as `FileLoader` reads files.

    Of a page the main part is taken, as Markdown; its scripts are not run, and nothing it refers to is fetched.
    Addresses of private networks and of this machine are refused, wherever a name or a redirect leads, unless
    *allow_private*; link-local ones and those where a cloud tells its machines their keys always are. A proxy
    named by the environment is used as other programs use it.

    Args:
        max_bytes: more is refused, compressed or not.
        seconds: for one URL, redirects included.
        allow_private: fetch from addresses of private networks and of this machine too.
        limits: what converting a file that is no text may take.
    """

    def __init__(
        self,
        *,
        max_bytes: int = MAX_BYTES,
        seconds: float = 30.0,
        allow_private: bool = False,
        limits: Limits | None = None,
    ) -> None:
        self._max_bytes = max_bytes
        self._allow_private = allow_private
        self._limits = limits or Limits()
        self._seconds = seconds
        self._fetching = Apart(_FETCH, seconds=seconds + 1.0, memory=self._limits.max_memory)
        self._converting = Apart(TASK, seconds=self._limits.max_seconds, memory=self._limits.max_memory)

    def __repr__(self) -> str:
        return (
            f"UrlLoader(max_bytes={self._max_bytes}, seconds={self._seconds:g}, "
            f"allow_private={self._allow_private})"
        )

    def close(self) -> None:
        """End the processes that fetch and convert; the next URL starts others."""
        self._fetching.close()
        self._converting.close()

    def load(self, url: str) -> Document:
        """Fetch one URL.

        The id is the URL without its fragment. Metadata: `media_type`, and `url` if the server sent on
        to another.

        Raises:
            LoadError: it is no such URL, cannot be fetched (`__cause__` is an OSError if that may pass), is too
                large, leads to a private address, or is of a type that is not read.
            MissingExtra: converting it needs a package that is not installed.
        """
        from urllib.request import getproxies

        shown = display_path(url)
        try:
            uri = _normal(url)
            request = {
                "url": uri,
                "max_bytes": self._max_bytes,
                "fetch_seconds": self._seconds,
                "allow_private": self._allow_private,
                "proxies": {name: proxy for name, proxy in getproxies().items() if name in ("http", "https")},
            }
            header, data = self._fetching.ask(request, b"")
            return self._document(uri, header, data)
        except LoadError as error:
            cause = error.__cause__
            late = f"took longer than {self._seconds:g} seconds; try again later"
            raise LoadError(f"{shown}: {late if isinstance(cause, TimeoutError) else error}") from cause

    def _document(self, uri: str, header: Header, data: bytes) -> Document:
        media, charset, final = str(header["media"]), str(header["charset"]), str(header["url"])
        metadata: dict[str, Json] = {"media_type": media} if media else {}
        if final != uri:
            metadata["url"] = final
        written = _format(media, final)
        if written.format in CONVERTERS:
            return read_converted(
                data, written.format, uri=uri, metadata=metadata, apart=self._converting, limits=self._limits
            )
        data = _as_utf8(data, charset)
        if written.format != "html":
            return read_text(data, written, uri=uri, metadata=metadata)
        try:
            return read_page(decode(data), uri=uri, metadata=metadata)
        except NotText as error:
            raise LoadError(f"{error}; it is no page") from error


def load_url(url: str, *, allow_private: bool = False) -> Document:
    """Fetch a single page or file: `UrlLoader.load` for programs that want only one.

    Raises:
        LoadError: it cannot be fetched or read.
        MissingExtra: reading it needs a package that is not installed.
    """
    loader = UrlLoader(allow_private=allow_private)
    try:
        return loader.load(url)
    finally:
        loader.close()


def fetch(header: Header, _body: bytes) -> tuple[Header, bytes]:
    """Fetch a URL; an `apart_child.Task`.

    Raises:
        LoadError: it cannot be had.
    """
    import httpx

    deadline = time.monotonic() + float(header["fetch_seconds"])
    url = httpx.URL(header["url"])
    for _ in range(_REDIRECTS + 1):
        try:
            answer, body = _answer(url, header, deadline)
        except httpx.TimeoutException as error:
            raise LoadError(f"{url.host} is too slow; try again later") from TimeoutError(str(error))
        except httpx.ProtocolError as error:
            raise LoadError(
                f"{url.host} answers what no browser understands ({error}); check the URL"
            ) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise LoadError(f"{url.host} cannot be reached ({error}); try again later") from OSError(str(error))
        location = answer.headers.get("location")
        if not answer.is_redirect or location is None:
            break
        try:
            url = httpx.URL(_normal(str(url.join(location))))
        except (httpx.InvalidURL, ValueError) as error:
            raise LoadError(f"{url.host} sends on to {location!r}, which is no URL") from error
    else:
        raise LoadError(f"sent on more than {_REDIRECTS} times; name the last URL")
    if answer.status_code >= 400:
        said = f"{answer.status_code} {answer.reason_phrase}"
        passing = answer.status_code in (408, 425, 429) or answer.status_code >= 500
        raise LoadError(
            f"{url.host} answered {said}; "
            + ("try again later" if passing else "open it in a browser to see why")
        ) from (OSError(said) if passing else None)
    media = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    return {"url": str(url), "media": media, "charset": answer.charset_encoding or ""}, body


def _answer(url: httpx.URL, header: Header, deadline: float) -> tuple[httpx.Response, bytes]:
    """The answer to one request and its body; redirects are not followed."""
    from urllib.request import proxy_bypass

    import httpx

    proxy = None if proxy_bypass(url.host) else header["proxies"].get(url.scheme)
    addresses = _addresses(url, allow_private=bool(header["allow_private"]), proxied=proxy is not None)
    failed = httpx.ConnectError("it has no address")
    with httpx.Client(proxy=proxy, trust_env=False) as client:
        # What the name stood for is connected to by address: a moment later it may stand for another.
        for address in [url.host] if proxy is not None else addresses[:_ADDRESSES]:
            timeout = httpx.Timeout(max(deadline - time.monotonic(), 0.001))
            request = client.build_request(
                "GET",
                url.copy_with(host=address),
                headers={**_HEADERS, "Host": url.netloc.decode("ascii")},
                # The certificate must be the name's all the same.
                extensions={"sni_hostname": url.host, "timeout": timeout.as_dict()},
            )
            try:
                answer = client.send(request, stream=True)
            except httpx.ConnectError as error:
                failed = error
                continue
            try:
                return answer, _body_of(answer, int(header["max_bytes"]), deadline)
            finally:
                answer.close()
    raise failed


def _body_of(answer: httpx.Response, max_bytes: int, deadline: float) -> bytes:
    import httpx

    if "," in answer.headers.get("content-encoding", ""):
        raise LoadError(f"{answer.url.host} compresses its answer several times over; that is not read")
    pieces: list[bytes] = []
    left = max_bytes
    for piece in answer.iter_bytes():
        pieces.append(piece)
        left -= len(piece)
        if left < 0:
            raise LoadError(
                f"larger than {max_bytes:,} bytes; raise max_bytes, or save the part you need as a file"
            )
        if time.monotonic() > deadline:
            raise httpx.ReadTimeout("time is up")
    return b"".join(pieces)


def _addresses(url: httpx.URL, *, allow_private: bool, proxied: bool) -> list[str]:
    """What the host of a URL stands for, once it is seen to be public.

    Raises:
        LoadError: it stands for nothing, or for a private address.
    """
    try:
        found = socket.getaddrinfo(url.host, url.port or 0, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        if proxied:
            # Names may be looked up by the proxy alone.
            return []
        raise LoadError(f"{url.host} is not known; check the name and the network") from OSError(str(error))
    addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
    for address in addresses:
        ip = _unwrapped(address)
        shown = url.host if address == url.host else f"{url.host} ({address})"
        shown = f"{shown}, an address of this machine or a private network,"
        if ip.is_link_local or ip in _METADATA:
            # Whoever may fetch from here gets the keys of the machine, and a redirect is enough.
            raise LoadError(f"{shown} is never read: there clouds tell machines their keys")
        if not allow_private and not _is_public(address):
            raise LoadError(f"{shown} is read only with allow_private=True")
    return addresses


def _is_public(address: str) -> bool:
    """Whether an address belongs to the public internet, also when it is wrapped in another."""
    ip = _unwrapped(address)
    return ip.is_global and not ip.is_multicast


def _unwrapped(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An address, or the one of the older kind that is wrapped in it."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if not isinstance(ip, ipaddress.IPv6Address):
        return ip
    if int(ip) > 1 and any(ip in network for network in _WRAPPING):
        return ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
    return ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else ip)


def _normal(url: str) -> str:
    """*url* without fragment, its scheme and host in small letters.

    Raises:
        LoadError: it is no web address, or holds a password.
    """
    import httpx

    try:
        parsed = httpx.URL(url.strip())
    except (httpx.InvalidURL, ValueError, TypeError) as error:
        raise LoadError(f"is no URL ({error}); write it as https://example.org/page") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise LoadError("only http and https URLs are fetched; sync files and folders by their path")
    if parsed.userinfo:
        raise LoadError("holds a user name or password, which would be stored with the text; leave it out")
    return str(parsed.copy_with(fragment=None))


def _format(media: str, url: str) -> FileFormat:
    """How an answer is written.

    Raises:
        LoadError: answers of this type are not read.
    """
    kind = _KINDS.get(media)
    if kind is not None:
        return FileFormat(format=kind)
    named = file_format(PurePosixPath(unquote(url.partition("?")[0])).name)
    if media in _SAYS_NOTHING and named is not None:
        return named
    if media.startswith(_TEXTS) or media.endswith(("+json", "+xml")):
        return named if named is not None and named.format not in CONVERTERS else FileFormat(format="text")
    raise LoadError(f"is {media or 'of a type the server does not name'}, which is not read; save it as a file")


def _as_utf8(data: bytes, charset: str) -> bytes:
    """*data* in UTF-8, if the server says what it is in and that holds."""
    try:
        return (
            data.decode(charset).encode("utf-8")
            if charset and charset.lower() not in ("utf-8", "utf8")
            else data
        )
    except (LookupError, ValueError):
        return data
