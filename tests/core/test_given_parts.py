"""Contexts and cuts of a program's own parts are not replaced unawares by those of the recipe."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from context_index import body, chunks_of
from context_index import keyed_cli as keyed_cli
from ragweft import Document, Index, Recipe, estimate_reindex, reindex
from ragweft.context import LLMContextualizer, OutlineContextualizer
from ragweft.embedding.static import StaticEmbedder
from ragweft.errors import BudgetExceeded, RecipeError
from ragweft.recipe import Context, Dense
from ragweft.types import Chunk, Span, chunk_id

if TYPE_CHECKING:
    from cli_runner import Cli

FLAT = Recipe(dense=Dense(engine="flat"))


def model(prompt: str) -> str:
    return f"Of berth matters in the port's own log, {len(prompt)} signs read"


class Halves:
    """A chunker of the caller's own."""

    fingerprint = "halves/1"

    def chunk(self, document: Document) -> Sequence[Chunk]:
        middle = len(document.text) // 2
        spans = [Span(start=0, end=middle), Span(start=middle, end=len(document.text))]
        return [
            Chunk(
                id=chunk_id(document.id, span, document.text[span.start : span.end]),
                document_id=document.id,
                text=document.text[span.start : span.end],
                ordinal=place,
                span=span,
            )
            for place, span in enumerate(spans)
        ]


@pytest.fixture(name="notes")
def folder_of_notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "log.md").write_text("# Port log\n\n" + body(0, 5))
    return folder


@pytest.fixture(name="kb")
def index_with_given_contexts(cli: Cli, notes: Path) -> Path:
    del cli  # for its working directory
    with Index.open("kb", recipe=FLAT, contextualizer=LLMContextualizer(model)) as index:
        index.sync(notes)
    assert by_the_model("kb")
    return Path("kb")


def by_the_model(folder: Path | str) -> bool:
    return all("berth matters" in chunk.context for chunk in chunks_of(folder, "notes"))


WRITES: dict[str, Callable[[Index, Path], object]] = {
    "sync": lambda index, notes: index.sync(notes),
    "add": lambda index, notes: index.add(
        Document(id=chunks_of("kb", "notes")[0].document_id, text="of nothing")
    ),
    "estimate": lambda index, notes: index.estimate(notes),
}


@pytest.mark.parametrize("verb", list(WRITES))
def test_contexts_that_were_given_are_not_replaced_in_silence(kb: Path, notes: Path, verb: str) -> None:
    before = chunks_of(kb, "notes")
    with Index.open(kb) as index:
        with pytest.raises(RecipeError, match=r"test_given_parts\.model") as refused:
            WRITES[verb](index, notes)
        told = str(refused.value)
        assert "\n" not in told
        assert "Index.open(…, contextualizer=…)" in told
        assert "ragweft reindex context.kind=outline" in told
        assert index.search("harbour crane"), "reading needs nobody"
    assert chunks_of(kb, "notes") == before


def test_the_command_line_says_it_in_one_line_and_searches_on(cli: Cli, kb: Path, notes: Path) -> None:
    for verb in (
        ("sync", str(notes)),
        ("sync", str(notes), "--dry-run"),
        ("reindex",),
        ("reindex", "--dry-run"),
    ):
        ran = cli(*verb, "--index", str(kb))
        assert ran.code == 1, verb
        assert ran.err.count("\n") == 1
        assert "ragweft reindex context.kind=outline" in ran.err
    assert cli("search", "harbour crane", "--index", str(kb)).code == 0
    assert cli("verify", "--index", str(kb)).code == 0
    assert by_the_model(kb)


def test_given_again_they_are_as_they_were(kb: Path, notes: Path) -> None:
    with Index.open(kb, contextualizer=LLMContextualizer(model)) as index:
        assert index.sync(notes).unchanged == 1
        assert index.add(Document(id="x", text="of nothing")).added == 1
    with Index.open(kb) as index:
        assert index.remove(ids=["x"]).removed == 1
        assert index.add(Chunk(id="c", document_id="cut", text="given as it is")).added == 1, (
            "no context is made"
        )


