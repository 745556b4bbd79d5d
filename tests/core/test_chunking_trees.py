"""Code by tree-sitter: definitions whole with what belongs to them, their signatures as the path, errors tolerated."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from code_samples import SOURCES, source_of
from doubles_chunking import WordTokenizer, assert_sound
from ragweft.chunking import Grammars, StructureChunker, grammars
from ragweft.chunking.blocks import Block, tiles
from ragweft.chunking.grammars import LANGUAGES
from ragweft.chunking.trees import tree_blocks
from ragweft.types import Chunk, Document

pytest.importorskip("tree_sitter")
GRAMMARS = Grammars()
if missing := sorted(set(LANGUAGES) - {name for name in LANGUAGES if name in GRAMMARS}):
    pytest.skip(f"without the grammars for {', '.join(missing)}", allow_module_level=True)


def cut(
    text: str, language: str | None, *, size: int, source: str | None = None, read: Grammars = GRAMMARS
) -> Sequence[Chunk]:
    chunker = StructureChunker(tokenizer=WordTokenizer(), size=size, overlap=0.0, grammars=read)
    document = Document(id="doc", text=text, format="code", source=source, metadata={"code_language": language})
    chunks = chunker.chunk(document)
    assert_sound(document, chunks, capacity=size)
    return chunks


def definitions(
    text: str, blocks: Sequence[Block], end: int, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every definition in *blocks*: its path and its text."""
    for block, start, stop in tiles(blocks, blocks[0].start, end):
        inner = path
        if block.title is not None:
            inner = (*path, block.title)
            yield inner, text[start:stop]
        if block.parts is not None and (parts := block.parts()):
            yield from definitions(text, parts, stop, inner)


def definitions_of(text: str, language: str) -> dict[tuple[str, ...], str]:
    parsed = GRAMMARS.parsed(text, language)
    assert parsed is not None
    return dict(definitions(text, tree_blocks(parsed), len(text)))


@pytest.mark.parametrize("language", SOURCES)
def test_definitions_are_found_with_their_path(language: str) -> None:
    found = definitions_of(source_of(language), language)
    for number, path in enumerate(SOURCES[language][1], 1):
        assert f"needle{number}" in found[path]


@pytest.mark.parametrize("language", SOURCES)
def test_comments_and_decorators_belong_to_what_they_are_about(language: str) -> None:
    found = definitions_of(source_of(language), language)
    about = found[SOURCES[language][1][0]]
    assert "needle1" in about.removeprefix("public:\n").splitlines()[0]
    assert SOURCES[language][1][0][-1].split("(")[0].split()[-1] in about
    if language not in ("bash", "c", "go", "lua"):
        outer = found[SOURCES[language][1][0][:1]]
        assert about.strip() in outer


@pytest.mark.parametrize("language", SOURCES)
def test_chunks_of_a_definition_have_its_path(language: str) -> None:
    chunks = cut(source_of(language), language, size=60)
    for path in SOURCES[language][1]:
        inside = [chunk for chunk in chunks if chunk.headings == path]
        assert inside or language == "go", path


@pytest.mark.parametrize("language", SOURCES)
def test_what_fits_is_whole_and_what_does_not_is_opened_at_statements(language: str) -> None:
    text = source_of(language)
    (whole,) = cut(text, language, size=4_000)
    assert whole.text == text.rstrip()
    small = cut(text, language, size=40)
    assert all(chunk.headings for chunk in small if "compute" in chunk.text or "echo" in chunk.text)
    rows = set(text.splitlines())
    assert all(line in rows for chunk in small for line in chunk.text.splitlines())


def test_sixteen_languages_are_read() -> None:
    assert len(SOURCES) == 16
    assert all(language in GRAMMARS for language in SOURCES)


def test_line_that_opens_a_branch_goes_with_the_branch() -> None:
    text = (
        "function f() {\n  if (a) {\n" + "    one(1, 2, 3);\n" * 8 + "  } else {\n" + "    two(1, 2, 3);\n" * 8
    )
    chunks = cut(text + "  }\n}\n", "javascript", size=50)
    (opening,) = (chunk for chunk in chunks if "} else {" in chunk.text)
    assert "two(1, 2, 3);" in opening.text.split("} else {")[1]


def test_licence_at_the_top_stands_by_itself_and_a_heading_comment_goes_with_what_follows() -> None:
    licence = "// Licence text goes on.\n" * 20
    body = "".join(f"  call({n}, {n});\n" for n in range(10))
    text = f"{licence}\n// ---- Part ----\n\nfunction f() {{\n{body}}}\n"
    chunks = cut(text, "javascript", size=130)
    assert "Part" not in chunks[0].text
    assert next(chunk for chunk in chunks if "Part" in chunk.text).text.startswith(
        "// ---- Part ----\n\nfunction"
    )


def test_long_parameter_lists_stay_with_their_signature() -> None:
    parameters = "".join(f"    parameter{n}: int,\n" for n in range(6))
    text = (
        f"def f(\n{parameters}) -> int:\n" + "".join(f"    x{n} = {n} + {n}\n" for n in range(30)) + "print 1\n"
    )
    first, *rest = cut(text, "python", size=80)
    assert first.text.startswith("def f(")
    assert ") -> int:" in first.text
    assert rest


