"""Which questions the cache takes for the same: intents, near-misses by design, labelled pairs, and its peers."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from cache_common import Comparing, Section, load_banking, load_pairs, most, percent, table, unit_rows

from ragweft.caching.calibrating import Pair, calibrate
from ragweft.caching.likeness import Likeness
from ragweft.caching.standard import DEFAULT
from ragweft.caching.values import MEASURES
from ragweft.embedding.static import StaticEmbedder

if TYPE_CHECKING:
    from cache_common import Banking, Found
    from numpy.typing import NDArray

    from ragweft.caching.standard import Standard
    from ragweft.protocols import Embedder

__all__ = ["banking", "covid", "labelled", "paws", "peers"]

PRECISIONS = (0.95, 0.99)
ASKED = {"static": (0.62, 0.12), "MiniLM": (0.78, None)}
HALVES = 40
TARGET = 0.01
_COVID = ("cache_covidfaq", "pairs.test.jsonl")
_PAWS = ("cache_paws", "pairs.dev.en.jsonl")


def banking(data: Path, embedders: Mapping[str, Embedder]) -> Section:
    """How many of the questions that were sent can be served with an answer of their own intent."""
    asked = load_banking(data)
    rows: list[list[str]] = []
    numbers: dict[str, Any] = {}
    served: dict[str, Any] = {}
    for name, embedder in embedders.items():
        comparing = Comparing(embedder, asked.cached)
        near = comparing.nearest(asked.sent)
        for measure in MEASURES:
            for gate in (False, True):
                found = comparing.found(asked.sent, near, measure=measure, gate=gate)
                right = _right(asked, found)
                reached = {precision: most(found, right, precision=precision) for precision in PRECISIONS}
                label = f"{name}, {measure}{', gate' if gate else ''}"
                numbers[label] = {f"at {p:.0%}": {"share": s, "from": t} for p, (s, t) in reached.items()}
                numbers[label]["first is right"] = float(right.mean())
                if (name, measure, gate) == ("static", DEFAULT.measure, True):
                    shipped = comparing.found(asked.sent, near, measure=measure, gate=True, words=True)
                    numbers["shipped default"] = served = _served(asked, shipped, DEFAULT.threshold)
                rows.append(
                    [
                        label,
                        percent(right.mean()),
                        *(f"{share:.3f} (from {score:.3f})" for share, score in reached.values()),
                    ]
                )
    header = ["", "first is right", *(f"served at {precision:.0%} precision" for precision in PRECISIONS)]
    aims = "; ".join(
        f"{name} {' and '.join(f'{aim:.2f}' for aim in aims if aim is not None)}"
        for name, aims in ASKED.items()
    )
    text = (
        f"{len(asked.cached):,} questions cached, {len(asked.sent):,} sent; a hit is right when the intents agree. "
        "The largest share of what was sent that can be served with that precision, ties of a score taken "
        "together; of the ten nearest by cosine the most alike, with the gate the first it does not doubt. "
        f"Asked at {' and '.join(f'{p:.0%}' for p in PRECISIONS)}: {aims}. cosine alone is the embedder's own "
        "similarity; mixed and words are `ragweft.caching.likeness`.\n\n"
        + table(header, rows)
        + f"\n\nShipped default ({DEFAULT.measure} from {DEFAULT.threshold:g}, gate, static): {served['hits']} of "
        f"{len(asked.sent):,} served ({percent(served['rate'])}), {served['wrong']} of them wrong, precision "
        f"{percent(served['precision'])}."
    )
    return Section(title="Intents: banking77", text=text, numbers=numbers)


def labelled(asked: Banking, embedder: Embedder) -> list[Pair]:
    """Pairs out of the cached questions: each with its nearest of the same and of another intent."""
    vectors = unit_rows(embedder.embed_documents(asked.cached))
    pairs: dict[tuple[int, int], Pair] = {}
    for number, (vector, intent) in enumerate(zip(vectors, asked.cached_intents, strict=True)):
        near = vectors @ vector
        near[number] = -np.inf
        same = asked.cached_intents == intent
        for fits in (same, ~same):
            other = int(np.where(fits, near, -np.inf).argmax())
            if fits[other] and other != number:
                pair = Pair(asked=asked.cached[number], other=asked.cached[other], same=bool(same[other]))
                pairs[min(number, other), max(number, other)] = pair
    return list(pairs.values())


def paws(data: Path, embedder: Embedder) -> Section:
    """Pairs of the same words in another order: how many of those with another meaning pass."""
    pairs = load_pairs(data.joinpath(*_PAWS))
    compared = _Pairs(pairs, embedder)
    rows = {
        f"plain cosine from {DEFAULT.threshold:g}": compared.passing(DEFAULT, gate=False),
        "shipped default": compared.passing(DEFAULT, gate=True),
    }
    numbers = {label: _shares(passing, compared.same) for label, passing in rows.items()}
    text = (
        f"{int(compared.same.sum()):,} paraphrases and {int((~compared.same).sum()):,} pairs that mean something "
        "else, of the same words by design. Asked: at most 2 % of the latter.\n\n"
        + table(
            ["", "other meaning, served", "paraphrases, served"],
            [
                [label, percent(shares["other meaning"]), percent(shares["paraphrases"])]
                for label, shares in numbers.items()
            ],
        )
    )
    return Section(title="Near-misses by design: PAWS dev", text=text, numbers=numbers)


def covid(data: Path, embedder: Embedder, *, halves: int = HALVES) -> Section:
    """Calibrated on one half of labelled pairs, tested on the other, for many ways to halve them."""
    pairs = load_pairs(data.joinpath(*_COVID))
    likeness = Likeness(StaticEmbedder())
    tested: list[dict[str, float]] = []
    standards: list[Standard] = []
    plain: list[dict[str, float]] = []
    for seed in range(halves):
        mixed = list(pairs)
        random.Random(seed).shuffle(mixed)
        half = len(mixed) // 2
        standard = calibrate(mixed[:half], embed=embedder.embed_query, likeness=likeness, target=TARGET)
        held_out = _Pairs(mixed[half:], embedder)
        standards.append(standard)
        tested.append(_shares(held_out.passing(standard, gate=True), held_out.same))
        plain.append(_shares(held_out.passing(DEFAULT, gate=False), held_out.same))
    rows: list[list[str]] = []
    numbers: dict[str, Any] = {}
    for label, shares in ((f"plain cosine from {DEFAULT.threshold:g}", plain), ("calibrated", tested)):
        columns = {kind: np.array([each[kind] for each in shares]) for kind in ("paraphrases", "other meaning")}
        numbers[label] = {
            kind: {"mean": float(found.mean()), "spread": float(found.std()), "each": found.round(4).tolist()}
            for kind, found in columns.items()
        }
        within = float((columns["other meaning"] <= TARGET).mean())
        numbers[label]["halves within the target"] = {"share": within}
        rows.append(
            [
                label,
                *(f"{percent(found.mean())} ± {100 * found.std():.1f}" for found in columns.values()),
                percent(within),
            ]
        )
    chosen = {measure: sum(each.measure == measure for each in standards) for measure in MEASURES}
    numbers["standards"] = {"each": [told(standard) for standard in standards]}
    levels = [standard.threshold for standard in standards if standard.semantic]
    text = (
        f"{len(pairs)} labelled pairs; calibrated on one half (target {TARGET:.0%}), tested on the other, {halves} "
        "ways to halve them; mean and standard deviation. Asked: at least 55 % of the paraphrases at no more than "
        "1 % of the others.\n\n"
        + table(["", "paraphrases, served", "other meaning, served", "halves with at most 1 %"], rows)
        + "\n\nChosen: "
        + ", ".join(f"{measure} {times} times" for measure, times in chosen.items())
        + (f"; threshold {np.median(levels):.3f} (median)." if levels else "; no threshold would do.")
    )
    return Section(title="Calibrated: covidfaq", text=text, numbers=numbers)


def peers(data: Path, embedder: Embedder) -> Section:
    """What GPTCache's and redisvl's algorithm would serve at their published defaults, and this one."""
    asked = load_banking(data)
    comparing = Comparing(embedder, asked.cached)
    near = comparing.nearest(asked.sent)
    first = comparing.found(asked.sent, near, measure="cosine", gate=False)
    shipped = comparing.found(asked.sent, near, measure=DEFAULT.measure, gate=True, words=True)
    standard = calibrate(
        labelled(asked, embedder),
        embed=embedder.embed_query,
        likeness=Likeness(StaticEmbedder()),
        target=TARGET,
    )
    calibrated = comparing.found(
        asked.sent, near, measure=standard.measure, gate=True, parlance=standard.parlance
    )
    questions = {
        "GPTCache": _count(asked, first, _gptcache(first.scores)),
        "redisvl": _count(asked, first, _redisvl(first.scores)),
        "ragweft, shipped default": _served(asked, shipped, DEFAULT.threshold),
        "ragweft, calibrated on the cached questions": _served(asked, calibrated, standard.threshold),
    }
    rows = [
        ["banking77", label, percent(c["rate"]), str(c["hits"]), str(c["wrong"]), percent(1 - c["precision"])]
        for label, c in questions.items()
    ]
    numbers: dict[str, Any] = {"banking77": questions, "standard": told(standard)}
    for name, file in (("PAWS dev", _PAWS), ("covidfaq", _COVID)):
        pairs = load_pairs(data.joinpath(*file))
        compared = _Pairs(pairs, embedder)
        passing = {
            "GPTCache": _gptcache(compared.cosines),
            "redisvl": _redisvl(compared.cosines),
            "ragweft, shipped default": compared.passing(DEFAULT, gate=True),
            "ragweft, each half calibrated on the other": _crosswise(pairs, compared, embedder),
        }
        numbers[name] = {}
        for label, served in passing.items():
            hits, wrong = int(served.sum()), int((served & ~compared.same).sum())
            recalled = float(served[compared.same].mean())
            numbers[name][label] = {"hits": hits, "wrong": wrong, "paraphrases": recalled}
            wrongly = percent(wrong / hits) if hits else "–"
            rows.append(
                [name, label, f"{percent(recalled)} of the paraphrases", str(hits), str(wrong), wrongly]
            )
    text = (
        "Their algorithms as published, at their published defaults, over this project's static embedder "
        "(theirs would be neural ones: GPTCache's ONNX ALBERT, redisvl's langcache-embed-v1):\n\n"
        "- GPTCache 0.1.44, `init_similar_cache` (`adapter/api.py`): the nearest by squared L2 of unit vectors "
        "(`manager/data_manager.py`, `vector_data/faiss.py`, top_k 1), scored 4 less the distance "
        "(`similarity_evaluation/distance.py`), a hit from 0.8 x 4 on (`config.py`, `adapter/adapter.py`): a "
        "cosine of 0.6.\n"
        "- redisvl 0.28.0, `SemanticCache` (`extensions/cache/llm/semantic.py`): the nearest within a cosine "
        "distance of 0.1.\n\n"
        + table(["", "", "served", "hits", "wrong", "of the hits wrong"], rows)
        + "\n\nCalibrated on the cached questions: each banking77 question that is cached, with the nearest of its "
        f"own and of another intent; {standard.measure} from {standard.threshold:.3f}. A threshold above 1 serves "
        "the same words only."
    )
    return Section(title="Peers at their defaults", text=text, numbers=numbers)


def _crosswise(pairs: Sequence[Pair], compared: _Pairs, embedder: Embedder) -> NDArray[np.bool_]:
    """What is served of each half of *pairs* by what the other half was calibrated to."""
    likeness = Likeness(StaticEmbedder())
    first = np.zeros(len(pairs), dtype=bool)
    first[np.random.default_rng(0).permutation(len(pairs))[: len(pairs) // 2]] = True
    served = np.zeros(len(pairs), dtype=bool)
    for half in (first, ~first):
        learnt = [pairs[number] for number in np.flatnonzero(~half).tolist()]
        standard = calibrate(learnt, embed=embedder.embed_query, likeness=likeness, target=TARGET)
        served |= half & compared.passing(standard, gate=True)
    return served


def _gptcache(cosines: NDArray[Any]) -> NDArray[np.bool_]:
    largest = 4.0
    distances = np.clip(2.0 - 2.0 * cosines, 0.0, largest)
    served: NDArray[np.bool_] = largest - distances >= 0.8 * largest
    return served


def _redisvl(cosines: NDArray[Any]) -> NDArray[np.bool_]:
    served: NDArray[np.bool_] = 1.0 - cosines <= 0.1
    return served


class _Pairs:
    """Pairs, each compared as if the other question were cached, among all the others' like."""

    def __init__(self, pairs: Sequence[Pair], embedder: Embedder) -> None:
        self._pairs = pairs
        self._comparing = Comparing(embedder, [pair.other for pair in pairs])
        asked = unit_rows(embedder.embed_documents([pair.asked for pair in pairs]))
        self.cosines = np.einsum("nd,nd->n", asked, self._comparing.vectors)
        self.same = np.array([pair.same for pair in pairs], dtype=bool)

    def passing(self, standard: Standard, *, gate: bool) -> NDArray[np.bool_]:
        """Which of them *standard* serves."""
        alike = np.array(
            [
                self._comparing.alike(
                    pair.asked,
                    [n],
                    self.cosines[n : n + 1],
                    measure=standard.measure,
                    parlance=standard.parlance,
                )[0]
                for n, pair in enumerate(self._pairs)
            ]
        )
        through = alike >= standard.threshold
        if gate:
            for number in np.flatnonzero(through).tolist():
                pair = self._pairs[number]
                words = standard.origin == DEFAULT.origin
                through[number] = not self._comparing.doubted(
                    pair.asked, pair.other, standard.parlance, words=words
                )
        return np.asarray(through, dtype=bool)


def told(standard: Standard) -> dict[str, Any]:
    """What a standard says, less the words it was learnt from."""
    return asdict(replace(standard, parlance=None))


def _shares(passing: NDArray[np.bool_], same: NDArray[np.bool_]) -> dict[str, float]:
    return {"paraphrases": float(passing[same].mean()), "other meaning": float(passing[~same].mean())}


def _right(asked: Banking, found: Found) -> NDArray[np.bool_]:
    right: NDArray[np.bool_] = asked.cached_intents[found.places] == asked.sent_intents
    return right


def _served(asked: Banking, found: Found, threshold: float) -> dict[str, Any]:
    return _count(asked, found, found.scores >= threshold)


def _count(asked: Banking, found: Found, served: NDArray[np.bool_]) -> dict[str, Any]:
    hits, right = int(served.sum()), int((served & _right(asked, found)).sum())
    return {
        "hits": hits,
        "wrong": hits - right,
        "rate": hits / len(served),
        "precision": right / hits if hits else 1.0,
    }
