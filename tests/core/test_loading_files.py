from __future__ import annotations

import os
from pathlib import Path
from threading import Thread

import pytest

from ragweft.errors import LoadError
from ragweft.loading import FileLoader, source_uri

LOADER = FileLoader()


def write(path: Path, data: bytes | str) -> Path:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def test_a_document_says_where_it_comes_from(tmp_path: Path) -> None:
    path = write(tmp_path / "My Guide #1.MD", "# The title\r\n\r\ntext\r\n")
    document = LOADER.load(path)
    assert document.id == document.source == source_uri(path)
    assert document.title == "The title"
    assert document.text == "# The title\r\n\r\ntext\r\n"
    assert document.format == "markdown"
    assert document.metadata == {"file_name": "My Guide #1.MD", "suffix": ".md"}


@pytest.mark.parametrize(
    ("name", "text", "written", "title", "language"),
    [
        ("a.rst", "Title\n=====\n", "rst", "Title", None),
        ("a.py", '"""First."""\n', "python", "First.", "python"),
        ("a.rs", "fn main() {}\n", "code", None, "rust"),
        ("a.csv", "a,b\n1,2\n", "table", None, None),
        ("a.txt", "# plain\n", "text", None, None),
        ("Makefile", "all:\n\ttrue\n", "code", None, "make"),
    ],
)
def test_formats(
    tmp_path: Path, name: str, text: str, written: str, title: str | None, language: str | None
) -> None:
    document = LOADER.load(write(tmp_path / name, text))
    assert (document.text, document.format, document.title) == (text, written, title)
    assert document.metadata.get("code_language") == language


def test_html_becomes_markdown(tmp_path: Path) -> None:
    page = (
        '<html><head><meta charset="cp1251">\n<title>Заголовок</title></head>\n<h1>Раздел</h1>\n<p>Текст</p>\n'
    )
    document = LOADER.load(write(tmp_path / "a.html", page.encode("cp1251")))
    assert document.format == "page"
    assert document.title == "Заголовок"
    assert document.text == "\n\n# Раздел\nТекст\n"
    assert document.metadata == {"file_name": "a.html", "suffix": ".html"}


def test_html_on_one_line_becomes_markdown_without_lines(tmp_path: Path) -> None:
    page = "<title>T</title><h1>A</h1><p>one</p><h2>B</h2><p>two</p><h2>C</h2><p>three</p>"
    document = LOADER.load(write(tmp_path / "a.html", page))
    assert document.places is not None
    assert document.places == ()
    assert (document.title, document.format) == ("T", "markdown")
    assert document.text == "# A\n\none\n\n## B\n\ntwo\n\n## C\n\nthree"


def test_touching_a_file_changes_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "a.md", "text")
    before = LOADER.load(path)
    os.utime(path, (1, 1))
    assert LOADER.load(path) == before


def test_a_link_is_the_file_it_leads_to(tmp_path: Path) -> None:
    real = write(tmp_path / "real.md", "text")
    link = tmp_path / "link.md"
    link.symlink_to(real)
    assert LOADER.load(link) == LOADER.load(real)


def test_a_relative_path_is_the_same_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.md", "text")
    monkeypatch.chdir(tmp_path)
    assert LOADER.load(Path("a.md")) == LOADER.load(path)


def test_an_empty_file_is_an_empty_document(tmp_path: Path) -> None:
    for name in ("a.md", "a.html", "a.py", "README"):
        assert LOADER.load(write(tmp_path / name, "")).text == ""


def test_a_very_long_line(tmp_path: Path) -> None:
    line = "größe " * 40_000
    assert LOADER.load(write(tmp_path / "a.md", line)).text == line
    assert LOADER.load(write(tmp_path / "b.md", line.encode("latin-1"))).text == line
    assert LOADER.load(write(tmp_path / "c.md", line.encode("utf-16"))).text == line


