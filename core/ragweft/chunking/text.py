"""The format without inner structure: plain text."""

from __future__ import annotations

from collections.abc import Sequence

from ragweft.chunking.blocks import Block
from ragweft.chunking.separators import PROSE


def text_blocks(text: str) -> Sequence[Block]:  # noqa: ARG001 (a BlockReader)
    """The whole text as one block: paragraphs, then sentences or lines."""
    return (Block(start=0, ladder=PROSE),)
