"""A stream of questions over a corpus that is edited meanwhile: what a cache saves, and what it serves wrongly.

The index is a real one, and so is the cache. Time is counted, not spent: a model's answer counts for 2.7 seconds;
looking into the cache and searching count for what they take. Whether an answer is stale is found out without
the cache: from the books of who edits, and by searching anew for the question the answer was given to.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ragweft import Document, Index
from ragweft.caching.gate import Reading, doubts
from ragweft.caching.values import Cost, normalised

if TYPE_CHECKING:
    from pathlib import Path

    from ragweft.caching.standard import Standard
    from ragweft.embedding.static import StaticEmbedder
    from ragweft.types import Results, Vector

__all__ = ["ANSWER_MS", "ANSWER_USD", "PLAIN", "Corpus", "Plain", "Tally", "Traffic", "run_stream"]

ANSWER_MS = 2_700.0
TOKENS_IN, TOKENS_OUT = 1_500, 200
USD_PER_MILLION_IN, USD_PER_MILLION_OUT = 1.0, 5.0
ANSWER_USD = (TOKENS_IN * USD_PER_MILLION_IN + TOKENS_OUT * USD_PER_MILLION_OUT) / 1e6
K = 5
_SAID = 5
"""Texts of an intent that its document says."""

Version = tuple[str, int]
"""A document's id, and which of its versions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Who asks what, how often, and how often the corpus is edited."""

    requests: int
    repeated: float
    """Share of the requests that repeat, word for word, one that was made before."""
    edits: float
    """Edits for every request."""
    gap: float = 10.0
    """Seconds between requests."""
    zipf: float = 1.0
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """A cache that knows nothing of the corpus: the same words, else the nearest by cosine; for a while."""

    threshold: float
    seconds: float = math.inf
    gate: bool = True
    told: bool = False
    """Whether it is told, as no real cache is, which of its answers have become stale."""


PLAIN: Mapping[str, Plain] = {
    "the same questions, 24 h": Plain(threshold=0.95, seconds=86_400.0),
    "the same questions, 1 h": Plain(threshold=0.95, seconds=3_600.0),
    "cosine 0.75, no gate, 24 h": Plain(threshold=0.75, seconds=86_400.0, gate=False),
    "told what is stale": Plain(threshold=0.95, told=True),
}
"""Beside the shipped default: its own threshold and gate with a time to live in the place of freshness, a
threshold as low as the well-known claims come from, and what could be had at best."""


@dataclass(slots=True)
class Tally:
    """What came of one cache in one stream."""

    requests: int = 0
    exact: int = 0
    semantic: int = 0
    wrong: int = 0
    """Hits that answer another intent."""
    changed: int = 0
    """Stale: a document the answer was made from has changed or gone since."""
    new: int = 0
    """Stale: what a search for the answered question finds now was not there then."""
    reordered: int = 0
    """Not stale: nothing a search finds is newer, and nothing has changed, but it finds another selection."""
    ms: float = 0.0
    plain_ms: float = 0.0
    """Without a cache."""
    usd: float = 0.0
    plain_usd: float = 0.0
    counted: dict[str, int] = field(default_factory=dict[str, int])
    """What the cache itself counted: drops and refusals by reason."""

    @property
    def hits(self) -> int:
        return self.exact + self.semantic

    @property
    def stale(self) -> int:
        return self.changed + self.new


@dataclass(frozen=True, slots=True)
class _Answer:
    intent: int
    question: str
    made_from: tuple[Version, ...]
    step: int


class Corpus:
    """Documents on intents and others beside them, and who edits them."""

    def __init__(
        self, said: Sequence[tuple[str, Sequence[str]]], others: Sequence[Document], *, seed: int
    ) -> None:
        """*said*: of every intent its name, and texts its documents may say."""
        self._said = said
        self._others = {document.id: document.text for document in others}
        self._rng = np.random.default_rng(seed)
        self.versions: dict[str, int] = {}
        """What there is now."""
        self.since: dict[Version, int] = {}
        """Version to the step it came in."""
        self._of: dict[str, int] = {}
        self._added = 0

    def first(self) -> list[Document]:
        """One document on every intent, and the others."""
        own = [self._about(intent, f"intent-{intent}", step=0) for intent in range(len(self._said))]
        return own + [self._other(name, step=0) for name in self._others]

    def edit(self, index: Index, *, step: int) -> None:
        """Half of the edits change a document on an intent, a quarter one of the others; the rest adds or removes."""
        kind = self._rng.random()
        added = [name for name in self.versions if name.startswith("added-")]
        if kind < 0.5 or (kind < 0.75 and not self._others):
            name = str(self._rng.choice([name for name in self.versions if name in self._of]))
            index.add(self._about(self._of[name], name, step=step))
        elif kind < 0.75:
            index.add(self._other(str(self._rng.choice(list(self._others))), step=step))
        elif kind < 0.9 or not added:
            self._added += 1
            intent = int(self._rng.integers(len(self._said)))
            index.add(self._about(intent, f"added-{self._added}", step=step))
        else:
            name = str(self._rng.choice(added))
            del self.versions[name], self._of[name]
            index.remove(ids=[name])

    def _about(self, intent: int, name: str, *, step: int) -> Document:
        title, texts = self._said[intent]
        chosen = self._rng.permutation(len(texts))[:_SAID]
        self._of[name] = intent
        body = " ".join(texts[int(place)] for place in chosen)
        return self._version(name, f"{title.replace('_', ' ')}. {body}", step)

    def _other(self, name: str, *, step: int) -> Document:
        return self._version(name, self._others[name], step)

    def _version(self, name: str, text: str, step: int) -> Document:
        # A number is never given twice, also where a document was removed in between.
        number = 1 + max((v for n, v in self.since if n == name), default=0) if step else 1
        self.versions[name] = number
        self.since[name, number] = step
        return Document(id=name, text=f"{text} Version {number}.", metadata={"version": number})


