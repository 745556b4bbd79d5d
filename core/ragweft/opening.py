"""Finding or making an index folder, and settling which recipe rules it."""

from __future__ import annotations

import os
import re
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ragweft.errors import IndexLocked, LoadError, RecipeError
from ragweft.ledger.database import refuse_network_filesystem
from ragweft.loading import source_uri
from ragweft.recipe import Recipe, load_recipe, parse_recipe, write_recipe

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["as_uris", "find_folder", "keep_recipe", "settle_recipe"]


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
    """The recipe of an existing index, or *given* (or the default) for a new one; nothing is written yet.

    Raises:
        RecipeError: ragweft.toml or *given* is wrong, or they disagree on what is stored.
    """
    file = folder / "ragweft.toml"
    if not file.exists():
        return given or Recipe()
    stored = load_recipe(file)
    if given is not None and not given.embedding.dims and given.embedding.model == stored.embedding.model:
        given = replace(given, embedding=replace(given.embedding, dims=stored.embedding.dims))
    if given is not None and given.indexing != stored.indexing and not _untouched(folder):
        raise RecipeError(
            f"{file}: this index was made with another embedding, chunking or context than the recipe "
            "given; open it without a recipe, or make a new index"
        )
    return given or stored


def keep_recipe(folder: Path, recipe: Recipe) -> None:
    """Write the recipe of a new index down; into one that is there, the vector size it leaves open.

    A size that is written down needs no service to be asked for it, and no newer list of models changes it.

    Raises:
        IndexLocked: the folder cannot be written.
    """
    file = folder / "ragweft.toml"
    stored = load_recipe(file) if file.exists() else None
    if stored is None or (_differ(stored, recipe) and _untouched(folder)):
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


def _differ(stored: Recipe, recipe: Recipe) -> bool:
    """Whether they say different things of what is stored, vector sizes left open aside."""
    sized = replace(stored, embedding=replace(stored.embedding, dims=recipe.embedding.dims))
    return (sized if not stored.embedding.dims else stored).indexing != recipe.indexing


def _untouched(folder: Path) -> bool:
    """Whether nothing was ever committed to the index in *folder*, so that another recipe may make it."""
    file = folder / "ledger.db"
    if not file.exists():
        return True
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as ledger:
            found = ledger.execute("SELECT value FROM facts WHERE name = 'generation'").fetchone()
    except sqlite3.Error:
        return False  # whoever opens it says what is wrong
    return found is None or found[0] == "0"


def _write(folder: Path, text: str) -> None:
    # Two processes may make one index at once: whoever renames last, both read a whole file.
    file = folder / "ragweft.toml"
    fresh = file.with_name(f"ragweft.toml.{os.getpid()}")
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
