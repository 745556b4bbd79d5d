"""Mailboxes of one file (mbox): every message a place."""

from __future__ import annotations

import re

from ragweft.errors import LoadError
from ragweft.loading.converters.mail import read_letter
from ragweft.loading.converters.writing import Converted, Limits, Writer

__all__ = ["read"]

# RFC 4155: "From ", an address, a date. Programs differ in the date, but all have a time and four digits in it.
_FROM_LINE = re.compile(
    rb"^From (?=[^\r\n]*\b\d{1,2}:\d{2}\b)(?=[^\r\n]*\b\d{4}\b)\S[^\r\n]*\r?\n", re.MULTILINE
)
_QUOTED_FROM = re.compile(rb"^>(>*From )", re.MULTILINE)


def read(data: bytes, limits: Limits) -> Converted:
    """The messages of a mailbox, as places `message 1` and so on; what is no message is passed over.

    One that cannot be read leaves a line that says why: whoever can send a message must not be able to have all
    the others left out.

    Raises:
        LoadError: there are none, or too many.
    """
    heads = [found for found in _FROM_LINE.finditer(data) if _begins(data, found.start())]
    if len(heads) > limits.max_pages:
        raise LoadError(
            f"holds {len(heads):,} messages, more than {limits.max_pages:,}; split it, or raise max_pages "
            "under [loading] in ragweft.toml"
        )
    writer = Writer()
    count = 0
    for number, head in enumerate(heads, 1):
        end = heads[number].start() if number < len(heads) else len(data)
        raw = _QUOTED_FROM.sub(rb"\1", data[head.end() : end])
        try:
            letter = read_letter(raw)
        except LoadError as error:
            count += 1
            writer.add(f"[left out: {error}]", label="message", number=number)
            continue
        if letter is None:
            continue
        count += 1
        label = "message"
        for block in letter.blocks():
            if block.strip():
                writer.add(block, label=label, number=number)
                label = ""
    if not count:
        raise LoadError("is no mailbox: no message begins in it; give it another suffix")
    return writer.converted(metadata={"messages": count})


def _begins(data: bytes, place: int) -> bool:
    """Whether a line is the first, or comes after an empty one: a sentence may begin with "From" too."""
    return (
        place == 0
        or data[max(0, place - 2) : place] == b"\n\n"
        or data[max(0, place - 4) : place] == b"\r\n\r\n"
    )
