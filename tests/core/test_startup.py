"""Whoever only searches loads what searches: start-up time is what a person at a prompt waits for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from threading import Event, Thread

import pytest

from conftest import FLAT
from ragweft import Document, Index
from ragweft.deferred import Once, names_of

WRITERS = (
    "ragweft.chunking",
    "ragweft.context",
    "ragweft.cutting",
    "ragweft.embedding.adapters",
    "ragweft.embedding.services",
    "ragweft.ingestion",
    "ragweft.loading",
    "ragweft.providers.registry",
    "ragweft.reranking.adapters",
    "ragweft.reranking.listwise",
)
"""What takes documents in, or reaches models that this index does not have."""


@pytest.mark.parametrize("verb", ["search('bees')", "status()"])
def test_a_reader_loads_nothing_of_the_writers(tmp_path: Path, verb: str) -> None:
    with Index.open(tmp_path / "kb", recipe=FLAT) as index:
        index.add([Document(id="d", text="bees make honey")])
    code = (
        "import sys\nfrom ragweft import Index\n"
        f"with Index.open({str(tmp_path / 'kb')!r}, create=False) as index:\n    assert index.{verb}\n"
        "print(*sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {name for name in out.stdout.split() if name.startswith(WRITERS)}


def test_a_part_is_made_once_whoever_asks_first() -> None:
    asking, made, found = Event(), list[object](), list[object]()

    def make() -> object:
        asking.wait(10)
        made.append(object())
        return made[-1]

    once = Once(make)
    assert made == []
    threads = [Thread(target=lambda: found.append(once())) for _ in range(4)]
    for thread in threads:
        thread.start()
    asking.set()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert all(one is made[0] for one in (*found, once(), once.end()))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_does_not_wait_for_a_thread_it_does_not_have() -> None:
    making, forked = Event(), Event()

    def make() -> int:
        making.set()
        if os.getpid() == parent:
            forked.wait(10)
        return 1

    parent, once = os.getpid(), Once(make)
    thread = Thread(target=once)
    thread.start()
    making.wait(10)
    child = os.fork()
    if not child:
        signal.alarm(10)
        os._exit(once())
    forked.set()
    _, status = os.waitpid(child, 0)
    thread.join()
    assert os.waitstatus_to_exitcode(status) == 1


def test_what_cannot_be_made_is_tried_again() -> None:
    tries: list[int] = []

    def make() -> str:
        tries.append(1)
        if len(tries) == 1:
            raise ValueError("no key")
        return "made"

    once = Once(make)
    with pytest.raises(ValueError, match="no key"):
        once()
    assert once() == "made"


def test_names_of_a_package_are_found_where_they_live() -> None:
    resolve = names_of("ragweft", {"Chunk": "ragweft.types"})
    assert resolve("Chunk") is __import__("ragweft").Chunk
    with pytest.raises(AttributeError, match="module 'ragweft' has no attribute 'chunk'"):
        resolve("chunk")
