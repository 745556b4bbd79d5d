"""The files of a dataset, line by line: JSON lines and relevance judgements, plain or gzipped."""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ragweft.errors import LoadError

__all__ = ["Entry", "dataset_folder", "entries", "find_file", "judgements", "splits_in", "text_entries"]

VARIABLE = "RAGWEFT_DATA"
"""Names a folder whose subfolders are datasets known by their plain names."""
_JUDGEMENT_SUFFIXES = (".tsv", ".txt", ".qrels")
_FEWEST = 3
"""Columns of a judgement in the BEIR layout; TREC puts an unused one after the query."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of a file of JSON lines."""

    values: Mapping[str, Any]
    place: str
    """`path line n`, for messages."""

    def text(self, key: str) -> str:
        """A text; a number is taken as its digits, because ids are often written so.

        Raises:
            LoadError: it is missing or something else.
        """
        value = self.values.get(key)
        if isinstance(value, str):
            return value
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        raise LoadError(f"{self.place}: {key!r} must be text, got {_shown(value)}; see docs/evaluation.md")

    def offset(self, key: str) -> int:
        """A number of characters.

        Raises:
            LoadError: it is missing or something else.
        """
        value = self.values.get(key)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
        raise LoadError(f"{self.place}: {key!r} must be a whole number from 0, got {_shown(value)}")

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What stands under "metadata".

        Raises:
            LoadError: it is no object.
        """
        value = self.values.get("metadata")
        if value is None:
            return {}
        if isinstance(value, dict):
            return value
        raise LoadError(f"{self.place}: 'metadata' must be an object, got {_shown(value)}; leave it out")


def dataset_folder(path: str | os.PathLike[str]) -> Path:
    """The folder *path* names: itself, or a subfolder of `$RAGWEFT_DATA`.

    Raises:
        LoadError: there is none.
    """
    folder = Path(path).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists():
        raise LoadError(f"{folder}: is a file; name the folder that holds corpus, queries and qrels")
    root = os.environ.get(VARIABLE)
    if not root:
        raise LoadError(
            f"{folder}: there is no such folder; check the name, or set {VARIABLE} to where it lies"
        )
    beside = Path(root).expanduser() / folder
    if beside.is_dir():
        return beside
    raise LoadError(f"{folder}: there is no such folder, neither here nor in {root} ({VARIABLE})")


def find_file(folder: Path, name: str) -> Path | None:
    """`name.jsonl` or `name.jsonl.gz` in *folder*; None if there is neither."""
    for suffix in (".jsonl", ".jsonl.gz"):
        path = folder / f"{name}{suffix}"
        if path.is_file():
            return path
    return None


def entries(path: Path) -> Iterator[Entry]:
    """The objects of a file of JSON lines; blank lines are passed over.

    Raises:
        LoadError: the file cannot be read, or a line is no JSON object.
    """
    for number, line in _lines(path):
        place = f"{path} line {number}"
        try:
            values = json.loads(line)
        except json.JSONDecodeError as error:
            raise LoadError(f"{place}: not valid JSON: {error.msg} (column {error.colno})") from None
        except (ValueError, RecursionError) as error:  # a number too long, or nested too deep
            raise LoadError(f"{place}: not valid JSON: {error}") from None
        if not isinstance(values, dict):
            raise LoadError(f"{place}: expected a JSON object, got {_shown(values)}")
        yield Entry(values=values, place=place)


def text_entries(path: Path) -> Iterator[tuple[str, Entry]]:
    """As `entries`, each with its `_id`.

    Raises:
        LoadError: an id is missing, empty or comes twice.
    """
    seen: dict[str, str] = {}
    for entry in entries(path):
        name = entry.text("_id")
        if not name:
            raise LoadError(f"{entry.place}: '_id' is empty; give every line a name of its own")
        if name in seen:
            raise LoadError(f"{entry.place}: the id {name!r} was given at {seen[name]}; ids must be unique")
        seen[name] = entry.place
        yield name, entry


def splits_in(folder: Path) -> dict[str, Path]:
    """The judgements in `folder/qrels`, by split, sorted by name."""
    found = {}
    for path in sorted((folder / "qrels").glob("*")):
        plain = path.with_suffix("") if path.suffix == ".gz" else path
        if plain.suffix in _JUDGEMENT_SUFFIXES and path.is_file():
            found[plain.stem] = path
    return found


def judgements(path: Path) -> dict[str, dict[str, int]]:
    """Query id to item id to relevance (0 or less: not relevant) from a qrels file, BEIR's or TREC's.

    BEIR: query, item and relevance, separated by tabs, with a heading. TREC: query, an unused column, item and
    relevance, separated by white space.

    Raises:
        LoadError: the file cannot be read, a line is malformed, or two lines contradict each other.
    """
    found: dict[str, dict[str, int]] = {}
    for number, line in _lines(path):
        columns = line.rstrip("\r\n").split("\t") if "\t" in line else line.split()
        if len(columns) not in (_FEWEST, _FEWEST + 1):
            raise LoadError(
                f"{path} line {number}: expected 3 columns (query, item, relevance) or TREC's 4, "
                f"got {len(columns)}"
            )
        relevance = _whole(columns[-1])
        if relevance is None:
            if number == 1:
                continue  # the heading
            raise LoadError(f"{path} line {number}: the relevance {columns[-1]!r} is no whole number")
        query, item = columns[0].strip(), columns[-2].strip()
        if found.setdefault(query, {}).setdefault(item, relevance) != relevance:
            raise LoadError(f"{path} line {number}: query {query!r} and {item!r} were judged otherwise above")
    return found


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines that are not blank."""
    opens = gzip.open if path.suffix == ".gz" else open
    try:
        with opens(path, "rt", encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line
    except UnicodeDecodeError as error:
        raise LoadError(f"{path}: is not UTF-8 ({error.reason}); save it as UTF-8") from None
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise LoadError(f"{path}: cannot be read ({reason}); check its name and permissions") from None


def _whole(column: str) -> int | None:
    try:
        value = float(column)
    except ValueError:
        return None
    return int(value) if value.is_integer() else None


def _shown(value: object) -> str:
    named: Sequence[tuple[type, str]] = ((dict, "an object"), (list, "a list"), (str, "text"))
    return next((name for kind, name in named if isinstance(value, kind)), json.dumps(value))
