"""Every way of cutting that a recipe names, through a whole index."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from conftest import FLAT, GUIDE, RECIPES, SERVER
from ragweft import Document, Index, estimate_reindex
from ragweft.recipe import Chunking, Recipe

STRATEGIES = Chunking.__dataclass_fields__["strategy"].metadata["choices"]
TEXTS = {"guide": (GUIDE * 6, "markdown"), "server": (SERVER * 6, "python"), "pudding": (RECIPES * 9, "rst")}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_indexes_and_finds(tmp_path: Path, strategy: str) -> None:
    recipe = replace(FLAT, chunking=Chunking(strategy=strategy, size=160))
    with Index.open(tmp_path / "kb", recipe=recipe) as index:
        index.add([Document(id=name, text=text, format=kind) for name, (text, kind) in TEXTS.items()])
        for name, (text, _) in TEXTS.items():
            chunks = [hit.chunk for hit in index.document(name)]
            assert len(chunks) > 1
            for chunk in chunks:
                assert chunk.span is not None
                assert text[chunk.span.start : chunk.span.end] == chunk.text
        assert index.search("rotate a signing key")[0].chunk.document_id == "guide"
        assert index.search("custard over bread")[0].chunk.document_id == "pudding"
        assert index.verify().ok


def test_settings_of_the_semantic_cut_decide(tmp_path: Path) -> None:
    def chunks(folder: str, *, threshold: float, minimum: float) -> int:
        chunking = Chunking(strategy="semantic", size=400, overlap=0.0, threshold=threshold, minimum=minimum)
        with Index.open(tmp_path / folder, recipe=replace(FLAT, chunking=chunking)) as index:
            index.add([Document(id="guide", text=GUIDE * 12, format="text")])
            return index.status().chunks

    assert chunks("few", threshold=100.0, minimum=0.25) < chunks("many", threshold=40.0, minimum=0.0)


def test_a_dry_run_of_a_semantic_cut_asks_no_service(tmp_path: Path) -> None:
    with Index.open(tmp_path / "kb", recipe=FLAT) as index:
        index.add([Document(id="guide", text=GUIDE * 6)])
    semantic = Recipe(dense=FLAT.dense, chunking=Chunking(strategy="semantic"))
    estimate, _ = estimate_reindex(tmp_path / "kb", semantic)
    assert estimate.documents == 1
    assert estimate.usd == 0.0
