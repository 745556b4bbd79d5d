"""Keys: from the caller or the environment, never from a recipe, never in a log, an error or a repr."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Sequence

from ragweft.errors import RecipeError

__all__ = ["Secret", "find_key", "host_of"]


_FOREIGN = "RAGWEFT_API_KEY"
_KEY = re.compile(r"[!-~]+")
"""Printable ASCII without blanks, as a bearer token must be (RFC 6750, section 2.1). Client libraries repeat in
their errors what they cannot send."""
_ADDRESS = re.compile(
    r"https?://"
    r"(?P<host>[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?|\[[0-9a-f:.]+\])"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?:/[a-z0-9._~!$&'()*+,;=:@%/-]*)?",
    re.IGNORECASE | re.ASCII,
)
"""The part of RFC 3986 that all client libraries read alike. They do not agree on backslashes, user names and
white space: with `http://one\\@two/` some go to `one` and some to `two`."""
_MOST_PORT = 65_535


class Secret:
    """A key that cannot be printed by accident."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The key itself, for the call it is meant for."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a key is not written to files or sent to other processes")


def find_key(
    service: str,
    names: Sequence[str],
    *,
    given: str | None = None,
    needed: bool = True,
    base_url: str = "",
) -> Secret:
    """The key *given*, or the first of the environment variables *names* that is set.

    A recipe may come from anybody. So a *base_url* on another machine is never sent the provider's own key: it
    gets that of RAGWEFT_API_KEY.

    Raises:
        RecipeError: there is none and one is *needed*, it is no key, or *base_url* is no plain address.
    """
    foreign = bool(base_url) and not _here(host_of(base_url, service=service))
    wanted = (_FOREIGN,) if foreign else tuple(names)
    for place, value in (("", given), *((f" in {name}", os.environ.get(name)) for name in wanted)):
        if value and (key := value.strip()):
            if not _KEY.fullmatch(key):
                raise RecipeError(
                    f"{service}: the key{place} holds blanks or characters that no key has; copy it anew"
                )
            return Secret(key)
    if needed:
        where = f" at {base_url}" if foreign else ""
        raise RecipeError(f"{service}{where} needs a key: set {' or '.join(wanted)} in the environment")
    return Secret("")


def host_of(base_url: str, *, service: str) -> str:
    """The host of an address, in lower case, an IPv6 address without its brackets.

    Raises:
        RecipeError: it is not `http(s)://host[:port][/path]`; one that client libraries may read in different
            ways is refused.
    """
    found = _ADDRESS.fullmatch(base_url)
    if found is not None and int(found["port"] or 0) <= _MOST_PORT:
        host = found["host"].lower()
        if not host.startswith("["):
            return host
        try:
            return str(ipaddress.IPv6Address(host[1:-1]))
        except ValueError:
            pass
    # Not repeated: what stands before an @ or behind a ? may be a secret.
    raise RecipeError(
        f"{service}: base_url is no plain address; write it as https://host:port/path, in ASCII, without "
        "user name, blanks, backslashes, ? and #"
    )


def _here(host: str) -> bool:
    """Whether a host is this machine, by its number or as localhost; other names are somebody's to choose."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
