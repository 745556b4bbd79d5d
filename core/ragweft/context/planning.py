"""Which chunks lack a context, and in which prompts they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ragweft.context.identity import nearness, still_said, words_in
from ragweft.context.memory import Kept
from ragweft.context.prompts import prefix_of, rest_of
from ragweft.context.windows import sources
from ragweft.generation.accounting import quarters
from ragweft.generation.values import Prompt
from ragweft.types import digest_of

if TYPE_CHECKING:
    from ragweft.context.memory import ContextMemory
    from ragweft.generation.values import Generator
    from ragweft.types import Chunk, Document

__all__ = ["Ask", "Group", "Job", "job_of", "planned"]

_SPARE = 256
"""Tokens a service may put around a prompt."""
_CAUTION = 1.1
"""How far a count may be out: a prompt over the window is refused, one above a price step costs five times."""


@dataclass(slots=True, kw_only=True)
class Job:
    """One document: its chunks, and what is known of them."""

    document: Document
    chunks: Sequence[Chunk]
    digest: bytes
    """Of the document's text."""
    spans: list[tuple[int, int]]
    nears: list[bytes]
    contexts: dict[int, str] = field(default_factory=dict[int, str])
    """Place of a chunk to its context."""
    wanted: list[int] = field(default_factory=list[int])
    """Places of chunks to ask for; of equal ones the first."""
    reasons: dict[int, str] = field(default_factory=dict[int, str])
    """Place of a chunk to why it has none."""
    refused: set[int] = field(default_factory=set[int])
    """Places of chunks whose answer came and was none, or that the service will not have."""
    renewed: list[Kept] = field(default_factory=list[Kept])
    """Contexts that fit, to be kept as of this document and its present text."""
    places: dict[bytes, list[int]] = field(default_factory=dict[bytes, list[int]])
    """Equal chunks, by `nears`; filled at first use."""
    words: frozenset[str] | None = None

    @property
    def said(self) -> frozenset[str]:
        """Every word of the document."""
        if self.words is None:
            self.words = words_in(self.document.text)
        return self.words

    def settle(self, place: int, context: str) -> None:
        """Give the chunk at *place*, and those that equal it, their context."""
        for other in self._equals(place):
            self.contexts[other] = context
            self.reasons.pop(other, None)

    def fail(self, place: int, reason: str) -> None:
        """Say why the chunk at *place*, and those that equal it, have none."""
        self.reasons.update(dict.fromkeys(self._equals(place), reason))

    def _equals(self, place: int) -> list[int]:
        if not self.places:
            for other, near in enumerate(self.nears):
                self.places.setdefault(near, []).append(other)
        return self.places[self.nears[place]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One chunk to be asked for."""

    job: Job
    place: int
    rest: str
    """Its part of the prompt."""

    @property
    def chunk(self) -> Chunk:
        """The chunk itself."""
        return self.job.chunks[self.place]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Chunks that share the beginning of their prompts."""

    prefix: str
    asks: Sequence[Ask]
    keep: bool
    """Whether it pays to have the service keep the beginning."""

    def prompt(self, ask: Ask, *, lasting: bool = False, asked: bool = True) -> Prompt:
        """The prompt for *ask*; the service is told to keep the beginning where that is *asked* of it."""
        if not (self.keep and asked):
            return Prompt(prefix=self.prefix, rest=ask.rest)
        return Prompt(prefix=self.prefix, rest=ask.rest, keep="hour" if lasting else "minutes")


def job_of(document: Document, chunks: Sequence[Chunk], memory: ContextMemory, maker: str) -> Job:
    """What is known of *chunks* and what has to be asked; contexts that still fit are noted as such."""
    spans = [_span(document, chunk) for chunk in chunks]
    digest = digest_of(document.text)
    nears = [nearness(document, chunk, start) for chunk, (start, _) in zip(chunks, spans, strict=True)]
    job = Job(document=document, chunks=chunks, digest=digest, spans=spans, nears=nears)
    found = memory.find(maker, document_id=document.id, document=digest, nears=nears)
    fitting = {near: kept for near, kept in found.items() if _fits(kept, job)}
    if outdated := [near for near in found if near not in fitting]:
        # What this document had before must not hide what a copy of its present text has.
        fitting |= memory.find(maker, document_id="", document=digest, nears=outdated)
    job.renewed = [
        replace(kept, document_id=document.id, document=digest)
        for kept in fitting.values()
        if (kept.document_id, kept.document) != (document.id, digest)
    ]
    seen: set[bytes] = set()
    for place, (chunk, near) in enumerate(zip(chunks, nears, strict=True)):
        if near in fitting:
            job.contexts[place] = fitting[near].text
        elif near not in seen and _worth_asking(document, chunk):
            job.wanted.append(place)
            seen.add(near)
    return job


def planned(
    job: Job,
    places: Sequence[int],
    generator: Generator,
    *,
    window: int,
    density: float,
    max_tokens: int,
    answer: int,
) -> list[Group]:
    """The prompts for the chunks at *places* of *job*, within *window* tokens each.

    *density*: tokens of four bytes. *max_tokens* of a context are asked for; *answer* tokens of the window are
    for what comes back.
    """
    if not places:
        return []
    longest = max(quarters(_rest(job, place, whole=False, max_tokens=max_tokens)) for place in places)
    room = (window - answer - _SPARE) / (density * _CAUTION) - longest
    found = []
    for source in sources(job.document.text, [job.spans[place] for place in places], room=room):
        prefix = prefix_of(source.text, whole=source.whole)
        asks = [
            Ask(job=job, place=place, rest=_rest(job, place, whole=source.whole, max_tokens=max_tokens))
            for place in (places[number] for number in source.chunks)
        ]
        # Kept for nobody it only costs more. Below its least size it is not kept, and asking costs nothing.
        keep = len(asks) > 1 and quarters(prefix) * density * _CAUTION >= generator.model.least_kept
        found.append(Group(prefix=prefix, asks=asks, keep=keep and generator.model.keeps != "no"))
    return found


def _rest(job: Job, place: int, *, whole: bool, max_tokens: int) -> str:
    chunk = job.chunks[place]
    return rest_of(chunk.text, headings=() if whole else chunk.headings, max_tokens=max_tokens)


def _fits(kept: Kept, job: Job) -> bool:
    if kept.document == job.digest:
        return True
    return kept.own is not None and still_said(kept.text, kept.own, job.said)


def _span(document: Document, chunk: Chunk) -> tuple[int, int]:
    start = chunk.span.start if chunk.span is not None else max(0, document.text.find(chunk.text))
    return start, min(start + len(chunk.text), len(document.text))


def _worth_asking(document: Document, chunk: Chunk) -> bool:
    """Not where a chunk says nothing, or is all of its document: there is nothing around it to tell."""
    text = chunk.text.strip()
    return bool(text) and text != document.text.strip()