@pytest.mark.parametrize("newline", ["\r\n", "\r"])
def test_other_line_ends_read_the_same(newline: str) -> None:
    for language in SOURCES:
        text = source_of(language)
        paths = [chunk.headings for chunk in cut(text, language, size=170)]
        assert [chunk.headings for chunk in cut(text.replace("\n", newline), language, size=170)] == paths


@settings(max_examples=120, deadline=None)
@given(
    language=st.sampled_from(sorted(SOURCES)),
    cuts=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 60), st.text(max_size=6)), max_size=4),
    size=st.sampled_from([5, 30, 170]),
)
def test_errors_in_the_source_are_tolerated(
    language: str, cuts: list[tuple[float, int, str]], size: int
) -> None:
    text = source_of(language)
    for share, length, other in cuts:
        at = int(share * len(text))
        text = text[:at] + other + text[at + length :]
    cut(text, language, size=size)


def test_definitions_around_an_error_are_still_found() -> None:
    text = source_of("java").replace("public Store(int needle2) {", "public Store(int needle2 {{ ]")
    chunks = cut(text, "java", size=170)
    assert any(chunk.headings[1:] == ("public int load(String path) throws IOException",) for chunk in chunks)


def test_python_that_does_not_parse_is_read_by_the_grammar() -> None:
    fake = "class Fake:\n" + "    value = 1\n" * 40
    text = f'def real(a):\n    quoted = """\n{fake}"""\n    return quoted\n\n\n' + 'print "not Python 3"\n' * 4
    found = {}
    for languages in (("python",), ()):
        read = Grammars(languages=languages)
        chunker = StructureChunker(tokenizer=WordTokenizer(), size=50, overlap=0.0, grammars=read)
        found[languages] = {
            chunk.headings for chunk in chunker.chunk(Document(id="a", text=text, format="python"))
        }
    assert found["python",] == {("def real(a)",), ()}
    assert ("class Fake",) in found[()]
    parses = Document(id="a", text="def f(a: int = 1) -> int:\n" + "    a += 1\n" * 60, format="python")
    chunks = StructureChunker(tokenizer=WordTokenizer(), size=50).chunk(parses)
    assert {chunk.headings for chunk in chunks} == {("def f(a)",)}, "by Python's own parser"


def test_dialects_are_told_by_suffix_and_by_words() -> None:
    element = "export const A = () => {\n  return <div>{items.map((x) => <b key={x}>{x}</b>)}</div>;\n};\n"
    read = {
        suffix: GRAMMARS.parsed(element, "typescript", place=f"file:///a{suffix}") for suffix in (".tsx", ".ts")
    }
    assert read[".tsx"] is not None
    assert not read[".tsx"].root.has_error
    assert read[".ts"] is None or read[".ts"].root.has_error
    header = GRAMMARS.parsed(source_of("cpp"), "c", place="store.h")
    assert header is not None
    assert not header.root.has_error


def test_what_no_grammar_should_read_is_left_to_indentation(monkeypatch: pytest.MonkeyPatch) -> None:
    java = source_of("java")
    assert GRAMMARS.parsed(java, "java") is not None
    assert GRAMMARS.parsed(java, "cobol") is None
    assert GRAMMARS.parsed(java, None) is None
    assert GRAMMARS.parsed(java, ["java"]) is None
    assert Grammars(languages=()).parsed(java, "java") is None
    assert GRAMMARS.parsed("a < b < " * 5_000, "java") is None, "takes gigabytes"
    assert GRAMMARS.parsed("x = 1;\n" * 60_000, "java") is None, "too large"
    assert GRAMMARS.parsed("} ] ) => " * 500, "go") is None, "no source at all"
    assert GRAMMARS.parsed("f(" * 900 + "\n" + java, "java") is None, "brackets without end"
    monkeypatch.setattr(grammars, "_LEAST_SECONDS", -1.0)
    monkeypatch.setattr(grammars, "_SECONDS_PER_BYTE", 0.0)
    assert GRAMMARS.parsed(java * 5, "java") is None, "takes too long"
    text = source_of("javascript")
    assert cut(text, "javascript", size=170) == cut(text, "javascript", size=170, read=Grammars(languages=()))


def test_fingerprint_says_what_reads_code(monkeypatch: pytest.MonkeyPatch) -> None:
    prints = {
        StructureChunker(tokenizer=WordTokenizer(), grammars=read).fingerprint
        for read in (
            None,
            Grammars(),
            Grammars(languages=("go",)),
            Grammars(languages=("java",)),
            Grammars(languages=()),
        )
    }
    assert len(prints) == 4
    assert sum("code=indentation" in fingerprint for fingerprint in prints) == 1
    before = Grammars().fingerprint
    monkeypatch.setattr(grammars, "_version", lambda module: "0.0.0")
    assert Grammars().fingerprint != before


def test_without_the_extra_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grammars, "find_spec", lambda name: None)
    grammars._installed.cache_clear()
    try:
        bare = Grammars()
        assert bare.fingerprint == "indentation"
        assert "java" not in bare
        assert cut(source_of("java"), "java", size=170, read=bare)
    finally:
        monkeypatch.undo()
        grammars._installed.cache_clear()
    assert importlib.util.find_spec("tree_sitter") is not None
    assert "java" in Grammars()
