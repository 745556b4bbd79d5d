"""Chroma on a server: a real `chroma run`, its failures, and the cloud's quotas tried out on it."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import chromadb
import numpy as np
import pytest
from chromadb.config import Settings

from chroma_server import chroma_server
from ragweft.errors import IndexLocked, ProviderError
from ragweft.types import Chunk, Space
from ragweft.vectors.chroma import ChromaIndex
from ragweft.vectors.chroma_client import Backend, http_backend
from ragweft.vectors.chroma_metadata import CLOUD

if TYPE_CHECKING:
    from chromadb.api import ClientAPI

    from ragweft.types import Rows, Vectors

DIMS = 8
SPACE = Space(model="test:http", dims=DIMS)
NONE: Rows = np.empty(0, dtype=np.int64)


def describe(rows: Rows) -> Sequence[Chunk]:
    return [Chunk(id=f"c{row}", document_id="d", text="t", metadata={"tags": ["a"]}) for row in rows.tolist()]


def random_vectors(count: int) -> Vectors:
    return np.random.default_rng(0).standard_normal((count, DIMS)).astype(np.float32)


def opened(port: int, collection: str) -> ChromaIndex:
    return ChromaIndex.http(
        "127.0.0.1", port=port, space=SPACE, ledger="L", describe=describe, collection=collection
    )


def with_cloud_limits(port: int, collection: str) -> ChromaIndex:
    backend: Backend = http_backend(
        "127.0.0.1",
        port=port,
        ssl=False,
        headers={},
        tenant="default_tenant",
        database="default_database",
        ef_search=200,
    )
    return ChromaIndex(
        replace(backend, limits=CLOUD),
        space=SPACE,
        ledger="L",
        describe=describe,
        collection=collection,
        store_text=True,
    )


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with chroma_server(tmp_path_factory.mktemp("server") / "data") as port:
        yield port


def test_quotas_bound_every_request(port: int) -> None:
    index = with_cloud_limits(port, "quotas")
    vectors = random_vectors(700)
    index.apply(rows=np.arange(700), vectors=vectors, removed=NONE, generation=1)
    assert len(index) == 700
    found = index.search(vectors[0], n=500)
    assert (len(found.rows), found.exhausted) == (300, True), "more than 300 are never answered"
    assert not index.search(vectors[0], n=299).exhausted
    among = index.search(vectors[0], n=650, among=np.arange(650))
    assert (len(among.rows), among.exhausted) == (650, True)
    index.apply(rows=NONE, vectors=vectors[:0], removed=np.arange(400), generation=2)
    assert len(index) == 300
    index.close()


def test_another_process_is_followed(port: int) -> None:
    writer, reader = opened(port, "followed"), opened(port, "followed")
    writer.apply(rows=np.array([1, 2]), vectors=random_vectors(2), removed=NONE, generation=4)
    assert len(reader.search(random_vectors(1)[0], n=5).rows) == 2
    deadline = time.monotonic() + 20
    while reader.applied_generation != 4 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert reader.search(random_vectors(1)[0], n=5).generation == 4
    writer.close()
    reader.close()


def test_a_collection_of_others_is_not_touched(port: int) -> None:
    client = chromadb.HttpClient("127.0.0.1", port, settings=Settings(anonymized_telemetry=False))
    theirs = client.create_collection("theirs", embedding_function=None, metadata={"owner": "them"})
    with pytest.raises(IndexLocked, match="left alone"):
        opened(port, "theirs")
    again = client.get_collection("theirs", embedding_function=None)
    assert (again.metadata, again.count(), again.id) == ({"owner": "them"}, 0, theirs.id)
    close_sessions(client)


def close_sessions(client: ClientAPI) -> None:
    """What chromadb leaves open would be an unclosed socket, which is an error here."""
    Backend(client=client, place="test", limits=CLOUD, configuration={}).close()


def test_a_collection_deleted_under_us_is_said_so(port: int) -> None:
    index = opened(port, "deleted")
    index.apply(rows=np.array([1]), vectors=random_vectors(1), removed=NONE, generation=1)
    index._backend.client.delete_collection("deleted")
    with pytest.raises(ProviderError) as caught:
        index.apply(rows=np.array([2]), vectors=random_vectors(1), removed=NONE, generation=2)
    assert not caught.value.retryable
    index.close()
    again = opened(port, "deleted")
    assert again.applied_generation == 0
    again.close()


def test_clear_empties_a_remote_index(port: int) -> None:
    index = opened(port, "cleared")
    index.apply(rows=np.arange(9), vectors=random_vectors(9), removed=NONE, generation=1)
    index.clear()
    assert (len(index), index.applied_generation) == (0, 0)
    index.close()


def test_a_server_that_is_gone_may_come_back(tmp_path: Path) -> None:
    with chroma_server(tmp_path / "data") as port:
        index = opened(port, "gone")
        index.apply(rows=np.array([1]), vectors=random_vectors(1), removed=NONE, generation=1)
    for use in (lambda: len(index), lambda: index.search(random_vectors(1)[0], n=1, among=np.array([1]))):
        with pytest.raises(ProviderError, match=f"127.0.0.1:{port}") as caught:
            use()
        assert caught.value.retryable
        assert "\n" not in str(caught.value)
    index.close()
    with pytest.raises(ProviderError) as refused:
        opened(port, "gone")
    assert refused.value.retryable


def test_the_cloud_without_a_key_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHROMA_API_KEY", raising=False)
    with pytest.raises(ProviderError, match="api_key") as caught:
        ChromaIndex.cloud(space=SPACE, ledger="L", describe=describe, api_key="")
    assert not caught.value.retryable


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="tells sockets apart by /proc")
def test_close_lets_go_of_every_connection(port: int) -> None:
    def sockets() -> set[str]:
        gc.collect()
        targets = {os.path.realpath(link) for link in Path("/proc/self/fd").iterdir()}
        return {target for target in targets if "socket:" in target}

    before = sockets()
    index = opened(port, "sockets")
    own = sockets() - before
    assert own
    index.close()
    assert not own & sockets()
