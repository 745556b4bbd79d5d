from __future__ import annotations

import os
import socket
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragweft.errors import LoadError
from ragweft.loading import Discovery, Failed, Found, Skipped, discover, source_uri


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path.resolve() / "root"
    path.mkdir()
    return path


def put(path: Path, text: str = "text") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def told(root: Path, **limits: int) -> dict[str, str]:
    """Relative name to what is said about it: the format of what is found, the reason for everything else."""
    base = root.resolve()
    return {
        item.path.relative_to(base).as_posix(): item.format if isinstance(item, Found) else item.reason
        for item in discover(root, **limits)
    }


def failures(items: list[Discovery]) -> list[Failed]:
    return [item for item in items if isinstance(item, Failed)]


@contextmanager
def nested(root: Path, name: str, depth: int) -> Iterator[None]:
    """*depth* directories inside each other with a file in the last, gone again at the end.

    Made and removed step by step: pytest's own removal recurses, and the whole path may be too long to name.
    """
    here = Path.cwd()
    os.chdir(root)
    try:
        for _ in range(depth):
            Path(name).mkdir()
            os.chdir(name)
        Path("deepest.md").touch()
        bottom = os.open(".", os.O_RDONLY)
        os.chdir(here)
        yield
        os.chdir(bottom)
        os.close(bottom)
        Path("deepest.md").unlink()
        for _ in range(depth):
            os.chdir("..")
            Path(name).rmdir()
    finally:
        os.chdir(here)


def test_what_is_found(root: Path) -> None:
    put(root / "b.md", "four")
    put(root / "a" / "c.py")
    put(root / "a" / "deep" / "index.html")
    put(root / "LICENSE")
    put(root / "picture.png")
    (root / "empty").mkdir()
    items = list(discover(root))
    assert told(root) == {
        "LICENSE": "text",
        "a/c.py": "python",
        "a/deep/index.html": "html",
        "b.md": "markdown",
        "picture.png": "unsupported type",
    }
    (item,) = [item for item in items if isinstance(item, Found) and item.path.name == "b.md"]
    stat = (root / "b.md").stat()
    assert (item.path, item.size, item.mtime_ns) == (root / "b.md", 4, stat.st_mtime_ns)
    assert item.uri == source_uri(root / "b.md")


def test_the_order_depends_on_names_alone(root: Path) -> None:
    names = ["b.md", "a/z.md", "a.md", "c/a.md", "B.md", "a/b/c.md", "ä.md"]
    for name in names:
        put(root / name)
    paths = [item.path for item in discover(root)]
    assert paths == [root / name for name in ["B.md", "a/b/c.md", "a/z.md", "a.md", "b.md", "c/a.md", "ä.md"]]
    assert [item.path for item in discover(root)] == paths


def test_a_single_file(root: Path) -> None:
    path = put(root / ".hidden.md")
    assert [item.path for item in discover(path) if isinstance(item, Found)] == [path]
    assert told(put(root / "picture.png").parent / "picture.png") == {".": "unsupported type"}


def test_a_root_that_is_not_there(root: Path) -> None:
    with pytest.raises(LoadError, match=r"nothing\.md: cannot be found \(No such file.*check the name"):
        discover(root / "nothing.md")
    (root / "loop").symlink_to(root / "loop")
    with pytest.raises(LoadError, match="cannot be found"):
        discover(root / "loop")
    with pytest.raises(LoadError, match="cannot be found"):
        discover(root / "a\0b")


