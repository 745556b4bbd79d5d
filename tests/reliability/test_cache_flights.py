"""The same question asked in several processes is worked on once, whatever becomes of who works."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cache_made import QUERY, corpus
from cli_runner import environment
from ragweft import Index
from ragweft.caching import leases
from ragweft.caching.file import CacheFile
from ragweft.caching.leases import Lease, Leases
from ragweft.caching.schema import leases as rows
from ragweft.errors import IndexLocked
from ragweft.recipe import Dense, Recipe

if TYPE_CHECKING:
    from ragweft.types import Results

SHORT = 1.0


def ask(index: str, log: str, seconds: str, kept: str = "kept") -> None:
    """Ask once the file *log*.go is there; whoever works writes a line into *log*."""
    leases.LASTS, leases._BEAT = SHORT, SHORT / 4
    with Index.open(index) as opened:

        def slow(question: str) -> tuple[str, Results | None]:
            with Path(log).open("a") as out:
                out.write(f"{os.getpid()}\n")
            time.sleep(float(seconds))
            found = opened.search(question)
            return f"said by {os.getpid()}", found if kept == "kept" else None

        answer = opened.cache().answers(slow)
        print("ready", flush=True)
        while not Path(f"{log}.go").exists():
            time.sleep(0.005)
        print(answer(QUERY), flush=True)


class Askers:
    """Processes that ask."""

    def __init__(self, index: Path, log: Path) -> None:
        self._index, self._log = index, log
        self.running: list[subprocess.Popen[str]] = []

    def start(self, count: int, *, seconds: float, kept: str = "kept") -> None:
        said = "import runpy, sys; runpy.run_path(sys.argv[1])['ask'](*sys.argv[2:])"
        found = environment()
        found["PYTHONPATH"] = os.pathsep.join((found["PYTHONPATH"], str(Path(__file__).parents[1])))
        arguments = [__file__, str(self._index), str(self._log), str(seconds), kept]
        new = [
            subprocess.Popen(
                [sys.executable, "-c", said, *arguments],
                env=found,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for _ in range(count)
        ]
        for process in new:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n", process.communicate()[1]
        self.running += new

    def go(self) -> None:
        Path(f"{self._log}.go").touch()

    def worked(self) -> list[int]:
        return [int(line) for line in self._log.read_text().split()] if self._log.exists() else []

    def first(self) -> subprocess.Popen[str]:
        """Who works first, as soon as somebody does."""
        until = time.monotonic() + 30
        while not self.worked() and time.monotonic() < until:
            time.sleep(0.005)
        return next(process for process in self.running if process.pid == self.worked()[0])

    def said(self, but: subprocess.Popen[str] | None = None) -> set[str]:
        return {process.communicate(timeout=60)[0].strip() for process in self.running if process is not but}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with Index.open(tmp_path / "kb", recipe=Recipe(dense=Dense(engine="flat"))) as opened:
        opened.add(corpus(10))
    return tmp_path / "kb"


@pytest.fixture
def askers(folder: Path, tmp_path: Path) -> Iterator[Askers]:
    made = Askers(folder, tmp_path / "log")
    yield made
    for process in made.running:
        process.kill()
        process.communicate()


def test_processes_work_once(askers: Askers) -> None:
    """For longer than a lease lasts: it is renewed."""
    askers.start(3, seconds=2 * SHORT)
    askers.go()
    said = askers.said()
    assert len(askers.worked()) == 1
    assert said == {f"said by {askers.worked()[0]}"}


def test_a_killed_one_is_followed_by_one(askers: Askers) -> None:
    askers.start(3, seconds=0.5)
    askers.go()
    first = askers.first()
    first.kill()
    said = askers.said(but=first)
    assert len(askers.worked()) == 2
    assert said == {f"said by {askers.worked()[1]}"}


def test_ctrl_c_leaves_the_way_free(askers: Askers, folder: Path) -> None:
    askers.start(1, seconds=60)
    askers.go()
    first = askers.first()
    first.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in first.communicate(timeout=30)[1]
    file = CacheFile(folder / "cache.db")
    with file.read() as connection:
        assert connection.execute(rows.select()).all() == []
    file.close()


def test_what_is_not_kept_holds_nobody_up(askers: Askers) -> None:
    askers.start(3, seconds=0.5, kept="not kept")
    askers.go()
    said = askers.said()
    assert len(said) == len(askers.worked()) == 3


def test_a_forked_child_waits_for_its_parent_and_not_for_its_threads(folder: Path) -> None:
    with Index.open(folder) as opened:
        working, leave = threading.Event(), threading.Event()

        def slow(question: str) -> tuple[str, Results]:
            working.set()
            leave.wait(30)
            return "the parent's", opened.search(question)

        answer = opened.cache().answers(slow)
        thread = threading.Thread(target=answer, args=(QUERY,))
        thread.start()
        assert working.wait(20)
        child = os.fork()
        if child == 0:
            signal.alarm(25)
            os._exit(0 if answer(QUERY) == "the parent's" else 1)
        time.sleep(0.3)
        leave.set()
        thread.join()
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_child_forked_at_work_does_not_end_its_parents(folder: Path) -> None:
    """It leaves the work on its own way, through all that would be done at the end."""
    with Index.open(folder) as opened:
        parent, children = os.getpid(), []

        def forks(question: str) -> tuple[str, Results]:
            if child := os.fork():
                children.append(child)
                assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
                file = CacheFile(folder / "cache.db")
                with file.read() as connection:
                    assert len(connection.execute(rows.select()).all()) == 1
                file.close()
                return "the parent's", opened.search(question)
            signal.alarm(25)
            raise SystemExit

        try:
            assert opened.cache().once(QUERY, lambda: forks(QUERY)) == "the parent's"
        except SystemExit:
            assert os.getpid() != parent
            os._exit(0)
        assert len(children) == 1


@pytest.fixture
def file(tmp_path: Path) -> Iterator[CacheFile]:
    with closing(CacheFile(tmp_path / "cache.db")) as made:
        yield made


def test_a_lease_is_had_by_one(file: CacheFile, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = Leases(file), Leases(file)
    first, second = Lease(key=b"k"), Lease(key=b"k")
    assert one.take(first) == "ours"
    assert other.take(second) == "theirs"
    assert other.take(Lease(key=b"another")) == "ours"
    other.release(second, "failed")
    assert other.take(Lease(key=b"k")) == "theirs", "who never had it ends nothing"
    one.release(first, "kept")
    third = Lease(key=b"k")
    assert other.take(third) == "ours"
    other.release(third, "not kept")
    assert one.take(Lease(key=b"k")) == "nobody's"
    # Who gave up while the one who asks was on the way gets none that nobody would end.
    gone = Lease(key=b"late")
    one.release(gone, "failed")
    assert one.take(gone) == "nobody's"
    assert one.take(Lease(key=b"late")) == "ours"


def test_a_lease_runs_out_also_when_the_clock_is_set_back(file: CacheFile) -> None:
    holder = Leases(file)
    lease = Lease(key=b"k")
    assert holder.take(lease) == "ours"
    for until in (time.time() - 1, time.time() + 3_600):
        with file.write() as connection:
            connection.execute(rows.update().values(until=until))
        taken = Lease(key=b"k")
        assert Leases(file).take(taken) == "ours"
    holder.release(lease, "kept")
    with file.read() as connection:
        assert [row.owner for row in connection.execute(rows.select())] == [taken.owner]


def test_where_nothing_can_be_written_nobody_is_waited_for(
    file: CacheFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise IndexLocked("the disk is full")

    monkeypatch.setattr(CacheFile, "write", full)
    assert Leases(file).take(Lease(key=b"k")) == "nobody's"
