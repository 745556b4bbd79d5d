"""Numbered passages: what packing makes of hits, and how a prompt shows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ragweft.types import Citation

__all__ = ["Context", "Passage"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A piece of one document, as it stands in the prompt."""

    number: int
    """From 1: what an answer cites, as [1]."""
    text: str
    citation: Citation
    document_id: str
    chunk_ids: tuple[str, ...]
    """The hits it is made of, best first."""
    score: float
    """Of the best of them."""
    cut: bool = False
    """There was no room for the rest of it: […] stands before or behind, where some of a hit is missing."""

    @property
    def heading(self) -> str:
        """The line above the text."""
        said = self.citation.title or ""
        names = [name for name in (said, *self.citation.headings) if name]
        named = " › ".join(dict.fromkeys(names))
        place = str(self.citation)
        return f"[{self.number}] {place} — {named}" if named and named != place else f"[{self.number}] {place}"

    def __str__(self) -> str:
        return f"{self.heading}\n{self.text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Numbered passages, ready for a prompt: `str()` of it is the text."""

    passages: tuple[Passage, ...] = ()
    tokens: int = 0
    left_out: int = 0
    """Hits there was no room for."""
    repeated: int = 0
    """Hits that said again what a better one says."""

    def __str__(self) -> str:
        return "\n\n".join(map(str, self.passages))

    @property
    def text(self) -> str:
        """The same as `str()`."""
        return str(self)
