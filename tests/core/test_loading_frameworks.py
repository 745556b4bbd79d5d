from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Iterator
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragweft.errors import LoadError
from ragweft.loading import documents_from, source_uri
from ragweft.places import place_of
from ragweft.types import Document

if TYPE_CHECKING:
    from ragweft import Index


class Foreign:
    """A document as LangChain's looks."""

    def __init__(
        self, page_content: str, metadata: dict[Any, Any] | None = None, name: str | None = None
    ) -> None:
        self.page_content = page_content
        self.metadata = metadata or {}
        self.id = name


class Pages:
    """A loader as LangChain's are."""

    def __init__(self, *documents: Foreign) -> None:
        self._documents = documents

    def lazy_load(self) -> Iterator[Foreign]:
        yield from self._documents


def ids(given: object) -> list[str]:
    return [document.id for document in documents_from(given)]


def only(*given: object) -> Document:
    (document,) = documents_from(given)
    assert document.places is not None
    return document


def test_pages_of_one_file_are_documents_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "a b.pdf"
    path.touch()
    pages = [Foreign(f"page {n}", {"source": str(path), "page": n, "total_pages": 3}) for n in range(3)]
    documents = list(documents_from(Pages(*pages)))
    uri = source_uri(path)
    assert [document.id for document in documents] == [f"{uri}#page={n}" for n in range(3)]
    assert {document.source for document in documents} == {uri}
    for number, document in enumerate(documents, 1):
        assert document.places is not None
        assert place_of(document.places or (), 0, len(document.text)) == f"p.{number}"
    assert list(documents_from(Pages(*pages))) == documents


@pytest.mark.parametrize(
    ("metadata", "cited"),
    [
        ({"source": "a.pdf", "page": 0}, "p.1"),
        ({"source": "a.pdf", "page": 3, "page_label": "12"}, "p.12"),
        ({"source": "a.pdf", "page": 3, "page_label": "iv"}, "p.4"),
        ({"source": "a.pdf", "page_number": 7}, "p.7"),
        ({"file_path": "a.pptx", "page_label": "2"}, "slide 2"),
        ({"source": "a.csv", "row": 0}, "row 2"),
        ({"source": "a.db", "row": 0}, ""),
        ({"source": "a.pdf", "page": True}, ""),
        ({"source": "a.pdf", "page": "first"}, ""),
        ({"source": "a.pdf", "page": -5}, ""),
        ({}, ""),
    ],
)
def test_places(metadata: dict[str, Any], cited: str) -> None:
    assert place_of(only(Foreign("text", metadata)).places or (), 0, 4) == cited


def test_nothing_is_merged_into_one_id() -> None:
    same = Foreign("same", {"source": "x.html"})
    named = Foreign("named", {}, name="x.html~2")
    assert ids([same, same, named, same]) == ["x.html", "x.html~2", "x.html~2~2", "x.html~3"]
    rows = [Foreign(f"row {n}", {"source": "x.csv", "row": n}) for n in range(3)]
    assert ids(rows) == ["x.csv#row=0", "x.csv#row=1", "x.csv#row=2"]
    parts = [Foreign("a", {"source": "x", "start_index": n, "sheet_name": "S"}) for n in (0, 90)]
    assert ids(parts) == ["x#sheet_name=S&start_index=0", "x#sheet_name=S&start_index=90"]


def test_ids_that_were_given_are_kept_and_invented_ones_are_not() -> None:
    random = "6c8e22b4-8f6b-4f0c-9d3a-0a8c2d0a7c11"

    class Node:
        def __init__(self, text: str, id_: str, **metadata: Any) -> None:
            self.text, self.id_, self.metadata = text, id_, metadata

    assert only(Foreign("a", {"source": "x"}, name="mine")).id == "mine"
    assert only(Foreign("a", {"source": "x"}, name=random)).id == random
    assert only(Node("a", "mine", file_path="x.md")).id == "mine"
    assert only(Node("a", random, file_path="x.md")).id == "x.md"
    assert only(Node("a", random)).id == only(Node("a", random.replace("6", "7"))).id
    assert only(Node("a", random)).id != only(Node("b", random)).id


def test_metadata_is_what_filters_can_use() -> None:
    class Colour(Enum):
        RED = "red"

    document = only(
        Foreign(
            "text",
            {
                "path_": PurePosixPath("a/b"),
                "when": dt.datetime(2024, 1, 2, 3, 4, tzinfo=dt.UTC),
                "day": dt.date(2024, 1, 2),
                "float": np.float32(0.5),
                "int": np.int64(3),
                "nan": math.nan,
                "none": None,
                "set": {"b", "a"},
                "colour": Colour.RED,
                "nested": {"a": [1, (2, object())], 3: "x"},
                "vector": np.zeros(3),
                "bytes": b"x",
                "dirty": "a\x00b\ud800",
                "html": "<table>" * 5_000,
                "last_accessed_date": "2024-01-01",
                7: "seven",
            },
        )
    )
    assert document.metadata == {
        "path_": "a/b",
        "when": "2024-01-02T03:04:00+00:00",
        "day": "2024-01-02",
        "float": 0.5,
        "int": 3,
        "set": ["a", "b"],
        "colour": "red",
        "nested": {"a": [1, [2, None]], "3": "x"},
        "dirty": "ab",
        "7": "seven",
    }


