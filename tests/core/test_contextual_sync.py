"""Passages embedded within their documents, through a whole index: what is paid again, and what is kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from provider_double import ProviderDouble
from ragweft import Document, Index
from ragweft.errors import BudgetExceeded, ProviderError
from ragweft.recipe import Chunking, Dense, Embedding, Recipe

KEY = "sk-test-0123456789abcdefghij"


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> Iterator[ProviderDouble]:
    monkeypatch.setenv("VOYAGE_API_KEY", KEY)
    monkeypatch.setenv("JINA_API_KEY", KEY)
    with ProviderDouble() as running:
        yield running


def recipe(double: ProviderDouble, *, window: int = 600) -> Recipe:
    return Recipe(
        embedding=Embedding(
            model="voyage:voyage-context-3", base_url=double.base("voyage"), window=window, at_once=1
        ),
        dense=Dense(engine="flat"),
        chunking=Chunking(strategy="recursive", size=160),
    )


def book(parts: int = 40, *, title: str = "Book") -> str:
    return f"# {title}\n\n" + "\n\n".join(
        f"Part {n}. " + " ".join(f"word{n}x{m} goes on" for m in range(12)) for n in range(parts)
    )


def sent(double: ProviderDouble, since: int = 0) -> list[list[str]]:
    groups: list[list[str]] = []
    for request in double.requests[since:]:
        assert isinstance(request.body, dict)
        groups += [group for group in request.body["inputs"] if len(group) > 1 or "Part" in group[0]]
    return groups


def test_a_long_document_goes_out_in_stretches_without_overlap(double: ProviderDouble, tmp_path: Path) -> None:
    with Index.open(tmp_path / "kb", recipe=recipe(double)) as index:
        index.add([Document(id="book", text=book(), format="markdown")])
        hits = index.document("book")
        spans = [hit.chunk.span for hit in hits]
        assert all(a.end <= b.start for a, b in zip(spans, spans[1:], strict=False) if a and b), "no overlap"
        stretches = sent(double)
        assert 1 < len(stretches) < len(hits)
        for stretch in stretches:
            assert all(text.startswith("Part") or "Book" in text for text in stretch)
            assert sum("Book" in text for text in stretch) <= 1, "one context is enough for a stretch"
        assert index.search("word7x3")[0].chunk.document_id == "book"


def test_an_edit_pays_for_the_stretches_it_touches(double: ProviderDouble, tmp_path: Path) -> None:
    with Index.open(tmp_path / "kb", recipe=recipe(double)) as index:
        index.add([Document(id="book", text=book(), format="markdown")])
        total = len(sent(double))
        since = len(double.requests)
        index.add([Document(id="book", text=book() + "\n\nThe very end.", format="markdown")])
        again = len(sent(double, since))
        assert 0 < again <= 2 < total
        since = len(double.requests)
        index.add([Document(id="copy", text=book(), format="markdown")])
        assert sent(double, since) == [], "a copy is known"


def test_stretches_are_kept_when_a_cap_or_a_failure_stops_the_rest(
    double: ProviderDouble, tmp_path: Path
) -> None:
    document = Document(id="book", text=book(120), format="markdown")
    with Index.open(tmp_path / "whole", recipe=recipe(double)) as index:
        whole = index.add([document]).usage
    spent = 0.0
    with Index.open(tmp_path / "kb", recipe=recipe(double)) as index:
        runs = 0
        while True:
            runs += 1
            assert runs < 30, "it has to come to an end"
            try:
                index.add([document], max_usd=whole.usd * 0.6)
                break
            except BudgetExceeded:
                status = index.status()
                assert status.spent.usd > spent, "every run gets further"
                spent = status.spent.usd
        assert runs > 1
        assert index.status().spent.tokens == whole.tokens, "nothing is paid twice"


def test_what_came_before_a_failure_is_kept(double: ProviderDouble, tmp_path: Path) -> None:
    document = Document(id="book", text=book(120), format="markdown")
    model = Embedding(
        model="jina:jina-embeddings-v3", base_url=double.base("jina"), window=600, at_once=1, late_chunking=True
    )
    late = replace(recipe(double), embedding=model)
    with Index.open(tmp_path / "whole", recipe=late) as index:
        whole = index.add([document]).usage
    assert whole.calls > 2, "a stretch is a request"
    double.fail("jina", status=403, after=whole.calls // 2)
    with Index.open(tmp_path / "broken", recipe=late) as index:
        with pytest.raises(ProviderError):
            index.add([document])
        assert 0 < index.status().spent.tokens < whole.tokens
        index.add([document])
        assert index.status().spent.tokens == whole.tokens