def test_the_limit_is_exact(tmp_path: Path) -> None:
    loader = FileLoader(max_bytes=5)
    assert loader.load(write(tmp_path / "fits.md", "12345")).text == "12345"
    with pytest.raises(LoadError, match=r"large\.md: larger than 5 bytes; split it, or raise max_bytes"):
        loader.load(write(tmp_path / "large.md", "123456"))
    assert loader.load(write(tmp_path / "empty.md", "")).text == ""


def test_a_file_without_a_size_is_measured_as_it_is_read() -> None:
    """Files under /proc have size 0 and content: like one that grows while it is read."""
    path = Path("/proc/self/environ")
    if not path.exists() or path.stat().st_size:
        pytest.skip("this system has no such file")
    assert FileLoader(max_bytes=1 << 30)._read(str(path), "x") == path.read_bytes()
    if path.read_bytes():
        with pytest.raises(LoadError, match="larger than"):
            FileLoader(max_bytes=len(path.read_bytes()) - 1)._read(str(path), "x")


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("image.txt", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "looks binary"),
        ("nul.md", b"text\0", "looks binary"),
        ("half.md", b"\xff\xfea", "begins with a UTF-16 byte order mark"),
        ("letter.doc", b"\xd0\xcf\x11\xe0", "files of this type are not read"),
        ("notebook.ipynb", b"{}", "is no notebook, or a damaged one; save it anew"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path: Path, name: str, data: bytes, reason: str) -> None:
    with pytest.raises(LoadError, match=reason) as caught:
        LOADER.load(write(tmp_path / name, data))
    assert str(caught.value).startswith(f"{tmp_path / name}: ")
    assert not isinstance(caught.value.__cause__, OSError)


def test_what_cannot_be_read_for_now_is_told_apart(tmp_path: Path) -> None:
    """The cause is the OSError: such a file may be there again next time."""
    gone = write(tmp_path / "gone.md", "text")
    gone.unlink()
    broken = tmp_path / "broken.md"
    broken.symlink_to("nowhere.md")
    loop = tmp_path / "loop.md"
    loop.symlink_to(loop)
    below = write(tmp_path / "file.md", "text") / "a.md"
    for path in (gone, broken, loop, below):
        with pytest.raises(LoadError, match="cannot be read") as caught:
            LOADER.load(path)
        assert isinstance(caught.value.__cause__, OSError)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="permissions do not bind this user")
def test_a_file_without_permission(tmp_path: Path) -> None:
    path = write(tmp_path / "a.md", "text")
    path.chmod(0)
    with pytest.raises(LoadError, match="Permission denied") as caught:
        LOADER.load(path)
    assert isinstance(caught.value.__cause__, PermissionError)


def test_what_is_no_regular_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.md")
    (tmp_path / "folder.md").mkdir()
    for name in ("pipe.md", "folder.md"):
        with pytest.raises(LoadError, match="is not a regular file; name a file, or sync the folder"):
            LOADER.load(tmp_path / name)
    with pytest.raises(LoadError, match=r"is no path \(.*embedded null"):
        LOADER.load(tmp_path / "a\0.md")


def test_names_that_are_no_text(tmp_path: Path) -> None:
    path = write(tmp_path / os.fsdecode(b"caf\xe9.md"), "text")
    with pytest.raises(LoadError, match=r"caf\\udce9\.md: its path is not valid text; rename it"):
        LOADER.load(path)
    with pytest.raises(LoadError) as caught:
        LOADER.load(write(tmp_path / "line\nbreak.md", b"\0"))
    assert "line\\nbreak.md" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_several_threads_at_once(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{number}.md", f"# Title {number}\n".encode("utf-16")) for number in range(50)]
    seen: list[str | None] = []

    def load() -> None:
        seen.extend(LOADER.load(path).title for path in paths)

    threads = [Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, seen)) == sorted(f"Title {number}" for number in range(50) for _ in range(4))


def test_repr() -> None:
    assert repr(FileLoader(max_bytes=5)) == "FileLoader(max_bytes=5)"
