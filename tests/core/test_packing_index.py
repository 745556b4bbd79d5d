"""What a search found, packed for a prompt: sections from the ledger, at the prompt and in a program."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import TYPE_CHECKING

from cli_runner import Cli, settled
from conftest import FLAT
from ragweft import Chunk, Document, Index
from ragweft.recipe import Chunking, Recipe

if TYPE_CHECKING:
    import pytest

PAGE = """# Keys

Every service holds a signing key.

## Rotating

Run the rotation command to rotate a signing key now.

The old key stays valid for one hour after that.

## Losing

Revoke a lost key and tell its owners at once.
"""
SMALL = Recipe(dense=FLAT.dense, chunking=Chunking(strategy="recursive", size=128))


def page(parts: int = 30) -> str:
    return "# Book\n\n" + "\n\n".join(
        f"## Part {n}\n\n" + " ".join(f"Sentence {m} of part{n} tells of word{n}x{m}." for m in range(40))
        for n in range(parts)
    )


def test_a_hit_is_read_with_its_section(tmp_path: Path) -> None:
    small = Recipe(dense=FLAT.dense, chunking=Chunking(size=128))
    with Index.open(tmp_path / "kb", recipe=small) as index:
        index.add([Document(id="book", text=page(), format="markdown", title="Book")])
        results = index.search("word7x3", k=1)
        narrow = results.as_context(expand="none")
        wide = results.as_context(max_tokens=1_500)
        assert narrow.passages[0].text == results[0].chunk.text.strip("\n")
        (passage,) = wide.passages
        assert "word7x0" in passage.text
        assert "word7x39" in passage.text
        assert "word8x0" not in passage.text
        assert "word6x39" not in passage.text
        assert passage.text in page()
        first, last = passage.citation.lines or (0, 0)
        assert passage.text == "\n".join(page().split("\n")[first - 1 : last])
        assert wide.tokens <= 1_500
        assert "word8x0" in str(results.as_context(max_tokens=4_000, expand="document"))


def test_results_that_were_pickled_are_packed_as_they_are(tmp_path: Path) -> None:
    with Index.open(tmp_path / "kb", recipe=SMALL) as index:
        index.add([Document(id="book", text=page(), format="markdown")])
        results = index.search("word7x3", k=3)
        again = pickle.loads(pickle.dumps(results))
        assert again == results
        assert str(again.as_context(expand="none")) == str(results.as_context(expand="none"))
        assert again.as_context().passages


def test_a_document_changed_after_the_search_is_not_mixed_in(tmp_path: Path) -> None:
    with Index.open(tmp_path / "kb", recipe=SMALL) as index:
        index.add([Document(id="book", text=page(), format="markdown")])
        results = index.search("word7x3", k=1)
        index.add([Document(id="book", text="# New\n\nAll is new now.", format="markdown")])
        (passage,) = results.as_context(expand="document").passages
        assert passage.text == results[0].chunk.text.strip("\n")


def test_given_chunks_are_packed_too(tmp_path: Path) -> None:
    with Index.open(tmp_path / "kb", recipe=SMALL) as index:
        index.add(
            [Chunk(id=f"c{n}", document_id="d", text=f"part {n} about bees", ordinal=n) for n in range(4)]
        )
        packed = index.search("bees", k=4).as_context()
        assert sorted(passage.text for passage in packed.passages) == [f"part {n} about bees" for n in range(4)]


def test_diversity_reads_the_vectors(tmp_path: Path) -> None:
    with Index.open(tmp_path / "kb", recipe=SMALL) as index:
        index.add(
            [
                Document(id="a", text="bees make honey in spring and summer"),
                Document(id="b", text="bees make honey in spring and autumn"),
                Document(id="c", text="a bees market sells clocks"),
            ]
        )
        results = index.search("bees make honey in spring", k=3)
        plain = [passage.document_id for passage in results.as_context().passages]
        mixed = [passage.document_id for passage in results.as_context(diversity=0.7).passages]
        assert plain.index("c") == 2
        assert mixed.index("c") == 1


def test_at_the_prompt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settled(monkeypatch, tmp_path)
    cli = Cli(capsys)
    (tmp_path / "keys.md").write_text(PAGE)
    assert cli("sync", "keys.md").code == 0
    found = cli("search", "rotate a signing key", "--context", "200")
    assert found.code == 0, found.err
    assert found.out.startswith("[1] keys.md:")
    assert "Run the rotation command" in found.out
    payload = json.loads(cli("search", "rotate a signing key", "--context", "200", "--json").out)
    assert payload["tokens"] <= 200
    assert payload["passages"][0]["source"] == "keys.md"
    tiny = cli("search", "rotate a signing key", "--context", "1")
    assert (tiny.code, "allow more" in tiny.err, tiny.out) == (0, True, "")


def test_a_hit_is_cut_to_the_sentence_that_answers(tmp_path: Path) -> None:
    text = "# Keys\n\n" + " ".join(f"Nothing of note happens in month {n}." for n in range(40))
    text += " A lost key is revoked at once. Then all goes on as before."
    with Index.open(tmp_path / "kb", recipe=FLAT) as index:
        index.add([Document(id="keys", text=text, format="markdown", title="Keys")])
        (passage,) = index.search("when are lost keys revoked?", k=1).as_context(max_tokens=40).passages
    assert passage.text.startswith("[…] ")
    assert "A lost key is revoked at once." in passage.text
    assert passage.text.removeprefix("[…] ").removesuffix(" […]") in text
    assert passage.cut