def test_on_purpose_they_go(cli: Cli, kb: Path, notes: Path) -> None:
    ran = cli("reindex", "context.kind=outline", "--index", str(kb), "--dry-run")
    assert ran.code == 0
    assert "test_given_parts.model" in ran.err, "what goes is said before"
    ran = cli("reindex", "context.kind=outline", "--index", str(kb))
    assert ran.code == 0
    assert "test_given_parts.model" in ran.err
    assert not by_the_model(kb)
    assert cli("sync", str(notes), "--index", str(kb)).code == 0
    # And back, for nothing.
    done = reindex(kb, contextualizer=LLMContextualizer(model))
    assert (done.usage.calls, done.warnings) == (0, ())
    assert by_the_model(kb)
    with pytest.raises(RecipeError, match="contextualizer"):
        estimate_reindex(kb)
    with Index.open(kb) as index, pytest.raises(RecipeError, match="contextualizer"):
        index.sync(notes)


def test_who_changes_something_else_does_not_mean_them(cli: Cli, kb: Path) -> None:
    for changes in (("chunking.size=300",), ("embedding.dims=128",)):
        ran = cli("reindex", *changes, "--index", str(kb))
        assert (ran.code, ran.err.count("\n")) == (1, 1)
        assert "ragweft reindex context.kind=outline" in ran.err
    assert by_the_model(kb)
    assert reindex(kb, Recipe(dense=Dense(engine="flat"))).changed, "who names what there is means all of it"
    assert not by_the_model(kb)


class Stamp:
    """A contextualizer of the caller's own that asks nobody."""

    fingerprint = "stamp/1"

    def contextualize(self, document: Document, chunks: Sequence[Chunk]) -> Sequence[Chunk]:
        return [replace(chunk, context=f"Stamped {document.id[-6:]}") for chunk in chunks]


def test_a_contextualizer_that_asks_nobody_is_remembered_too(cli: Cli, notes: Path) -> None:
    with Index.open("kb", recipe=FLAT, contextualizer=Stamp()) as index:
        index.sync(notes)
        (held,) = index.status().contexts
        assert (held.kind, held.model) == ("own", "")
    ran = cli("sync", str(notes), "--index", "kb")
    assert ran.code == 1
    assert "Stamp (stamp/1)" in ran.err


def test_an_edited_recipe_is_on_purpose_too(cli: Cli, kb: Path, notes: Path) -> None:
    file = kb / "ragweft.toml"
    file.write_text(file.read_text().replace('kind = "outline"', 'kind = "none"'))
    assert cli("sync", str(notes), "--index", str(kb)).code == 0
    assert not any(chunk.context for chunk in chunks_of(kb, "notes"))


def test_what_was_never_written_stands_in_nobodys_way(cli: Cli, notes: Path) -> None:
    def wrong(prompt: str) -> str:
        raise BudgetExceeded(f"a prompt of {len(prompt)} signs is too dear")

    with (
        Index.open("kb", recipe=FLAT, contextualizer=LLMContextualizer(wrong)) as index,
        pytest.raises(BudgetExceeded),
    ):
        index.sync(notes)
    assert cli("sync", str(notes), "--index", "kb").code == 0


def test_a_given_chunker_is_remembered_likewise(cli: Cli, notes: Path) -> None:
    with Index.open("kb", recipe=FLAT, chunker=Halves()) as index:
        index.sync(notes)
        assert len(chunks_of("kb", "notes")) == 2
    ran = cli("sync", str(notes), "--index", "kb")
    assert ran.code == 1
    assert "Halves" in ran.err
    assert "Index.open(…, chunker=…)" in ran.err
    assert "ragweft reindex chunking.strategy=structure" in ran.err
    assert len(chunks_of("kb", "notes")) == 2
    assert cli("reindex", "chunking.strategy=structure", "--index", "kb").code == 0
    assert len(chunks_of("kb", "notes")) > 2
    assert cli("sync", str(notes), "--index", "kb").code == 0


def test_status_says_what_contexts_there_are_and_by_whom(cli: Cli, kb: Path, notes: Path) -> None:
    told = cli("status", "--index", str(kb)).out
    name = f"{model.__module__}.{model.__qualname__}"
    assert f"contexts    llm by {name} (1 document)\n" in told
    (held,) = json.loads(cli("status", "--index", str(kb), "--json").out)["contexts"]
    assert held == {"kind": "llm", "model": name, "documents": 1}
    for kind in ("outline", "none"):
        recipe = Recipe(context=Context(kind=kind), dense=Dense(engine="flat"))
        with Index.open(kind, recipe=recipe) as index:
            index.sync(notes)
            index.add(Chunk(id="c", document_id="cut", text="given as it is"))
            assert {held.kind: held.documents for held in index.status().contexts} == {kind: 1, "given": 1}
    shutil.rmtree("none")


