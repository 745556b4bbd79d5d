"""E-mail: what it is about, who wrote it to whom, what it says, and what is attached by name."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC
from email import message_from_bytes
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message
from email.policy import compat32
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from ragweft.errors import LoadError
from ragweft.loading.converters.writing import Converted, Limits, Writer
from ragweft.loading.decoding import NotText, decode
from ragweft.loading.markdown import escaped, on_one_line
from ragweft.loading.markup import read_markup

if TYPE_CHECKING:
    from ragweft.types import Json

__all__ = ["Letter", "read", "read_letter"]

_SHOWN = ("From", "To", "Cc", "Date")
_DEEPEST = 30
_QUOTE = re.compile(r"(?:> ?)*")


class Letter:
    """One message as Markdown."""

    def __init__(self, message: Message) -> None:
        self.subject = _header(message, "Subject")
        self._message = message
        self._attached: list[str] = []
        self._bodies = [body for body in _bodies(message, self._attached, 0) if body.strip()]

    @property
    def metadata(self) -> dict[str, Json]:
        """Who and when, for filters: `from`, `to`, `date` (ISO 8601, UTC) and `attachments`."""
        found: dict[str, Json] = {
            name.lower(): value for name in ("From", "To") if (value := _header(self._message, name))
        }
        date = _date(self._message)
        if date:
            found["date"] = date
        if self._attached:
            found["attachments"] = list(self._attached)
        return found

    def blocks(self) -> Iterator[str]:
        """Subject, head, texts and names of attachments."""
        if self.subject:
            yield f"# {self.subject}"
        lines = [f"{name}: {value}" for name in _SHOWN if (value := _header(self._message, name))]
        yield escaped("\n".join(lines))
        yield from self._bodies
        if self._attached:
            yield f"Attachments: {', '.join(self._attached)}"


def read(data: bytes, limits: Limits) -> Converted:  # noqa: ARG001 (every `read` is given limits)
    """A message as Markdown.

    Raises:
        LoadError: it is no message, or nested too deep.
    """
    letter = read_letter(data)
    if letter is None:
        raise LoadError("is no e-mail: it names neither sender nor subject; give it another suffix")
    writer = Writer()
    for block in letter.blocks():
        writer.add(block)
    return writer.converted(title=letter.subject or None, metadata=letter.metadata)


def read_letter(data: bytes) -> Letter | None:
    """Parse a message; None if it has neither sender nor subject nor date: then it is none.

    Raises:
        LoadError: it is nested too deep.
    """
    message = message_from_bytes(data, policy=compat32)
    named = any(_header(message, name) for name in ("From", "Subject", "Date", "Message-ID", "To"))
    return Letter(message) if named else None


def _header(message: Message, name: str) -> str:
    """A header on one line, decoded as far as it can be."""
    try:
        raw = message.get(name)
        if raw is None:
            return ""
        value = str(raw)
    except (MessageError, LookupError, ValueError, TypeError, AttributeError):
        return ""
    # Undecodable as it may be, it is still what the message says.
    with suppress(MessageError, LookupError, ValueError, binascii.Error):
        value = str(make_header(decode_header(raw)))
    return on_one_line(value)


def _date(message: Message) -> str:
    try:
        date = parsedate_to_datetime(_header(message, "Date"))
        return date.astimezone(UTC).isoformat() if date.tzinfo else date.isoformat()
    except (ValueError, TypeError, IndexError, OverflowError):
        return ""


def _bodies(message: Message, attached: list[str], depth: int) -> Iterator[str]:
    """The texts of a message, plain ones rather than formatted where it offers both; attachments are noted."""
    if depth > _DEEPEST:
        raise LoadError("is a message within a message too many times over; save the inner one")
    parts = message.get_payload()
    kind = message.get_content_type()
    if isinstance(parts, list) and message.is_multipart():
        messages = [part for part in parts if isinstance(part, Message)]
        if kind == "multipart/alternative":
            messages = _best(messages)
        for part in messages:
            if kind == "message/rfc822":
                yield from Letter(part).blocks()
            else:
                yield from _bodies(part, attached, depth + 1)
        return
    name = _file_name(message)
    if name or message.get_content_disposition() == "attachment":
        attached.append(name or kind)
    elif kind == "text/html":
        yield from read_markup(_text(message)).blocks
    elif kind.startswith("text/"):
        yield escaped_letter(_text(message))


def _best(parts: list[Message]) -> list[Message]:
    """Of several forms of one text the plain one, unless it is empty; everything that is no text with it."""
    for wanted in ("text/plain", "text/html"):
        for part in parts:
            if part.get_content_type() == wanted and _text(part).strip():
                return [
                    part,
                    *(each for each in parts if each.get_content_maintype() != "text" and each is not part),
                ]
    return parts


def escaped_letter(text: str) -> str:
    """A plain body as Markdown: quoted lines stay quotes, lines that look like other structure do not."""
    lines: list[str] = []
    for line in text.splitlines():
        found = _QUOTE.match(line)
        quote = found[0] if found else ""
        lines.append(quote + escaped(line[len(quote) :]))
    return "\n".join(lines)


def _file_name(message: Message) -> str:
    try:
        name = message.get_filename()
        return on_one_line(str(make_header(decode_header(name)))) if name else ""
    except (MessageError, LookupError, ValueError, TypeError, AttributeError, binascii.Error):
        return "unnamed"


def _text(message: Message) -> str:
    """The text of a part, in the character set it names if that can be, else in the likeliest."""
    try:
        data = message.get_payload(decode=True)
    except (MessageError, LookupError, ValueError, TypeError, AttributeError, binascii.Error):
        return ""
    if not isinstance(data, bytes):
        return ""
    try:
        named = message.get_content_charset() or "utf-8"
        return data.decode("utf-8" if named in ("us-ascii", "ascii") else named)
    except (MessageError, LookupError, ValueError, TypeError, AttributeError):
        pass
    try:
        return decode(data)
    except NotText:
        return data.decode("utf-8", "replace")
