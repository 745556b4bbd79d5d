"""Finding or making an index folder, and settling which recipe rules it."""

from __future__ import annotations

import os
import re
import sqlite3
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ragweft.errors import IndexLocked, LoadError, RecipeError, SpaceMismatch
from ragweft.ledger.database import refuse_network_filesystem
from ragweft.recipe import Recipe, load_recipe, parse_recipe, write_recipe
from ragweft.uris import source_uri

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Settled", "as_uris", "find_folder", "keep_recipe", "settle", "settle_recipe", "take_over_recipe"]

_BUSY_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What the ledger of an index says before the index is opened: one look at the file."""

    awaited: str | None = None
    """The ragweft.toml that a reindexing has left to be written."""
    untouched: bool = True
    """Nothing was ever committed, so that another recipe may make the index."""
    space: str = ""
    """What it was filled by; "" where nothing was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """How an index is to be opened."""

    recipe: Recipe
    space: str
    """What it was filled by, as its ledger says; "" where nothing was, or it cannot tell."""
    awaited: bool
    """A reindexing has left a ragweft.toml to be written: see `take_over_recipe`."""
    stored: Recipe | None
    """What ragweft.toml said; None where there is none yet."""


def find_folder(path: str | os.PathLike[str], *, create: bool, read_only: bool | None) -> tuple[Path, bool]:
    """The index folder, made if need be and allowed, and whether it can only be read.

    Raises:
        IndexLocked: it is missing and may not be made, cannot be made, or lies on a network file system.
    """
    folder = Path(path).expanduser().absolute()
    exists = (folder / "ledger.db").exists()
    if read_only is None:
        read_only = exists and not os.access(folder, os.W_OK)
    if not exists:
        if read_only or not create:
            advice = f"make one with  ragweft sync FOLDER --index {os.fspath(path)}"
            raise IndexLocked(f"{folder}: there is no index here; {advice}")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # An index can be made again from what it indexes: it does not belong into anybody's history.
            (folder / ".gitignore").write_text("*\n", encoding="utf-8")
        except OSError as error:
            raise IndexLocked(f"{folder}: cannot be made ({error.strerror}); choose another place") from None
    refuse_network_filesystem(folder)
    return folder, read_only


def settle_recipe(folder: Path, given: Recipe | None) -> Recipe:
    """The recipe of `settle`."""
    return settle(folder, given).recipe


def settle(folder: Path, given: Recipe | None) -> Settled:
    """The recipe of an existing index, or *given* (or the default) for a new one; nothing is written yet.

    Raises:
        RecipeError: ragweft.toml or *given* is wrong, or they disagree on what is stored.
        SpaceMismatch: they disagree on what embeds.
    """
    file = folder / "ragweft.toml"
    told = _told(folder)
    if told.awaited is None and not file.exists():
        return Settled(recipe=given or Recipe(), space=told.space, awaited=False, stored=None)
    stored = load_recipe(file) if told.awaited is None else parse_recipe(told.awaited)
    if given is not None and not given.embedding.dims and given.embedding.model == stored.embedding.model:
        given = replace(given, embedding=replace(given.embedding, dims=stored.embedding.dims))
    if given is not None and given.indexing != stored.indexing and not told.untouched:
        different = _differences(stored, given)
        kind = SpaceMismatch if any(said.startswith("embedding.") for said in different) else RecipeError
        raise kind(
            f"{file}: the recipe given differs from how the index was made ({'; '.join(different)}); open it "
            "without a recipe, or make it over in place with  ragweft reindex  (ragweft.reindex)"
        )
    return Settled(recipe=given or stored, space=told.space, awaited=told.awaited is not None, stored=stored)


def take_over_recipe(folder: Path, text: str | None = None) -> None:
    """Write *text* as ragweft.toml, or what a reindexing has left to be written, if it has.

    The ledger says which recipe an index was made over by until the file says it too, so that a process killed
    between the two loses nothing. What the file said before is kept as `ragweft.before.toml`.

    Raises:
        IndexLocked: the folder cannot be written.
    """
    awaited = _told(folder).awaited if text is None else text
    file = folder / "ragweft.toml"
    if awaited is None:
        return
    old = file.read_text(encoding="utf-8") if file.exists() else awaited
    if old != awaited:
        _write(folder, old, name="ragweft.before.toml")
        _write(folder, awaited)
    with closing(sqlite3.connect(folder / "ledger.db", timeout=_BUSY_SECONDS)) as ledger, ledger:
        ledger.execute("DELETE FROM facts WHERE name = 'recipe' AND value = ?", (awaited,))