class _Asking:
    """Questions by Zipf over intents, some of them asked before."""

    def __init__(self, texts: Sequence[Sequence[str]], traffic: Traffic) -> None:
        self._rng = np.random.default_rng(traffic.seed)
        self._repeated = traffic.repeated
        order = self._rng.permutation(len(texts))
        weights = 1.0 / np.arange(1, len(texts) + 1) ** traffic.zipf
        self._shares = np.empty(len(texts))
        self._shares[order] = weights / weights.sum()
        self._fresh = [[own[int(place)] for place in self._rng.permutation(len(own))] for own in texts]
        self._before: list[tuple[int, str]] = []

    def next(self) -> tuple[int, str]:
        """An intent, and a text that asks for it."""
        if self._before and (self._rng.random() < self._repeated or not any(self._fresh)):
            asked = self._before[int(self._rng.integers(len(self._before)))]
        else:
            intent = int(self._rng.choice(len(self._shares), p=self._shares))
            while not self._fresh[intent]:  # all of its texts were asked
                intent = int(self._rng.choice(len(self._shares), p=self._shares))
            asked = intent, self._fresh[intent].pop()
        self._before.append(asked)
        return asked


class _PlainCache:
    """`Plain` at work, by the clock of the stream."""

    def __init__(self, plain: Plain) -> None:
        self._plain = plain
        self._entries: list[tuple[str, _Answer, float]] = []
        self._vectors: list[Vector] = []
        self._exact: dict[str, int] = {}
        self._read: dict[str, Reading] = {}

    def lookup(
        self, text: str, vector: Vector, now: float, stale: Callable[[_Answer], str]
    ) -> tuple[str, _Answer] | None:
        place = self._exact.get(normalised(text))
        if place is not None and self._lasts(place, now, stale):
            return "exact", self._entries[place][1]
        if not self._entries:
            return None
        near = np.array(self._vectors) @ vector
        for place in np.argsort(-near, kind="stable")[:10].tolist():
            if near[place] < self._plain.threshold:
                break
            other, answer, _ = self._entries[place]
            doubted = self._plain.gate and doubts(self._reading(text), self._reading(other), words=True)
            if not doubted and self._lasts(place, now, stale):
                return "semantic", answer
        return None

    def store(self, text: str, vector: Vector, answer: _Answer, now: float) -> None:
        self._exact[normalised(text)] = len(self._entries)
        self._entries.append((text, answer, now + self._plain.seconds))
        self._vectors.append(vector)

    def _lasts(self, place: int, now: float, stale: Callable[[_Answer], str]) -> bool:
        _, answer, until = self._entries[place]
        return until > now and not (self._plain.told and stale(answer) in {"changed", "new"})

    def _reading(self, text: str) -> Reading:
        return self._read.setdefault(text, Reading.of(text))


class _Judge:
    """Whether an answer that is served is right and still holds, without asking the cache."""

    def __init__(self, index: Index, corpus: Corpus) -> None:
        self._index = index
        self._corpus = corpus
        self._found: dict[str, tuple[Version, ...]] = {}
        self._generation = 0

    def at(self, generation: int) -> None:
        """The state of the index that is asked about now."""
        if generation != self._generation:
            self._found.clear()
        self._generation = generation

    def stale(self, answer: _Answer) -> str:
        """ "changed" or "new" (see `Tally`); "reordered", which is not stale; or nothing."""
        now = self._found.get(answer.question)
        if now is None:
            found = self._index.search(answer.question, k=K)
            if found.trace.generation != self._generation:
                raise RuntimeError("the handle that judges does not see what was edited")
            now = self._found[answer.question] = versions(found)
        if any(self._corpus.versions.get(name) != version for name, version in answer.made_from):
            return "changed"
        if any(self._corpus.since[version] > answer.step for version in now):
            return "new"
        return "" if set(now) == set(answer.made_from) else "reordered"

    def note(self, tally: Tally, level: str, answer: _Answer, intent: int) -> None:
        """Count a hit."""
        if level == "exact":
            tally.exact += 1
        else:
            tally.semantic += 1
        tally.wrong += answer.intent != intent
        stale = self.stale(answer)
        tally.changed += stale == "changed"
        tally.new += stale == "new"
        tally.reordered += stale == "reordered"