def test_what_a_job_would_not_make_over_stands_in_nobodys_way(notes: Path, tmp_path: Path, cli: Cli) -> None:
    del cli  # for its working directory
    with Index.open("kb", recipe=FLAT) as index:
        index.sync(notes)
    with Index.open("kb", chunker=Halves()) as index:
        index.add(Document(id="note", text="A note of berths"))
    other = tmp_path / "other"
    other.mkdir()
    (other / "tides.md").write_text("# Tides\n\nHigh at noon")
    with Index.open("kb") as index:
        assert index.estimate(notes).documents == 0
        assert index.sync(notes).unchanged == 1
        assert index.sync(other).added == 1
        assert index.add(Document(id="second", text="Another note")).added == 1
        with pytest.raises(RecipeError, match="Halves"):
            index.add([Document(id="third", text="A third"), Document(id="note", text="A note of berths")])
        assert index.sync(notes).unchanged == 1, "what is committed since changes nothing"


def test_a_loaded_file_that_was_added_is_not_made_over_by_a_sync(notes: Path, cli: Cli) -> None:
    del cli
    from ragweft.loading import FileLoader

    with Index.open("kb", recipe=FLAT, chunker=Halves()) as index:
        index.add(FileLoader().load(notes / "log.md"))
    with Index.open("kb") as index, pytest.raises(RecipeError, match="Halves"):
        index.sync(notes)


def same_as_the_recipes() -> OutlineContextualizer:
    return OutlineContextualizer(tokenizer=StaticEmbedder(), max_tokens=60)


def test_a_given_part_that_equals_the_recipes_locks_nobody_out(notes: Path, cli: Cli) -> None:
    with Index.open("kb", recipe=FLAT) as index:
        index.sync(notes)
    with Index.open("kb", contextualizer=same_as_the_recipes()) as index:
        assert index.sync(notes).unchanged == 1, "it is the recipe's own"
    with Index.open("kb") as index:
        assert index.estimate(notes).documents == 0
        assert index.sync(notes).unchanged == 1
    ran = cli("reindex", "chunking.size=300", "--index", "kb")
    assert (ran.code, ran.err) == (0, ""), "a run of the recipe's own has made its documents its own"


def test_what_is_advised_helps_where_there_is_nothing_to_do(notes: Path, cli: Cli) -> None:
    with Index.open("kb", recipe=FLAT, contextualizer=same_as_the_recipes()) as index:
        index.sync(notes)
    ran = cli("reindex", "chunking.size=300", "--index", "kb")
    assert "ragweft reindex context.kind=outline" in ran.err
    ran = cli("reindex", "context.kind=outline", "--index", "kb")
    assert (ran.code, ran.err) == (0, ""), "nothing is replaced"
    assert cli("reindex", "chunking.size=300", "--index", "kb").code == 0


def test_whose_section_is_named_is_meant_whatever_else_is_named(cli: Cli, kb: Path) -> None:
    ran = cli("reindex", "dense.engine=flat", "--index", str(kb))
    assert ran.code == 1, "what is named says nothing of contexts"
    assert by_the_model(kb)
    ran = cli("reindex", "embedding.dims=128", "context.kind=outline", "--index", str(kb))
    assert ran.code == 0, ran.err
    assert not by_the_model(kb)


def test_the_advice_is_about_both_parts(cli: Cli, notes: Path) -> None:
    with Index.open("kb", recipe=FLAT, chunker=Halves(), contextualizer=Stamp()) as index:
        index.sync(notes)
    for changes in (("context.kind=outline",), ("chunking.strategy=structure",), ()):
        ran = cli("reindex", *changes, "--index", "kb")
        assert ran.code == 1
        assert "ragweft reindex chunking.strategy=structure context.kind=outline" in ran.err
    assert cli("reindex", "chunking.strategy=structure", "context.kind=outline", "--index", "kb").code == 0
    assert cli("sync", str(notes), "--index", "kb").code == 0


def test_a_program_names_the_sections_it_means(kb: Path) -> None:
    wanted = replace(FLAT, embedding=replace(FLAT.embedding, dims=128))
    with pytest.raises(RecipeError, match="contextualizer"):
        reindex(kb, wanted)
    assert estimate_reindex(kb, wanted, replacing=["context"])[0].warnings
    assert reindex(kb, wanted, replacing=["context"]).changed
    assert not by_the_model(kb)
