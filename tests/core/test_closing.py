"""What is made at its first use, while or after the index it belongs to is closed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from conftest import FLAT
from ragweft import cutting
from ragweft.assembly import Parts, build_parts
from ragweft.errors import RagweftError
from ragweft.ingestion.pipeline import Pipeline
from ragweft.testing import HashEmbedder


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[Pipeline]:
    found: list[Pipeline] = []
    close = Pipeline.close

    def closing_one(own: Pipeline) -> None:
        found.append(own)
        close(own)

    monkeypatch.setattr(Pipeline, "close", closing_one)
    return found


def parts_in(folder: Path) -> Parts:
    return build_parts(folder, FLAT, HashEmbedder(dims=16), chunker=None, contextualizer=None, read_only=False)


@contextmanager
def beside(job: Any) -> Iterator[threading.Thread]:
    thread = threading.Thread(target=job)
    thread.start()
    yield thread
    thread.join()


def test_what_is_being_made_while_it_is_closed_is_not_left_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, closed: list[Pipeline]
) -> None:
    begun, go = threading.Event(), threading.Event()
    build, made = cutting.build_pipeline, []

    def slowly(*args: Any, **kwargs: Any) -> Pipeline:
        begun.set()
        go.wait(30)
        made.append(build(*args, **kwargs))
        return made[-1]

    monkeypatch.setattr(cutting, "build_pipeline", slowly)
    parts = parts_in(tmp_path)
    with beside(lambda: parts.pipeline):
        assert begun.wait(30)
        with beside(parts.close) as closer:
            closer.join(0.2)
            go.set()
    assert closed == made
    assert len(made) == 1


def test_nothing_is_made_of_what_is_closed(tmp_path: Path, closed: list[Pipeline]) -> None:
    with closing(parts_in(tmp_path)) as parts:
        pass
    with pytest.raises(RagweftError, match="closed"):
        assert parts.pipeline
    assert closed == []
    with closing(parts_in(tmp_path)) as parts:
        assert parts.pipeline is parts.pipeline
    assert closed == [parts.pipeline], "what was made stays what it was"
    parts.close()