def versions(found: Results) -> tuple[Version, ...]:
    """Which versions of which documents the hits are from."""
    said: list[Version] = []
    for hit in found:
        version: Any = hit.chunk.metadata["version"]
        said.append((hit.chunk.document_id, int(version)))
    return tuple(dict.fromkeys(said))


def run_stream(
    folder: Path,
    corpus: Corpus,
    texts: Sequence[Sequence[str]],
    traffic: Traffic,
    *,
    embedder: StaticEmbedder,
    standard: Standard | None = None,
    beside: Mapping[str, Plain] | None = None,
) -> dict[str, Tally]:
    """What `Index.cache` makes of a stream (under "ragweft"), and caches without freshness *beside* it.

    Args:
        folder: for the index; new.
        corpus: what there is and who edits it.
        texts: of every intent, in the corpus's order, what may be asked.
        traffic: how much, and how often the same.
        embedder: the index's own.
        standard: what was calibrated; None: the shipped default.
        beside: name to settings.
    """
    asking = _Asking(texts, traffic)
    edits = np.random.default_rng([traffic.seed, 1])
    others = {name: _PlainCache(plain) for name, plain in (beside or {}).items()}
    tallies = {name: Tally() for name in ("ragweft", *others)}
    with Index.open(folder) as index:
        index.add(corpus.first())
        if standard is not None:
            keep_standard(index, standard)
        # By searches of the same handle, which are not cached: to another one near ties may fall otherwise, for
        # its words are counted with and without what was removed lately.
        judge = _Judge(index, corpus)
        cache = index.cache(scope={"prompt": "v1"})
        for step in range(1, traffic.requests + 1):
            now = step * traffic.gap
            if edits.random() < traffic.edits:
                corpus.edit(index, step=step)
            intent, text = asking.next()
            vector = embedder.embed_query(text)
            begun = time.perf_counter()
            hit = cache.lookup(text)
            looked = (time.perf_counter() - begun) * 1000
            # Always searched, for what a program without a cache would have waited.
            begun = time.perf_counter()
            found = index.search(text, k=K)
            searched = (time.perf_counter() - begun) * 1000
            judge.at(found.trace.generation)
            made = _Answer(intent, text, versions(found), step)
            tally = tallies["ragweft"]
            if hit is None:
                cost = Cost(ms=ANSWER_MS + searched, tokens=TOKENS_IN + TOKENS_OUT, usd=ANSWER_USD)
                cache.store(text, _said(made), evidence=found, cost=cost)
            else:
                judge.note(tally, hit.level, _heard(hit.answer), intent)
            _charge(tally, looked, searched, served=hit is not None)
            for name, other in others.items():
                served = other.lookup(text, vector, now, judge.stale)
                if served is None:
                    other.store(text, vector, made, now)
                else:
                    judge.note(tallies[name], *served, intent)
                # A lookup counts for as much as ragweft's: theirs are not measured here.
                _charge(tallies[name], looked, searched, served=served is not None)
        tallies["ragweft"].counted = {what: times for what, (times, _) in _counted(index).items()}
    return tallies


def keep_standard(index: Index, standard: Standard) -> None:
    """Have the index's cache go by *standard*, as `ragweft cache calibrate` has it."""
    with index._serving.use() as engine:
        engine.answering.cache.keep_standard(standard)


def _counted(index: Index) -> Mapping[str, tuple[int, Cost]]:
    with index._serving.use() as engine:
        return engine.answering.cache.tally()


def _charge(tally: Tally, looked: float, searched: float, *, served: bool) -> None:
    tally.requests += 1
    tally.plain_ms += searched + ANSWER_MS
    tally.plain_usd += ANSWER_USD
    tally.ms += looked if served else looked + searched + ANSWER_MS
    tally.usd += 0.0 if served else ANSWER_USD


def _said(answer: _Answer) -> dict[str, Any]:
    made_from = [list(version) for version in answer.made_from]
    return {"intent": answer.intent, "question": answer.question, "from": made_from, "step": answer.step}


def _heard(said: Any) -> _Answer:
    made_from = tuple((str(name), int(version)) for name, version in said["from"])
    return _Answer(int(said["intent"]), str(said["question"]), made_from, int(said["step"]))
