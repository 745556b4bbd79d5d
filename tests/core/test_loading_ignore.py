from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragweft.loading import Found, Skipped, discover
from ragweft.loading.ignore_lines import git_line

FILES = ["a.md", "b.txt", "c.py", "README", "a b.md", "x[1].md", "ab.md"]
FOLDERS = ["d", "e", "docs", "d.md"]


def grow(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")
    return root


def found(root: Path) -> set[str]:
    base = root.resolve()
    return {item.path.relative_to(base).as_posix() for item in discover(root) if isinstance(item, Found)}


def reasons(root: Path) -> dict[str, str]:
    base = root.resolve()
    return {i.path.relative_to(base).as_posix(): i.reason for i in discover(root) if isinstance(i, Skipped)}


def tree(*names: str) -> dict[str, str]:
    return dict.fromkeys(names, "text")


needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="compares with git, which is not installed")


def without_git_ignored(root: Path) -> set[str]:
    """What git sees below *root*, ignore files left out."""
    alone = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    git = ["git", "-C", str(root)]
    subprocess.run([*git, "init", "-q"], env=alone, check=True)
    listing = [*git, "ls-files", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listing, env=alone, check=True, capture_output=True).stdout.decode().split("\0")
    return {name for name in names if name and not name.endswith(".gitignore")}


def test_patterns_negation_and_depth(tmp_path: Path) -> None:
    grow(
        tmp_path,
        {
            **tree(
                "a.md", "b.md", "keep.md", "sub/a.md", "sub/b.md", "sub/deep/b.md", "out/x.md", "sub/out/x.md"
            ),
            ".gitignore": "# comment\n\nb.md\n/out/\n",
            "sub/.gitignore": "!b.md\n*.md\n!b.md\n",
            "sub/deep/.gitignore": "b.md\n",
        },
    )
    assert found(tmp_path) == {"a.md", "keep.md", "sub/b.md"}
    assert reasons(tmp_path)["out"] == "ignored"
    assert reasons(tmp_path)["sub/deep/b.md"] == "ignored"


def test_nothing_below_an_excluded_directory_comes_back(tmp_path: Path) -> None:
    grow(tmp_path, {**tree("out/keep.md", "out/x.md"), ".gitignore": "out/\n!out/keep.md\n"})
    assert found(tmp_path) == set()
    (tmp_path / ".gitignore").write_text("out/*\n!out/keep.md\n")
    assert found(tmp_path) == {"out/keep.md"}
    (tmp_path / ".gitignore").write_text("out/**\n!out/keep.md\n")
    assert found(tmp_path) == {"out/keep.md"}


def test_ragweftignore_wins_in_its_directory_and_may_unhide(tmp_path: Path) -> None:
    grow(
        tmp_path,
        {
            **tree("a.md", "b.md", ".github/guide.md", ".other/x.md", ".github/.secret.md"),
            ".gitignore": "a.md\n!.other\n",
            ".ragweftignore": "!a.md\nb.md\n!.github\n",
        },
    )
    assert found(tmp_path) == {"a.md", ".github/guide.md"}
    assert reasons(tmp_path)[".other"] == "hidden"
    assert reasons(tmp_path)[".github/.secret.md"] == "hidden"


def test_files_above_the_root_are_obeyed_up_to_the_repository(tmp_path: Path) -> None:
    grow(
        tmp_path,
        {
            **tree("repo/docs/sub/a.md", "repo/docs/sub/b.md", "repo/docs/sub/c.md", "repo/docs/sub/d.md"),
            ".gitignore": "d.md\n",
            "repo/.git/HEAD": "",
            "repo/.gitignore": "/docs/sub/a.md\n/sub\n",
            "repo/docs/.gitignore": "b.md\n",
            "repo/docs/.ragweftignore": "/sub/c.md\n",
        },
    )
    assert found(tmp_path / "repo" / "docs" / "sub") == {"d.md"}
    assert found(tmp_path / "repo") == {"docs/sub/d.md"}


def test_without_a_repository_files_above_are_not_obeyed(tmp_path: Path) -> None:
    grow(tmp_path, {**tree("docs/a.md"), ".gitignore": "a.md\n"})
    assert found(tmp_path / "docs") == {"a.md"}
    assert found(tmp_path) == set()


@pytest.mark.parametrize("pattern", ["build/", "build", "/build/docs", "build/*", "build/**", "docs"])
def test_a_root_inside_an_ignored_directory_was_meant(tmp_path: Path, pattern: str) -> None:
    grow(
        tmp_path,
        {
            **tree("build/docs/a.md", "build/docs/b.md", "build/docs/secret.md"),
            ".git/HEAD": "",
            ".gitignore": f"{pattern}\nsecret.md\n",
            "build/docs/.gitignore": "b.md\n",
        },
    )
    assert found(tmp_path / "build" / "docs") == {"a.md"}
    assert found(tmp_path) == set()


def test_a_root_that_was_taken_back_in_is_ignored_by_nothing(tmp_path: Path) -> None:
    """So what ignores others of its name goes on to."""
    grow(tmp_path, {**tree("d/a.md", "d/d/a.md"), ".git/HEAD": "", ".gitignore": "?\n!/*\n"})
    assert found(tmp_path) == {"d/a.md"}
    assert found(tmp_path / "d") == {"a.md"}


def test_a_root_that_is_an_ignored_file_was_meant(tmp_path: Path) -> None:
    grow(tmp_path, {"a.md": "x", ".gitignore": "*\n"})
    assert [type(item) for item in discover(tmp_path / "a.md")] == [Found]


