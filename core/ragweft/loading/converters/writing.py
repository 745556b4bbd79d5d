"""Putting converted text together, and remembering where each part began."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ragweft.loading.markdown import cleaned, tidy_block
from ragweft.loading.titles import tidy_title
from ragweft.places import Place
from ragweft.types import Json

__all__ = ["Converted", "Limits", "Writer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much a single file may ask for before it is left out."""

    max_pages: int = 10_000
    """Pages, slides or messages."""
    max_seconds: float = 60.0
    """For all of the file."""
    max_memory: int = 2 * 2**30
    """Bytes of address space of the process that reads it."""
    max_unpacked: int = 2**30
    """Bytes that may be inside a compressed file, by its own table of contents."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """What a converter makes of a file."""

    text: str
    title: str | None = None
    places: Sequence[Place] = ()
    metadata: Mapping[str, Json] = field(default_factory=dict[str, Json])


class Writer:
    """Collects the blocks of a Markdown text and remembers where places begin."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._length = 0
        self._places: list[Place] = []

    def add(self, text: str, *, label: str = "", number: int = 0) -> None:
        """Append a block, of a new place if it has a *label*. Blank ones are dropped."""
        text = tidy_block(text)
        if not text.strip():
            return
        if self._pieces:
            self._append("\n\n")
        if label:
            self._places.append(Place(start=self._length, label=label, number=number))
        self._append(text)

    def add_rows(self, rows: Iterable[tuple[int | None, str]], *, label: str) -> None:
        """Append lines as one block; each that has a number is a place of its own."""
        joint = "\n\n" if self._pieces else ""
        for number, line in rows:
            self._append(joint)
            joint = "\n"
            if number is not None:
                self._places.append(Place(start=self._length, label=label, number=number))
            self._append(line)

    def converted(self, *, title: str | None = None, metadata: Mapping[str, Json] | None = None) -> Converted:
        """Everything so far."""
        text = "".join(self._pieces)
        if text:
            text += "\n"
        said = tidy_title(cleaned(title)) if title else None
        return Converted(text=text, title=said, places=tuple(self._places), metadata=metadata or {})

    def _append(self, text: str) -> None:
        self._pieces.append(text)
        self._length += len(text)
