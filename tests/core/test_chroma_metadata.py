"""What is written beside a vector: real Chroma must accept it, keep it, and take the next write too."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ragweft.types import Chunk, Space
from ragweft.vectors.chroma import ChromaIndex
from ragweft.vectors.chroma_metadata import CLOUD, EMBEDDED, chroma_document, chroma_metadata, space_name

if TYPE_CHECKING:
    from ragweft.types import Metadata

NUMBERS = st.integers() | st.floats() | st.booleans()
TEXT = st.text(st.characters(exclude_categories=[]), max_size=8)  # lone surrogates and NUL included
SCALARS = TEXT | NUMBERS | st.none()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=2)
)
KEYS = TEXT | st.sampled_from(["row", "chunk_id", "document_id", "chroma:document", "#id", "$and", "", "page"])
METADATA = st.dictionaries(KEYS, VALUES, max_size=6)


def flat(metadata: Metadata, *, chunk_id: str = "c", document_id: str = "d") -> dict[str, object]:
    chunk = Chunk(id=chunk_id, document_id=document_id, text="t", metadata=metadata)
    return dict(chroma_metadata(7, chunk, EMBEDDED))


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("text", "text"),
        (True, True),
        (0, 0),
        (2**63 - 1, 2**63 - 1),
        (-(2**63), -(2**63)),
        (2**63, None),
        (-(2**63) - 1, None),
        (1.5, 1.5),
        (math.nan, None),
        (math.inf, None),
        (None, None),
        ({"a": 1}, None),
        ([], None),
        (["a", "b"], ["a", "b"]),
        (("a", "b"), ["a", "b"]),
        ([1, 2], [1, 2]),
        ([True, False], [True, False]),
        ([1, True], None),
        ([1, 1.5], None),
        ([1.5, math.nan], None),
        ([2**63], None),
        ([["a"]], None),
        ([None], None),
        ("\ud800", "\\ud800"),
    ],
)
def test_flat_values_are_kept_and_others_left_out(value: object, kept: object) -> None:
    written = flat({"key": value})  # one case is a tuple
    assert written.get("key") == kept
    assert type(written.get("key")) is type(kept)


@pytest.mark.parametrize("key", ["", "#id", "$and", "chroma:document", "chroma:uri"])
def test_keys_chroma_keeps_for_itself_are_left_out(key: str) -> None:
    assert flat({key: 1}) == {"row": 7, "chunk_id": "c", "document_id": "d"}


def test_our_own_keys_win() -> None:
    written = flat({"row": "x", "chunk_id": 1, "document_id": None}, document_id="file:///\udc80")
    assert written == {"row": 7, "chunk_id": "c", "document_id": "file:///\\udc80"}


def test_cloud_quotas_are_kept() -> None:
    metadata: dict[str, str | int] = {f"key{number:02}": number for number in range(50)}
    chunk = Chunk(
        id="c",
        document_id="d" * 5_000,
        text="ä" * 10_000,
        metadata={"k" * 37: 1, "long": "ä" * 2_049, **metadata},
    )
    written = chroma_metadata(7, chunk, CLOUD)
    assert len(written) == 32
    assert {"row", "chunk_id", "key00"} <= written.keys()
    assert not {"document_id", "long", "k" * 37} & written.keys()
    assert chroma_document(chunk.text, CLOUD) == "ä" * 8_192
    assert chroma_document(chunk.text, EMBEDDED) == chunk.text


def test_a_long_space_is_named_by_its_digest() -> None:
    short, long = Space(model="a:b", dims=4), Space(model="a:b", dims=4, revision="x" * 300)
    assert space_name(short) == str(short)
    assert len(space_name(long)) <= 256
    assert space_name(long) != space_name(Space(model="a:b", dims=4, revision="x" * 301))


class Sink:
    """A real collection, and the chunks whose rows it has taken."""

    def __init__(self, folder: Path) -> None:
        self.chunks: list[Chunk] = []
        self.index = ChromaIndex.embedded(
            folder,
            space=Space(model="test:sink", dims=2),
            ledger="L",
            describe=lambda rows: [self.chunks[row] for row in rows.tolist()],
            store_text=True,
        )


@pytest.fixture(scope="module")
def sink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sink]:
    sink = Sink(tmp_path_factory.mktemp("sink"))
    yield sink
    sink.index.close()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(metadata=METADATA, name=TEXT, text=TEXT)
def test_chroma_takes_whatever_metadata_a_chunk_has(
    sink: Sink, metadata: Metadata, name: str, text: str
) -> None:
    """One record that Chroma cannot read back from its log blocks every later write: the next would fail."""
    sink.chunks.append(Chunk(id=name, document_id=name, text=text, metadata=metadata))
    row = len(sink.chunks) - 1
    vector = np.array([[1.0, row]], dtype=np.float32)
    none = np.empty(0, dtype=np.int64)
    sink.index.apply(rows=np.array([row]), vectors=vector, removed=none, generation=row + 1)
    assert len(sink.index) == len(sink.chunks)
    stored = sink.index._collection.get(ids=[str(row)], include=["metadatas", "documents"])
    assert stored["metadatas"] is not None
    assert stored["documents"] is not None
    assert stored["documents"][0] == chroma_document(text, EMBEDDED)
    expected = chroma_metadata(row, sink.chunks[row], EMBEDDED)
    assert stored["metadatas"][0].keys() == expected.keys()
    for key, value in expected.items():
        assert same(stored["metadatas"][0][key], value)


def same(stored: object, value: object) -> bool:
    """Chroma's log is JSON: the last digit of a float may be another when it comes back."""
    if isinstance(stored, list) and isinstance(value, list):
        return len(stored) == len(value) and all(map(same, stored, value))
    if isinstance(stored, float) and isinstance(value, float):
        return math.isclose(stored, value, rel_tol=1e-12)
    return type(stored) is type(value) and stored == value
