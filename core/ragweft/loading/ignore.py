"""Which files the authors of a tree do not want read: `.gitignore` and `.ragweftignore`.

Git's rules hold (https://git-scm.com/docs/gitignore): the file in the deeper directory wins, in a file the last
pattern that matches, `!` takes back in, and nothing below an excluded directory can be taken back. pathspec
translates the patterns; here they are asked about one entry at a time, on the way down, as git does.
"""

from __future__ import annotations

import logging
import os
import re
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ragweft.loading.ignore_lines import git_line

__all__ = ["IGNORE_FILES", "IgnoreRules", "rules_above"]

_log = logging.getLogger(__name__)

IGNORE_FILES = (".gitignore", ".ragweftignore")
"""Names of the files that are obeyed; in one directory the later wins."""

_LONGEST_FILE = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pattern:
    regex: re.Pattern[str]
    ignores: bool
    """False for a pattern that takes back in."""
    directories_only: bool
    by_name: bool
    """It has no slash but at its end: the name of an entry alone decides, wherever it lies."""
    from_ragweft: bool
    """It stands in a `.ragweftignore`."""

    def matches(self, name: str, path: str, *, directory: bool) -> bool:
        """Whether it matches this entry itself, not a directory above it."""
        if self.directories_only and not directory:
            return False
        subject = name if self.by_name else path
        if self.directories_only:
            subject += "/"
        found = self.regex.search(subject)
        if found is None:
            return False
        # pathspec marks the slash behind the part a pattern speaks of: what follows it lies below the match.
        end = found.end("ps_d") if "ps_d" in self.regex.groupindex else -1
        return end in (-1, len(subject))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scope:
    """The patterns of one directory, and where an entry stands as seen from it."""

    patterns: Sequence[_Pattern]
    names: re.Pattern[str] | None
    """Matches every file name that a pattern without directories could match: most match none."""
    paths: re.Pattern[str] | None
    """The same for patterns with directories and paths from here."""
    prefix: str = ""
    """Path from here to the directory the entry lies in, with a slash at its end."""

    def decide(self, name: str, *, directory: bool) -> _Pattern | None:
        """The last pattern that matches the entry."""
        path = self.prefix + name
        if not directory and not (
            (self.names is not None and self.names.search(name))
            or (self.paths is not None and self.paths.search(path))
        ):
            return None
        for pattern in reversed(self.patterns):
            if pattern.matches(name, path, directory=directory):
                return pattern
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class IgnoreRules:
    """What holds for the entries of one directory."""

    scopes: tuple[_Scope, ...] = ()
    """Innermost first."""

    def verdict(self, name: str, *, directory: bool) -> str:
        """What is said about an entry.

        Returns:
            "ignored"; "wanted" if a `.ragweftignore` takes it back in, even if hidden; or "" if nothing.
        """
        for scope in self.scopes:
            pattern = scope.decide(name, directory=directory)
            if pattern is not None:
                if pattern.ignores:
                    return "ignored"
                return "wanted" if pattern.from_ragweft else ""
        return ""

    def below(self, name: str) -> IgnoreRules:
        """The rules inside the directory *name*, its own ignore files not yet read."""
        if not self.scopes:
            return self
        return IgnoreRules(scopes=tuple(replace(s, prefix=f"{s.prefix}{name}/") for s in self.scopes))

    def admitting(self, name: str) -> IgnoreRules:
        """The same without the patterns that ignore the directory *name*."""
        scopes: list[_Scope] = []
        for scope in self.scopes:
            kept = [
                p
                for p in scope.patterns
                if not (p.ignores and p.matches(name, scope.prefix + name, directory=True))
            ]
            scopes.append(scope if len(kept) == len(scope.patterns) else _scope(kept, scope.prefix))
        return IgnoreRules(scopes=tuple(scopes))

    def with_files(self, directory: Path, names: Iterable[str]) -> IgnoreRules:
        """The rules of *directory* with those of its ignore files, of which *names* exist."""
        present = set(names)
        patterns: list[_Pattern] = []
        for name in IGNORE_FILES:
            if name in present:
                patterns += _read_patterns(directory / name, from_ragweft=name == ".ragweftignore")
        return IgnoreRules(scopes=(_scope(patterns), *self.scopes)) if patterns else self


def rules_above(root: Path) -> IgnoreRules:
    """The rules that directories above *root* set for it, up to the repository it lies in.

    Without a repository (a directory above or at *root* that holds `.git`) there are none. A root that lies in
    an ignored directory was named on purpose: patterns that would shut it out are left aside.
    """
    above: list[Path] = []
    for directory in (root, *root.parents):
        if (directory / ".git").exists():
            break
        above.append(directory)
    else:
        return IgnoreRules()
    rules = IgnoreRules()
    for directory in reversed(above):
        rules = rules.with_files(directory.parent, IGNORE_FILES)
        # What takes a directory back in leaves the patterns that ignore others of its name as they are.
        if rules.verdict(directory.name, directory=True) == "ignored":
            rules = rules.admitting(directory.name)
        rules = rules.below(directory.name)
    return rules


def _read_patterns(path: Path, *, from_ragweft: bool) -> list[_Pattern]:
    try:
        # Like git, links are not followed: a hostile tree could point anywhere.
        if not stat.S_ISREG(path.lstat().st_mode):
            return []
        with path.open("rb") as file:
            raw = file.read(_LONGEST_FILE)
    except FileNotFoundError:
        return []
    except OSError as error:
        _log.warning("%s: cannot be read (%s), its patterns are not obeyed", path, error.strerror)
        return []
    lines = os.fsdecode(raw.removeprefix(b"\xef\xbb\xbf")).split("\n")
    patterns: list[_Pattern] = []
    for number, line in enumerate(lines, 1):
        try:
            pattern = _pattern(line, from_ragweft=from_ragweft)
        except (ValueError, re.error) as error:
            _log.warning("%s:%d: %r matches nothing (%s)", path, number, line, error)
            continue
        if pattern is not None:
            patterns.append(pattern)
    return patterns


def _pattern(line: str, *, from_ragweft: bool) -> _Pattern | None:
    from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

    line = git_line(line)
    compiled = GitIgnoreSpecPattern(line)
    if compiled.regex is None or compiled.include is None:
        return None
    body = line.removeprefix("!")
    return _Pattern(
        regex=compiled.regex,
        ignores=compiled.include,
        directories_only=body.endswith("/"),
        by_name="/" not in body.rstrip("/") and not body.endswith("//"),
        from_ragweft=from_ragweft,
    )


def _scope(patterns: Sequence[_Pattern], prefix: str = "") -> _Scope:
    return _Scope(
        patterns=patterns,
        prefix=prefix,
        names=_any_of([p for p in patterns if p.by_name and not p.directories_only]),
        paths=_any_of([p for p in patterns if not p.by_name and not p.directories_only]),
    )


def _any_of(patterns: Sequence[_Pattern]) -> re.Pattern[str] | None:
    if not patterns:
        return None
    return re.compile("|".join(p.regex.pattern.replace("?P<ps_d>", "?:") for p in patterns))
