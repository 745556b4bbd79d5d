"""How an index is doing: `Index.status` and `Index.verify`."""

from __future__ import annotations

import re
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ragweft.errors import IndexDamaged, IndexLocked, ProviderError, SpaceMismatch
from ragweft.ledger.schema import INCOMPLETE
from ragweft.ledger.spending import spent_on
from ragweft.types import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ragweft.assembly import Parts
    from ragweft.ledger.followers import FollowerState
    from ragweft.protocols import Progress
    from ragweft.reports import BatchUnderWay
    from ragweft.types import Spent, Tuning

__all__ = ["HeldContexts", "Status", "Verification", "report_followers", "take_status", "verify"]


_PLACED = re.compile(r" \| (?P<kind>llm|outline|none)(?:/| (?P<model>.+?) prompt/)")
"""How a contextualizer begins in the mark of a document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldContexts:
    """Contexts of one kind."""

    kind: str
    """"llm", "outline" or "none"; "given" of documents that came in chunks, "own" of a program's own."""
    model: str
    """Which language model wrote them; "" if none did."""
    documents: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """An index at a glance; cheap to obtain."""

    path: str
    uuid: str
    generation: int
    documents: int
    chunks: int
    space: str
    recipe: str
    """The recipe's fingerprint."""
    pipeline: str
    """The retriever expression, as `repr` prints it."""
    followers: tuple[FollowerState, ...]
    bytes: int
    """On disk, all files together."""
    tuning: Tuning
    """How much meaning, words, closeness and documents count in a search, and why."""
    spent: Usage
    spent_on: tuple[Spent, ...]
    """The same by model and purpose."""
    long_texts: int
    """Chunks longer than the embedder's window, which were embedded in parts."""
    incomplete: int
    """Documents with chunks whose context could not be had; the next sync asks for it again."""
    contexts: tuple[HeldContexts, ...]
    """Which contexts the documents have, those of most documents first."""
    under_way: tuple[BatchUnderWay, ...]
    """Batches of contexts that the next sync takes in."""
    unreadable: tuple[str, ...]
    """What lies beside the ledger and could not be read, in one line each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What a verification found, and what it mended."""

    ok: bool
    """Everything agrees now."""
    findings: tuple[str, ...]
    mended: tuple[str, ...]
    """Followers brought level or rebuilt."""
    followers: tuple[FollowerState, ...]


def take_status(parts: Parts, expression: str) -> Status:
    """Read counts and sizes; Chroma is not opened for it."""
    with parts.ledger.snapshot() as snapshot:
        documents, chunks = snapshot.count_documents(), snapshot.count_live()
        generation = snapshot.generation
        tuning = parts.balance.of(snapshot.profile())
        pipelines = snapshot.pipelines()
    incomplete = sum(count for pipeline, count in pipelines.items() if pipeline.endswith(INCOMPLETE))
    chroma = parts.followers.chroma
    paid = spent_on(parts.ledger)
    under_way, unreadable = _under_way(parts.folder)
    return Status(
        path=str(parts.folder),
        uuid=parts.ledger.uuid,
        generation=generation,
        documents=documents,
        chunks=chunks,
        space=parts.ledger.space,
        recipe=parts.recipe.fingerprint,
        pipeline=expression,
        followers=tuple(slot.state(opening=slot is not chroma) for slot in parts.followers.every),
        bytes=_folder_bytes(parts.folder),
        tuning=tuning,
        spent=sum((line.usage for line in paid), Usage()),
        spent_on=paid,
        long_texts=_long_texts(parts),
        incomplete=incomplete,
        contexts=_held_contexts(pipelines),
        under_way=under_way,
        unreadable=unreadable,
    )


def report_followers(parts: Parts) -> None:
    """Tell the ledger how far each follower has come, as far as this process knows."""
    known = parts.ledger.follower_generations()
    applied = {slot.name: slot.applied(known.get(slot.name, 0)) for slot in parts.followers.every}
    parts.ledger.report(applied)


def verify(parts: Parts, *, repair: bool, progress: Progress) -> Verification:
    """Compare ledger and followers, opening each; with *repair* bring level or rebuild what differs."""
    findings: list[str] = []
    mended: list[str] = []
    verdict = parts.ledger.check()
    if verdict != "ok":
        findings.append(f"ledger.db: {verdict}")
    for slot in parts.followers.every:
        state = slot.state()
        if state.level:
            continue
        note = f"; {state.note}" if state.note else ""
        findings.append(f"{state.name}: {state.behind:,} changes behind{note}")
        if repair:
            try:
                if state.note and state.rows is not None:
                    slot.rebuild(partial(progress, slot.name))
                else:
                    slot.catch_up(progress=partial(progress, slot.name))
            except (IndexLocked, ProviderError, SpaceMismatch) as error:
                # Nobody else's data is touched.
                if str(error) != state.note:
                    findings.append(f"{state.name}: could not be mended: {error}")
                continue
            if slot.state().level:
                mended.append(state.name)
    after = tuple(slot.state() for slot in parts.followers.every)
    if mended:
        report_followers(parts)
    return Verification(
        ok=verdict == "ok" and all(state.level for state in after),
        findings=tuple(findings),
        mended=tuple(mended),
        followers=after,
    )


def _long_texts(parts: Parts) -> int:
    """Living chunks that were embedded in parts."""
    long = parts.store.long_ones()
    if not long:
        return 0
    with parts.ledger.snapshot() as snapshot:
        return snapshot.count_inputs(long)


def _under_way(folder: Path) -> tuple[tuple[BatchUnderWay, ...], tuple[str, ...]]:
    """Batches that have not ended; and why that is not known, where it is not."""
    file = folder / "contexts.db"
    if not file.exists():
        return (), ()
    from ragweft.ledger.context_store import ContextStore

    try:
        with closing(ContextStore(file, read_only=True)) as store:
            return tuple(store.under_way()), ()
    except (IndexDamaged, IndexLocked) as error:
        # Nothing but contexts hangs on it: what the index holds can be told all the same.
        return (), (str(error),)


def _held_contexts(pipelines: Mapping[str, int]) -> tuple[HeldContexts, ...]:
    """*pipelines*: how many documents are marked so."""
    counts: Counter[tuple[str, str]] = Counter()
    for pipeline, count in pipelines.items():
        found = _PLACED.search(pipeline)
        kind = found["kind"] if found else "given" if pipeline.startswith("given") else "own"
        counts[kind, (found["model"] or "") if found else ""] += count
    return tuple(
        HeldContexts(kind=kind, model=model, documents=count) for (kind, model), count in counts.most_common()
    )


def _folder_bytes(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            if path.is_file():
                total += path.stat().st_size
        except FileNotFoundError:  # a follower replaced its segment meanwhile
            continue
    return total
