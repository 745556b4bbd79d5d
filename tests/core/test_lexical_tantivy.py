"""tantivy beneath: processes, kills, threads, writers."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ragweft.errors import IndexLocked
from ragweft.lexical import Analyzer, TantivyIndex
from ragweft.lexical.tantivy_files import open_for_writing

if TYPE_CHECKING:
    from ragweft.types import Rows

ANALYZER = Analyzer()
PER_GENERATION = 20

PRELUDE = """
import sys
from pathlib import Path
import numpy as np
from ragweft.lexical import Analyzer, TantivyIndex

def grow(index, generation):
    rows = np.arange(generation * 20 - 20, generation * 20)
    texts = [f"cat number {row}" for row in rows]
    index.apply(
        rows=rows, texts=texts, contexts=[""] * 20, removed=np.empty(0, np.int64), generation=generation
    )

index = TantivyIndex(Path(sys.argv[1]), ledger="ledger-1", analyzer=Analyzer(), context_weight=0.25)
"""


def opened(directory: Path) -> TantivyIndex:
    return TantivyIndex(directory, ledger="ledger-1", analyzer=ANALYZER, context_weight=0.25)


def grow(index: TantivyIndex, generation: int) -> None:
    rows = np.arange(PER_GENERATION * (generation - 1), PER_GENERATION * generation)
    put(index, rows, [f"cat number {row}" for row in rows], generation)


def put(index: TantivyIndex, rows: Rows, texts: Sequence[str], generation: int) -> None:
    contexts = [""] * len(texts)
    index.apply(rows=rows, texts=texts, contexts=contexts, removed=np.empty(0, np.int64), generation=generation)


def drop(index: TantivyIndex, rows: Rows, generation: int) -> None:
    index.apply(rows=np.arange(0), texts=[], contexts=[], removed=rows, generation=generation)


def run(script: str, directory: Path) -> None:
    subprocess.run([sys.executable, "-c", PRELUDE + script, str(directory)], check=True, timeout=60)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "lexical"


@pytest.fixture
def index(directory: Path) -> Iterator[TantivyIndex]:
    fresh = opened(directory)
    yield fresh
    fresh.close()


class TestProcesses:
    def test_a_commit_elsewhere_is_seen_at_once(self, index: TantivyIndex, directory: Path) -> None:
        assert index.applied_generation == 0
        run("grow(index, 1)", directory)
        assert index.applied_generation == 1
        grow(index, 2)
        run("assert index.applied_generation == 2; grow(index, 3)", directory)
        ranking = index.search("cat", n=1000)
        assert (len(ranking.rows), ranking.generation) == (3 * PER_GENERATION, 3)

    def test_kills_lose_nothing_and_leave_no_lock(self, directory: Path) -> None:
        forever = "generation = index.applied_generation\nwhile True:\n"
        forever += "    print(generation, flush=True)\n    generation += 1\n    grow(index, generation)\n"
        rng = random.Random(7)
        acknowledged = 0
        for _ in range(5):
            command = [sys.executable, "-c", PRELUDE + forever, str(directory)]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
                assert process.stdout is not None
                process.stdout.readline()
                time.sleep(rng.uniform(0.0, 0.12))
                process.kill()
                for line in process.stdout.read().split():
                    acknowledged = int(line)
            index = opened(directory)
            generation = index.applied_generation
            assert generation >= acknowledged
            assert len(index) == generation * PER_GENERATION
            found = index.search("cat", n=5000).rows
            assert sorted(found.tolist()) == list(range(generation * PER_GENERATION))
            grow(index, generation + 1)
            assert len(index) == (generation + 1) * PER_GENERATION
            index.close()

    @pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
    def test_a_forked_child_reads_and_writes_with_a_writer_of_its_own(self, directory: Path) -> None:
        script = """
import os, warnings
warnings.simplefilter("ignore")
grow(index, 1)
assert len(index.search("cat", n=100).rows) == 20
child = os.fork()
if child == 0:
    assert len(index.search("cat", n=100).rows) == 20
    grow(index, 2)
    index.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert index.applied_generation == 2
