"""Formats without inner structure: plain text and delimiter separated tables."""

from __future__ import annotations

from collections.abc import Sequence

from ragweft.chunking.blocks import Block
from ragweft.chunking.separators import PROSE, ROWS


def text_blocks(text: str) -> Sequence[Block]:  # noqa: ARG001 (a BlockReader)
    """The whole text as one block: paragraphs, then sentences or lines."""
    return (Block(start=0, ladder=PROSE),)


def table_blocks(text: str) -> Sequence[Block]:  # noqa: ARG001 (a BlockReader)
    """The whole table as one block: rows."""
    return (Block(start=0, ladder=ROWS),)
