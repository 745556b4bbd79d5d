from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragweft.loading import display_path, source_path, source_uri

NAMES = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]) | st.sampled_from(" #%?é&;+~\n"),
    min_size=1,
).filter(lambda name: name not in (".", ".."))


@given(st.lists(NAMES, min_size=1, max_size=4))
def test_any_name_survives_the_way_to_a_uri_and_back(names: list[str]) -> None:
    path = Path("/nowhere", *names)
    uri = source_uri(path)
    assert uri.isascii()
    assert uri.isprintable()
    assert source_path(uri) == path


@given(st.binary(min_size=1).filter(lambda raw: not {0, 47} & set(raw) and raw not in (b".", b"..")))
def test_bytes_that_are_no_text_survive_too(raw: bytes) -> None:
    path = Path("/nowhere", os.fsdecode(raw))
    assert source_path(source_uri(path)) == path


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        ("/a/b.md", "file:///a/b.md"),
        ("/a b/#1 100%.md", "file:///a%20b/%231%20100%25.md"),
        ("/é/日本.md", "file:///%C3%A9/%E6%97%A5%E6%9C%AC.md"),
        ("/a/./x/../b.md", "file:///a/b.md"),
        ("/", "file:///"),
    ],
)
def test_form(path: str, uri: str) -> None:
    assert source_uri(Path(path)) == uri


def test_equals_what_pathlib_makes() -> None:
    path = Path("/nowhere/a b#ä~-_.()!.md")
    assert source_uri(path) == path.as_uri()


def test_every_way_to_a_file_gives_one_uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = tmp_path / "real"
    real.mkdir()
    (real / "a.md").touch()
    (tmp_path / "link").symlink_to(real)
    monkeypatch.chdir(tmp_path)
    ways = [Path("real/a.md"), Path("link/a.md"), real / "a.md", Path("real/../link/a.md")]
    assert {source_uri(way) for way in ways} == {source_uri((real / "a.md").resolve())}


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "notes",
        "https://example.org/a.md",
        "file:a.md",
        "file://server/share/a.md",
        "file:///a%00b",
        "mem:1",
        "file:///\udce9",
    ],
)
def test_other_uris_are_no_paths(uri: str) -> None:
    assert source_path(uri) is None


def test_localhost_is_this_machine() -> None:
    assert source_path("file://localhost/a%20b") == Path("/a b")


@given(st.text(st.characters(exclude_characters="\0")))
def test_a_shown_path_is_one_line_of_valid_text(name: str) -> None:
    shown = display_path(Path("/nowhere") / name.replace("/", "_"))
    assert shown.isprintable()
    shown.encode("utf-8")


def test_an_ordinary_path_is_shown_as_it_is() -> None:
    assert display_path(Path("docs/ein Übersicht.md")) == str(Path("docs/ein Übersicht.md"))
    assert display_path("a\nb\udcff") == "a\\nb\\udcff"
