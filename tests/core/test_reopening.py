"""An object of another package, opened again: its size is known, so nobody pays to ask for it."""

from __future__ import annotations

from pathlib import Path

from conftest import FLAT
from ragweft import Document, Index


class Embeddings:
    """As LangChain's: it does not say its size."""

    model = "acme-embed"

    def __init__(self) -> None:
        self.asked = 0

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.asked += 1
        return [[float(len(text)), 1.0, 2.0] for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


def test_reopening_asks_nobody_for_the_size(tmp_path: Path) -> None:
    with Index.open(tmp_path / "kb", recipe=FLAT, embedder=Embeddings()) as index:
        index.add([Document(id="d", text="bees make honey")])
        calls = index.status().spent.calls
    again = Embeddings()
    with Index.open(tmp_path / "kb", embedder=again) as index:
        assert again.asked == 0
        assert index.status().spent.calls == calls
        assert index.search("bees")
