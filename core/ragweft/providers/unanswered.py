"""A call that gave nothing may be billed all the same, once its request was on the way.

No SDK says how far a call came, but what it raised does: a refusal has its status, and the frames that an error
or a cancellation passed through name what was being done. Where neither tells, the request counts as sent: what
is charged for such a call is an estimate from above.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from traceback import walk_tb

from ragweft.errors import ProviderError, RagweftError
from ragweft.providers.failures import failure_of

__all__ = ["may_be_billed"]

_CONNECTING = re.compile(
    r"_?(connect|connect_tcp|create_connection|new_conn|start_connection|start_tls|do_handshake|getaddrinfo|"
    r"prepare_proxy|wait_for_connection|wait_for_available_connection)"
)
"""Functions of httpcore, anyio, aiohttp, urllib3 and the standard library in which nothing is sent yet."""
_NEVER_SENT = re.compile(
    r"ImportError|ModuleNotFoundError|UnicodeEncodeError|LocalProtocolError|UnsupportedProtocol|ProxyError|"
    r"PoolTimeout|InvalidU(RL|rl)\w*|InvalidHeader|InvalidSchema|MissingSchema"
)
"""Errors, by their classes' names, of a request that cannot be made or finds no way out."""


def may_be_billed(error: BaseException, *, outside: BaseException | None = None) -> bool:
    """Whether a service may have done, and bill, what the call that raised *error* asked for.

    Not if it refused with a status above 399, or nothing was sent: no connection, no name, no key. *outside* is
    what was being handled when the call began: it says nothing of this one.
    """
    if isinstance(error, RagweftError) and not isinstance(error, ProviderError):
        return False
    failure = failure_of(error)
    if failure is not None and failure.status is not None:
        return False
    return not any(map(_unsent, _chain(error, outside)))


def _chain(error: BaseException, outside: BaseException | None) -> Iterator[BaseException]:
    """*error* and what it came of, up to *outside*."""
    seen: set[int] = set()
    at: BaseException | None = error
    while at is not None and at is not outside and id(at) not in seen:
        seen.add(id(at))
        yield at
        at = at.__cause__ or at.__context__


def _unsent(error: BaseException) -> bool:
    if _NEVER_SENT.fullmatch(type(error).__name__):
        return True
    return any(_CONNECTING.fullmatch(frame.f_code.co_name) for frame, _ in walk_tb(error.__traceback__))