def test_ignore_files_that_cannot_be_read_as_such(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    grow(tmp_path, {**tree("a.md", "b.md", "sub/a.md", "sub/b.md"), "sub/.gitignore": "b.md\nbad\\\n"})
    (tmp_path / ".gitignore").mkdir()
    (tmp_path / "target").write_text("a.md\n")
    (tmp_path / ".ragweftignore").symlink_to(tmp_path / "target")
    with caplog.at_level(logging.WARNING, logger="ragweft.loading.ignore"):
        assert found(tmp_path) == {"a.md", "b.md", "sub/a.md"}
    assert [re.sub(".*/sub", "sub", r.getMessage()) for r in caplog.records] == [
        "sub/.gitignore:2: 'bad\\\\' matches nothing (Invalid git pattern: 'bad\\\\')"
    ]


@needs_git
def test_byte_order_mark_crlf_and_bytes_that_are_no_text(tmp_path: Path) -> None:
    grow(tmp_path, tree("a.md", "b.md", "c.md"))
    (tmp_path / ".gitignore").write_bytes(b"\xef\xbb\xbfa.md\r\n\xff\xfe\r\nb.md  \r\n")
    assert found(tmp_path) == {"c.md"} == without_git_ignored(tmp_path)


@needs_git
@pytest.mark.parametrize(
    ("line", "matches", "misses"),
    [
        ("[[:digit:]x].md", ["1.md", "x.md"], ["a.md", ":.md"]),
        ("[![:alpha:]].md", ["1.md"], ["a.md"]),
        ("[]].md", ["].md"], ["[.md"]),
        ("[[].md", ["[.md"], ["].md"]),
        ("[[-^].md", ["[.md", "].md", "^.md", "\\.md"], ["_.md", "-.md"]),
        ("[a-].md", ["a.md", "-.md"], ["b.md"]),
        (r"[\]].md", ["].md"], ["\\.md"]),
        ("[&&||].md", ["&.md", "|.md"], ["a.md"]),
        ("[--0].md", ["-.md", "..md", "0.md"], ["1.md"]),
        ("[z-a].md", ["z.md"], ["a.md", "-.md", "m.md"]),
        ("[a.md", [], ["a.md", "[a.md"]),
        (r"\#a.md", ["#a.md"], ["a.md"]),
        (r"\!a.md", ["!a.md"], ["a.md"]),
        ("a.md\\ ", ["a.md "], ["a.md"]),
        ("a.md  ", ["a.md"], ["a.md  "]),
        ("a.md\t", [], ["a.md"]),
        ("Icon\r\r", ["Icon\r"], ["Icon"]),
        (" a.md", [" a.md"], ["a.md"]),
    ],
)
def test_lines_git_and_pathspec_read_differently(
    tmp_path: Path, line: str, matches: list[str], misses: list[str]
) -> None:
    (tmp_path / ".gitignore").write_text(f"{line}\n", encoding="utf-8", newline="")
    for name in (*matches, *misses):
        (tmp_path / name).touch()
    ignored = {name for name, reason in reasons(tmp_path).items() if reason == "ignored"}
    assert ignored == set(matches)
    assert without_git_ignored(tmp_path) == set(misses)


@given(st.text(st.sampled_from("[]^!-\\ab&|~:#* \t\r[:alpha:]/é") | st.characters(exclude_characters="\n")))
@settings(deadline=None)
def test_any_line_is_understood_or_refused_in_the_same_way(line: str) -> None:
    from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

    try:
        GitIgnoreSpecPattern(git_line(line))
    except (ValueError, re.error):
        return


SEGMENTS = st.sampled_from(
    [
        r"a",
        r"b",
        r"*",
        r"?",
        r"**",
        r"d",
        r"e",
        r"docs",
        r"*.md",
        r"a.md",
        r"b.txt",
        r"[ab]",
        r"[!a]",
        r"[^d]*",
        r"c.py",
        r"README",
        r"x[[]1].md",
        r"x\[1\].md",
        r"[[:alpha:]]*",
        r"d*",
        r"**b",
        r"a?b.md",
        r"[a-c]*.md",
        r"[]x]*",
        r"[d-a]",
        r"\a.md",
    ]
)


@st.composite
def patterns(draw: st.DrawFn) -> str:
    line = "/".join(draw(st.lists(SEGMENTS, min_size=1, max_size=3)))
    begin, negated, end = draw(st.tuples(*[st.sampled_from(["", "", "", mark]) for mark in ("/", "!", "/")]))
    return f"{negated}{begin}{line}{end}{draw(st.sampled_from(['', '', '', ' ', chr(13)]))}\n"


@st.composite
def trees(draw: st.DrawFn) -> dict[str, str]:
    """Paths of files to their text, three folders deep, with ignore files."""
    folders = [""]
    for _ in range(3):
        folders += [f"{draw(st.sampled_from(folders))}{draw(st.sampled_from(FOLDERS))}/"]
    files = {}
    for folder in dict.fromkeys(folders):
        for name in draw(st.lists(st.sampled_from(FILES), max_size=4, unique=True)):
            files[folder + name] = ""
        lines = draw(st.lists(patterns(), max_size=3))
        if lines:
            files[f"{folder}.gitignore"] = "".join(lines)
    return files


@needs_git
@given(trees())
@settings(deadline=None, max_examples=30)
def test_what_git_ignores_is_ignored(files: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = grow(Path(folder), files)
        expected = without_git_ignored(root)
        assert found(root) == expected
        for sub in {Path(name).parent for name in expected} - {Path()}:
            below = {
                Path(name).relative_to(sub).as_posix() for name in expected if Path(name).is_relative_to(sub)
            }
            assert found(root / sub) == below