def keep_recipe(folder: Path, recipe: Recipe, known: Recipe | None) -> None:
    """Write the recipe of a new index down; into one that is there, the vector size it leaves open.

    *known* is what the file was found to say, None for nothing: where it says all, it is not read again.

    A size that is written down needs no service to be asked for it, and no newer list of models changes it.

    Raises:
        IndexLocked: the folder cannot be written.
    """
    if known is not None and known.embedding.dims and not _differ(known, recipe):
        return
    file = folder / "ragweft.toml"
    stored = load_recipe(file) if file.exists() else None
    if stored is None or (_differ(stored, recipe) and _told(folder).untouched):
        _write(folder, write_recipe(recipe))
        return
    dims = recipe.embedding.dims
    if not dims or stored.embedding.dims:
        return
    text = file.read_text(encoding="utf-8")
    told = re.sub(r"(?m)^dims = 0\b", f"dims = {dims}", text, count=1)
    if told == text:
        told = re.sub(r"(?m)^(\[embedding\].*)$", rf"\1\ndims = {dims}", text, count=1)
    # A file of another shape is somebody's own: it is left as it is.
    pinned = replace(stored, embedding=replace(stored.embedding, dims=dims))
    if told != text and parse_recipe(told) == pinned:
        _write(folder, told)


def _differences(stored: Recipe, given: Recipe) -> list[str]:
    """In what the two disagree that decides what is stored, each setting in words."""
    made, wanted = stored.indexing, given.indexing
    sections = {
        "embedding": (asdict(made[0]), asdict(wanted[0])),
        "chunking": (asdict(made[1]), asdict(wanted[1])),
        "context": (asdict(made[2]), asdict(wanted[2])),
    }
    return [
        f"{section}.{key} is {value!r} and not {now[key]!r}"
        for section, (was, now) in sections.items()
        for key, value in was.items()
        if value != now[key]
    ]


def _differ(stored: Recipe, recipe: Recipe) -> bool:
    """Whether they say different things of what is stored, vector sizes left open aside."""
    sized = replace(stored, embedding=replace(stored.embedding, dims=recipe.embedding.dims))
    return (sized if not stored.embedding.dims else stored).indexing != recipe.indexing


def _told(folder: Path) -> _Told:
    file = folder / "ledger.db"
    if not file.exists():
        return _Told()
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=_BUSY_SECONDS)) as ledger:
            found = ledger.execute(
                "SELECT name, value FROM facts WHERE name IN ('recipe', 'generation', 'space')"
            ).fetchall()
    except sqlite3.Error:
        return _Told(untouched=False)  # whoever opens it says what is wrong
    facts = {str(name): str(value) for name, value in found}
    untouched = facts.get("generation", "0") == "0"
    space = "" if untouched else facts.get("space", "")
    return _Told(awaited=facts.get("recipe"), untouched=untouched, space=space)


def _write(folder: Path, text: str, *, name: str = "ragweft.toml") -> None:
    # Two processes may make one index at once: whoever renames last, both read a whole file.
    file = folder / name
    fresh = file.with_name(f"{name}.{os.getpid()}")
    try:
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(file)
    except OSError as error:
        raise IndexLocked(f"{folder}: cannot be written ({error.strerror})") from None


def as_uris(
    sources: Sequence[str | os.PathLike[str]] | str | os.PathLike[str] | None,
) -> list[str] | None:
    """Paths or URIs as the URIs documents may be known by; a single one counts as a list, None stays None.

    A text without `://` may be a path, or the very name a program gave as a document's source: both are looked
    for.

    Raises:
        LoadError: one of them is empty.
    """
    if sources is None:
        return None
    given = [sources] if isinstance(sources, (str, os.PathLike)) else sources
    uris: list[str] = []
    for source in given:
        text = os.fspath(source)
        if not text:
            raise LoadError("the source is empty; name a file, a folder or a URI")
        uris.append(text)
        if "://" not in text:
            uris.append(source_uri(Path(text).expanduser().absolute()))
    return uris