grow(index, 3)
assert len(index.search("cat", n=100).rows) == 60
"""
        run(script, directory)

    def test_importing_the_room_loads_no_heavy_module(self) -> None:
        script = "import sys, ragweft.lexical; print([m for m in ('tantivy', 'Stemmer') if m in sys.modules])"
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "[]"

    def test_a_reader_survives_a_rebuild_beneath_it(self, index: TantivyIndex, directory: Path) -> None:
        grow(index, 1)
        reader = opened(directory)
        assert len(reader.search("cat", n=100).rows) == PER_GENERATION
        directory.rename(directory.with_name("aside"))
        ranking = reader.search("cat", n=100)
        assert (ranking.rows.tolist(), ranking.generation) == ([], 0)
        rebuilt = opened(directory)
        put(rebuilt, np.array([5]), ["cat"], 8)
        ranking = reader.search("cat", n=100)
        assert (ranking.rows.tolist(), ranking.generation) == ([5], 8)
        shutil.rmtree(directory)
        put(rebuilt, np.array([6]), ["cat"], 9)
        assert reader.search("cat", n=100).rows.tolist() == [6]


class TestThreads:
    def test_every_answer_is_one_whole_generation(self, index: TantivyIndex) -> None:
        grow(index, 1)
        done = threading.Event()
        seen: list[set[int]] = []
        wrong: list[object] = []

        def read() -> None:
            generations: set[int] = set()
            try:
                while not done.is_set():
                    ranking = index.search("cat", n=1000)
                    generations.add(ranking.generation)
                    if len(ranking.rows) != ranking.generation * PER_GENERATION:
                        wrong.append(ranking)
                    if index.score("cat", ["cat"], [""])[0] <= 0:
                        wrong.append("score")
            except BaseException as error:
                wrong.append(error)
                raise
            seen.append(generations)

        readers = [threading.Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        for generation in range(2, 13):
            grow(index, generation)
        done.set()
        for reader in readers:
            reader.join()
        assert wrong == []
        assert len(set().union(*seen)) > 1
        assert index.search("cat", n=1000).generation == 12

    def test_segments_do_not_pile_up(self, index: TantivyIndex, directory: Path) -> None:
        for generation in range(1, 18):
            grow(index, generation)
        commit = json.loads((directory / "meta.json").read_text())
        assert len(commit["segments"]) < 10


class TestWriting:
    def test_what_a_killed_writer_left_is_no_hindrance(self, index: TantivyIndex, directory: Path) -> None:
        grow(index, 1)
        twin = directory.with_name("twin")
        shutil.copytree(directory, twin)
        other = opened(twin)
        drop(other, np.array([3]), 2)
        # All that the commit wrote but its last file, the one that makes it count.
        for file in twin.iterdir():
            if file.name != "meta.json":
                shutil.copyfile(file, directory / file.name)
        assert len(index) == PER_GENERATION
        drop(index, np.array([3]), 2)
        assert len(index) == PER_GENERATION - 1
        other.close()

    def test_a_writer_elsewhere_is_reported_as_a_lock(self, index: TantivyIndex, directory: Path) -> None:
        grow(index, 1)
        writer = open_for_writing(directory).writer(15_000_000, 1)
        with pytest.raises(IndexLocked, match="lexical"):
            grow(index, 2)
        writer.wait_merging_threads()
        grow(index, 2)
        assert index.applied_generation == 2

    def test_what_reading_the_texts_raises_is_passed_on_and_nothing_is_written(
        self, index: TantivyIndex
    ) -> None:
        class Failing(Sequence[str]):
            def __len__(self) -> int:
                return 700

            def __getitem__(self, position: object) -> Any:
                if position == 600:
                    raise KeyError("row 600")
                return "dog"

        grow(index, 1)
        with pytest.raises(KeyError, match="row 600") as caught:
            put(index, np.arange(700), Failing(), 2)
        assert index.applied_generation == 1
        assert index.search("dog", n=5).rows.tolist() == []
        assert len(index) == PER_GENERATION
        grow(index, 2)  # while the traceback still holds the first writer
        assert len(index) == 2 * PER_GENERATION
        assert caught.tb is not None

    def test_more_texts_than_rows_are_refused(self, index: TantivyIndex) -> None:
        with pytest.raises(ValueError, match="longer"):
            put(index, np.arange(1), ["one", "two"], 1)
        assert len(index) == 0

    def test_a_closed_index_says_so(self, index: TantivyIndex) -> None:
        grow(index, 1)
        index.close()
        for use in (lambda: index.search("cat", n=1), lambda: index.applied_generation, lambda: grow(index, 2)):
            with pytest.raises(IndexLocked, match="closed"):
                use()