def test_titles_and_formats() -> None:
    assert only(Foreign("# T\n", {"source": "https://a.org/x.md"})).title == "T"
    assert only(Foreign("# T\n", {"source": "https://a.org/x.md"})).format == "markdown"
    assert only(Foreign("# T\n", {"source": "a.pdf"})).format == "text"
    assert only(Foreign("<p>", {"source": "a.html", "title": " A  page\n"})).title == "A page"
    assert only(Foreign("x", {"source": "a.py"})).format == "python"


def test_documents_of_ragweft_pass_as_they_are() -> None:
    document = Document(id="a", text="b")
    assert list(documents_from([document])) == [document]
    assert list(documents_from(document)) == [document]
    assert ids(Foreign("x", {"source": "s"})) == ["s"]


def test_every_way_to_ask_a_loader() -> None:
    class Load:
        def load(self) -> list[Foreign]:
            return [Foreign("x", {"source": "load"})]

    class LoadData:
        def load_data(self) -> list[Foreign]:
            return [Foreign("x", {"source": "load_data"})]

        def lazy_load_data(self) -> Iterator[Foreign]:
            raise NotImplementedError

    assert ids(Load()) == ["load"]
    assert ids(LoadData()) == ["load_data"]
    assert ids(Foreign("x", {"source": str(n)}) for n in range(2)) == ["0", "1"]


def test_what_is_no_loader_and_what_fails() -> None:
    class Failing:
        def lazy_load(self) -> Iterator[Foreign]:
            yield Foreign("x", {"source": "first"})
            raise FileNotFoundError(2, "No such\nfile")

    class Wanting:
        def load_data(self, file: Path) -> list[Foreign]:
            return []

    for given_ in (3, None, "a.pdf", b"a", {"a": 1}, object()):
        with pytest.raises(LoadError, match="is no loader: give an object with"):
            list(documents_from(given_))
    with pytest.raises(LoadError, match=r"a str is no document: it has no page_content or text"):
        list(documents_from(["a.pdf"]))
    with pytest.raises(LoadError, match=r"Wanting failed .*; if it wants arguments, call it yourself"):
        list(documents_from(Wanting()))
    found = documents_from(Failing())
    assert next(found).id == "first"
    with pytest.raises(LoadError, match=r"Failing failed .*No such file") as caught:
        next(found)
    assert str(caught.value).isprintable()
    assert isinstance(caught.value.__cause__, FileNotFoundError)


def test_they_can_be_added_again_and_again(index: Index) -> None:
    pages = [
        Foreign(f"the key of page {n}", {"source": "a.pdf", "page": n, "when": dt.date(2024, 1, n + 1)})
        for n in range(3)
    ]
    assert index.add(documents_from(Pages(*pages))).added == 3
    report = index.add(documents_from(Pages(*pages)))
    assert (report.added, report.updated, report.unchanged) == (0, 0, 3)
    pages[1].page_content = "another lock"
    report = index.add(documents_from(Pages(*pages)))
    assert (report.added, report.updated, report.unchanged) == (0, 1, 2)
    assert index.search("lock")[0].chunk.document_id == "a.pdf#page=1"
    assert index.search("key", where={"when": {"$gt": "2024-01-02"}})[0].chunk.document_id == "a.pdf#page=2"


def test_langchain_and_llama_index_themselves(tmp_path: Path) -> None:
    documents = pytest.importorskip("langchain_core.documents")
    loaders = pytest.importorskip("langchain_core.document_loaders")
    core = pytest.importorskip("llama_index.core")
    path = tmp_path / "a.md"
    path.write_text("# Keys\n\nRotate them.\n")

    class Loader(loaders.BaseLoader):  # type: ignore[misc, name-defined]
        def lazy_load(self) -> Iterator[Any]:
            yield documents.Document(page_content="one", metadata={"source": str(path), "page": 0})
            yield documents.Document(page_content="two", metadata={"source": str(path), "page": 1})

    uri = source_uri(path)
    assert ids(Loader()) == ids(Loader().load()) == [f"{uri}#page=0", f"{uri}#page=1"]
    reader = core.SimpleDirectoryReader(str(tmp_path))
    (read,) = documents_from(reader)
    assert (read.id, read.title, read.format) == (uri, "Keys", "markdown")
    assert "Rotate them." in read.text
    assert list(documents_from(reader.load_data())) == [read]


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.dates()
    | st.just(object()),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3)
    ),
    max_leaves=8,
)
KEYS = st.sampled_from(
    ["source", "page", "page_label", "row", "title", "file_path", "url", "element_id"]
) | st.text(max_size=5)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.text(), st.dictionaries(KEYS, VALUES, max_size=5)), max_size=6))
def test_whatever_loaders_say_can_be_stored(items: list[tuple[str, dict[str, Any]]]) -> None:
    foreign = [Foreign(text, metadata) for text, metadata in items]
    documents = list(documents_from(foreign))
    assert len({document.id for document in documents}) == len(items)
    assert documents == list(documents_from(foreign))
    for document in documents:
        assert document.id
        for text in (document.id, document.text, document.title or "", document.source or ""):
            text.encode("utf-8")
        assert json.loads(json.dumps(document.metadata, allow_nan=False)) == document.metadata
