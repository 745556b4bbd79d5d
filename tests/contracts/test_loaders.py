"""What every `Loader` must do, whatever it reads."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from made_files import LETTER, epub, notebook
from ragweft.errors import LoadError
from ragweft.loading import FileLoader, source_path
from ragweft.protocols import Loader

MORE = b"more\n"


def cell(text: str) -> bytes:
    return notebook({"cell_type": "markdown", "source": text})


LOADERS: dict[str, tuple[Callable[[], Loader], list[tuple[str, bytes, bytes]]]] = {
    "text": (
        FileLoader,
        [
            ("a.md", b"# Title\n\ntext\n", b"# Title\n\ntext\n" + MORE),
            ("b.txt", "größe\r\n".encode("latin-1"), "größe\r\n".encode("latin-1") + MORE),
            ("c.html", b"<h1>Title</h1>\n<p>text", b"<h1>Title</h1>\n<p>text" + MORE),
            ("d é#%.csv", b"a,b\n", b"a,b\n" + MORE),
            ("e.py", "\ufeff'''Title'''\n".encode(), b"'''Title'''\n" + MORE),
            ("LICENSE", b"", MORE),
        ],
    ),
    "converted": (
        FileLoader,
        [
            ("a.ipynb", cell("# Title"), cell("# Title\n\nmore")),
            ("b é#%.eml", LETTER, LETTER.replace(b"Rotate the key", b"Rotate no key")),
            ("c.epub", epub("<h1>Title</h1>"), epub("<h1>Title</h1>", "<p>more</p>")),
        ],
    ),
}
"""Name to a loader, and files it reads: their names, what they hold, and what they hold later."""

CONTAINERS = {".eml": "is no e-mail", ".epub": "is damaged"}
"""What is not text to begin with, and what is said of nonsense in it."""


@pytest.fixture(params=LOADERS)
def loader(request: pytest.FixtureRequest) -> Loader:
    return LOADERS[request.param][0]()


@pytest.fixture
def cases(request: pytest.FixtureRequest) -> list[tuple[str, bytes, bytes]]:
    return LOADERS[request.node.callspec.params["loader"]][1]


@pytest.fixture
def paths(cases: list[tuple[str, bytes, bytes]], tmp_path: Path) -> list[Path]:
    made = []
    for name, data, _ in cases:
        made.append(tmp_path / name)
        made[-1].write_bytes(data)
    return made


def test_it_is_a_loader(loader: Loader) -> None:
    assert isinstance(loader, Loader)


def test_the_id_is_stable_and_leads_back(loader: Loader, paths: list[Path]) -> None:
    documents = [loader.load(path) for path in paths]
    assert documents == [loader.load(path) for path in paths]
    assert len({document.id for document in documents}) == len(paths)
    for path, document in zip(paths, documents, strict=True):
        assert document.source == document.id
        assert source_path(document.id) == path.resolve()


def test_everything_can_be_stored(loader: Loader, paths: list[Path]) -> None:
    for path in paths:
        document = loader.load(path)
        for text in (document.id, document.text, document.title or "", document.format):
            text.encode("utf-8")
            assert "\0" not in text
        assert json.loads(json.dumps(document.metadata, allow_nan=False)) == document.metadata
        assert document.title is None or document.title.strip()


def test_a_changed_file_keeps_its_id(
    loader: Loader, paths: list[Path], cases: list[tuple[str, bytes, bytes]]
) -> None:
    for path, (_, _, later) in zip(paths, cases, strict=True):
        before = loader.load(path)
        path.write_bytes(later)
        after = loader.load(path)
        assert after.id == before.id
        assert after.text != before.text


def test_what_cannot_be_read_is_a_load_error_of_one_line(loader: Loader, paths: list[Path]) -> None:
    for path in paths:
        path.unlink()
        with pytest.raises(LoadError) as caught:
            loader.load(path)
        assert str(path) in str(caught.value)
        assert "; " in str(caught.value)
        assert str(caught.value).isprintable()


def test_bytes_that_mean_nothing_are_a_load_error(loader: Loader, paths: list[Path]) -> None:
    for path in paths:
        path.write_bytes(b"\0\1\2\3")
        said = CONTAINERS.get(path.suffix, "looks binary")
        with pytest.raises(LoadError, match=said) as caught:
            loader.load(path)
        assert str(caught.value).startswith(f"{path}: {said}")
        assert "; " in str(caught.value)
        assert str(caught.value).isprintable()