def test_a_root_that_is_a_link_or_relative(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(root / "a.md")
    (root.parent / "link").symlink_to(root)
    monkeypatch.chdir(root)
    for way in (root.parent / "link", Path(), Path("../root")):
        assert [item.path for item in discover(way)] == [root / "a.md"]


def test_hidden_and_tool_directories(root: Path) -> None:
    tools = [".git", ".hg", ".svn", "node_modules", "__pycache__", ".venv", ".mypy_cache", ".pytest_cache"]
    tools += [".ruff_cache", ".tox", ".idea", ".ragweft", "sub/node_modules"]
    for name in tools:
        put(root / name / "a.md")
    put(root / ".config" / "a.md")
    put(root / ".secret.md")
    put(root / "env" / "pyvenv.cfg")
    put(root / "env" / "lib" / "a.md")
    put(root / "venv" / "a.md")
    expected = dict.fromkeys(tools, "tool directory")
    assert told(root) == {
        **expected,
        ".config": "hidden",
        ".secret.md": "hidden",
        "env": "tool directory",
        "venv/a.md": "markdown",
    }


def test_a_tool_directory_cannot_be_taken_back_in_but_named(root: Path) -> None:
    put(root / ".ragweftignore", "!node_modules\n!.git\n")
    put(root / "node_modules" / "a.md")
    put(root / ".git" / "a.md")
    assert set(told(root).values()) == {"tool directory", "hidden"}
    assert told(root / "node_modules") == {"a.md": "markdown"}


def test_a_project_that_is_an_environment_itself(root: Path) -> None:
    put(root / "pyvenv.cfg")
    put(root / "a.md")
    assert told(root)["a.md"] == "markdown"


def test_an_index_is_never_read(root: Path) -> None:
    for name in ("ragweft.toml", "ledger.db"):
        put(root / "my-index" / name)
    put(root / "my-index" / "cache" / "a.md")
    put(root / "half" / "ragweft.toml")
    assert told(root) == {"half/ragweft.toml": "code", "my-index": "ragweft index"}
    assert told(root / "my-index") == {".": "ragweft index"}


def test_limits(root: Path) -> None:
    put(root / "fits.md", "12345")
    put(root / "large.md", "123456")
    put(root / "large.png", "123456")
    items = list(discover(root, max_bytes=5))
    (failed,) = failures(items)
    assert (failed.path.name, failed.transient, failed.directory) == ("large.md", False, False)
    assert failed.reason.startswith("larger than 5 bytes; ")
    assert told(root, max_bytes=5)["fits.md"] == "markdown"
    assert told(root, max_bytes=5)["large.png"] == "unsupported type"


def test_what_is_no_regular_file_is_never_opened(root: Path) -> None:
    os.mkfifo(root / "pipe.md")
    with socket.socket(socket.AF_UNIX) as server:
        # A socket's path is limited to about a hundred bytes; a relative one always fits.
        here = Path.cwd()
        os.chdir(root)
        try:
            server.bind("socket.txt")
        finally:
            os.chdir(here)
        assert told(root) == {"pipe.md": "not a regular file", "socket.txt": "not a regular file"}
    assert told(root / "pipe.md") == {".": "not a regular file"}


def test_links_to_files(root: Path) -> None:
    put(root / "a.md")
    put(root / ".github" / "readme.md")
    put(root / "out" / "x.md")
    put(root / ".gitignore", "out/\nunwanted.md\n")
    put(root / "node_modules" / "dep.md")
    put(root.parent / "outside.md")
    for name, target in {
        "again.md": "a.md",
        "readme.md": ".github/readme.md",
        "readme2.md": ".github/readme.md",
        "ignored.md": "out/x.md",
        "dep.md": "node_modules/dep.md",
        "outside.md": "../outside.md",
        "broken.md": "gone.md",
        "broken": "gone",
        "loop.md": "loop.md",
        "unwanted.md": ".github/readme.md",
        ".hidden.md": "a.md",
    }.items():
        (root / name).symlink_to(target)
    assert told(root) == {
        ".github": "hidden",
        ".gitignore": "hidden",
        ".hidden.md": "hidden",
        ".github/readme.md": "markdown",
        "a.md": "markdown",
        "again.md": "duplicate",
        "broken": "unsupported type",
        "broken.md": "broken link",
        "dep.md": "tool directory",
        "ignored.md": "ignored",
        "loop.md": "broken link",
        "node_modules": "tool directory",
        "out": "ignored",
        "outside.md": "link leads outside",
        "readme2.md": "duplicate",
        "unwanted.md": "ignored",
    }
    assert {item.path.name for item in failures(list(discover(root)))} == {"broken.md", "loop.md"}


def test_links_to_directories_and_loops(root: Path) -> None:
    put(root / "sub" / "deep" / "a.md")
    put(root.parent / "outside" / "b.md")
    (root / "sub" / "deep" / "up").symlink_to(root)
    (root / "sub" / "self").symlink_to(".")
    (root / "to-sub").symlink_to("sub")
    (root / "out").symlink_to("../outside")
    (root / "x").symlink_to("y")
    (root / "y").symlink_to("x")
    link = "link to a directory"
    assert told(root) == {
        "out": link,
        "sub/deep/a.md": "markdown",
        "sub/deep/up": link,
        "sub/self": link,
        "to-sub": link,
        "x": "unsupported type",
        "y": "unsupported type",
    }


def test_file_names_that_are_no_text(root: Path) -> None:
    put(root / "line\nbreak.md")
    put(root / "sub" / "b.md")
    for name in (b"caf\xe9.md", b"caf\xe9.png", b"caf\xe9"):
        path = root / os.fsdecode(name)
        if name.endswith(b"\xe9"):
            put(path / "a.md")
        else:
            put(path)
    items = list(discover(root))
    assert {item.path.name for item in items if isinstance(item, Found)} == {"line\nbreak.md", "b.md"}
    assert [(os.fsencode(f.path.name), f.reason, f.directory) for f in failures(items)] == [
        (b"caf\xe9", "folder name is not valid text", True),
        (b"caf\xe9.md", "file name is not valid text", False),
    ]
    assert all(failed.uri.isascii() for failed in failures(items))
    with pytest.raises(LoadError, match="is not valid text; rename it"):
        discover(root / os.fsdecode(b"caf\xe9.md"))


def test_what_vanishes_on_the_way_is_as_if_it_never_was(root: Path) -> None:
    for name in ("a.md", "b.md", "c/d.md", "z.md"):
        put(root / name)
    (root / "link.md").symlink_to("z.md")
    items = discover(root)
    assert next(items).path.name == "a.md"
    (root / "b.md").unlink()
    (root / "c" / "d.md").unlink()
    (root / "c").rmdir()
    assert next(items).path.name == "z.md"
    (root / "link.md").unlink()
    assert list(items) == []


def test_a_root_that_vanishes_tells_nothing_about_what_it_held(root: Path) -> None:
    items = discover(root)
    root.rmdir()
    assert list(items) == [Failed(path=root, reason="vanished", transient=True, directory=True)]
    single = discover(put(root.parent / "a.md"))
    (root.parent / "a.md").unlink()
    assert list(single) == []


def test_a_directory_that_cannot_be_listed(root: Path) -> None:
    """A directory whose path is longer than the system takes stands for every one that cannot be read."""
    put(root / "a.md")
    with nested(root, "d" * 200, 30):
        items = list(discover(root))
    (failed,) = failures(items)
    assert failed.directory
    assert failed.transient
    assert failed.reason == "cannot be read (File name too long)"
    assert [item.path.name for item in items if isinstance(item, Found)] == ["a.md"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="permissions do not bind this user")
def test_a_directory_without_permission(root: Path) -> None:
    put(root / "shut" / "a.md")
    (root / "shut").chmod(0)
    try:
        (failed,) = discover(root)
    finally:
        (root / "shut").chmod(0o700)
    assert isinstance(failed, Failed)
    assert failed.transient
    assert failed.directory


def test_a_tree_deeper_than_the_stack(root: Path) -> None:
    with nested(root, "d", 1_100):
        (item,) = discover(root)
    assert isinstance(item, Found)
    assert len(item.path.parts) == len(root.parts) + 1_101


def test_it_streams(root: Path) -> None:
    for number in range(3):
        put(root / f"d{number}" / "a.md")
    items = discover(root)
    next(items)
    put(root / "d2" / "late.md")
    assert [item.path.name for item in items] == ["a.md", "a.md", "late.md"]


NAMES = st.sampled_from(["a.md", "b.txt", "c.png", ".d.md", "README", "e", "node_modules", ".hid", "link.md"])


@given(
    st.dictionaries(
        st.lists(NAMES, min_size=1, max_size=3).map(tuple), st.sampled_from(["file", "link", "up"])
    ),
)
@settings(deadline=None, max_examples=60)
def test_every_entry_is_told_once_or_lies_below_one(entries: dict[tuple[str, ...], str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        for parts, kind in entries.items():
            path = root.joinpath(*parts)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                if kind == "file":
                    path.touch()
                else:
                    path.symlink_to("a.md" if kind == "link" else "..")
            except OSError:
                continue
        items = list(discover(root))
        times = Counter(item.path for item in items)
        assert set(times.values()) <= {1}
        for item in items:
            if isinstance(item, Found):
                assert item.path == item.path.resolve()
                assert item.path.is_file()
        left_out = {item.path for item in items if not isinstance(item, Found)}
        for path in root.rglob("*"):
            if path.is_file() and not path.is_symlink():
                assert (path in times) or left_out & set(path.parents), path
        assert sum(isinstance(item, Skipped | Found | Failed) for item in items) == len(items)
