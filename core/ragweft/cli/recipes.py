"""Recipes named on the command line: a preset or a file, with settings changed, under a name of its own."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import Field, fields, replace
from pathlib import Path
from typing import Any

from ragweft.errors import RecipeError
from ragweft.recipe import PRESETS, Context, Embedding, Recipe, load_recipe

__all__ = ["changed_recipe", "named_recipes", "parse_spec"]


_ANY_KIND = ("kind", "max_tokens")
"""Settings of [context] that are not of kind llm alone."""


def named_recipes(specs: Sequence[str]) -> dict[str, Recipe]:
    """The recipes of *specs* by name, in their order; without any the default one.

    Raises:
        RecipeError: a spec is wrong, or two have one name.
    """
    named: dict[str, Recipe] = {}
    for spec in specs or ("default",):
        name, recipe = parse_spec(spec)
        if name in named:
            raise RecipeError(f"--recipe {spec}: two recipes are named {name!r}; write  NAME={spec}")
        named[name] = recipe
    return named


def parse_spec(spec: str) -> tuple[str, Recipe]:
    """Name and recipe of `[NAME=]BASE[,SECTION.KEY=VALUE …]`.

    BASE is a preset, a recipe's file, or an index folder; it may be left out for the default recipe. Without a
    name the recipe is called by its base and what is changed.

    Raises:
        RecipeError: there is no such base, section or key, or a value is not allowed.
    """
    head, *rest = spec.split(",")
    name, equals, base = head.rpartition("=")
    if equals and "." in name and name.partition(".")[0] in _sections(Recipe()):
        head, name, base, rest = "", "", "default", [head, *rest]
    recipe = _base(base, spec)
    try:
        changes = [_change(item, recipe) for item in rest]
        changed = _changed(recipe, changes)
    except RecipeError as error:
        raise RecipeError(f"--recipe {spec}: {error}") from None
    return name or " ".join([_called(base), *(f"{key}={text}" for _, key, text in changes)]), changed


def changed_recipe(recipe: Recipe, items: Sequence[str]) -> Recipe:
    """*recipe* with changes, each written SECTION.KEY=VALUE.

    Another embedding model starts from the defaults of [embedding]: sizes, prompts and addresses are a model's
    own. So do address, window and prices of another model in [context], and the size of another kind.

    Raises:
        RecipeError: there is no such section or key, or a value is not allowed.
    """
    try:
        changes = [_change(item, recipe) for item in items]
        named = {(section, key) for section, key, _ in changes}
        if ("embedding", "model") in named:
            recipe = replace(recipe, embedding=Embedding())
        context, usual = recipe.context, Context()
        if ("context", "kind") in named:
            context = replace(context, max_tokens=usual.max_tokens)
        if ("context", "model") in named:
            own = {name: getattr(usual, name) for name in ("base_url", "window", "usd_input", "usd_output")}
            context = replace(context, **own)
        recipe = replace(recipe, context=context)
        return _changed(recipe, changes)
    except RecipeError as error:
        raise RecipeError(f"reindex: {error}") from None


def _base(base: str, spec: str) -> Recipe:
    if base in PRESETS:
        return PRESETS[base]
    path = Path(base).expanduser()
    file = path / "ragweft.toml" if path.is_dir() else path
    if not base or not file.is_file():
        presets = ", ".join(PRESETS)
        raise RecipeError(
            f"--recipe {spec}: {base!r} is no preset ({presets}), no recipe's file and no index folder"
        )
    return load_recipe(file)


def _called(base: str) -> str:
    if base in PRESETS:
        return base
    path = Path(base).expanduser().absolute()
    return path.parent.name if path.name == "ragweft.toml" else path.stem


def _change(item: str, recipe: Recipe) -> tuple[str, str, str]:
    """Section, key and value of `SECTION.KEY=VALUE`, the value as it was written."""
    dotted, equals, text = item.partition("=")
    section, dot, key = dotted.strip().partition(".")
    if not equals or not dot:
        raise RecipeError(f"{item!r} is no change; write SECTION.KEY=VALUE, as in retrieval.k=10")
    sections = _sections(recipe)
    if section not in sections:
        raise RecipeError(f"unknown section {section!r}{_hint(section, sections)}")
    keys = [setting.name for setting in fields(getattr(recipe, section))]
    if key not in keys:
        raise RecipeError(f"unknown key {key!r} in [{section}]{_hint(key, keys)}")
    return section, key, text.strip()


def _changed(recipe: Recipe, changes: Sequence[tuple[str, str, str]]) -> Recipe:
    values: dict[str, dict[str, object]] = {}
    for section, key, text in changes:
        setting = next(each for each in fields(getattr(recipe, section)) if each.name == key)
        values.setdefault(section, {})[key] = _value(text, setting)
    tables = {section: replace(getattr(recipe, section), **row) for section, row in values.items()}
    changed = replace(recipe, **tables)
    usual = Context()
    for key, value in values.get("context", {}).items():
        if changed.context.kind != "llm" and key not in _ANY_KIND and value != getattr(usual, key):
            raise RecipeError(
                f"context.{key} is for contexts that a language model writes, and these are "
                f"{changed.context.kind}: add context.kind=llm, or leave it out"
            )
    return changed


def _value(text: str, setting: Field[Any]) -> object:
    """A value as TOML reads it; text needs no quotes, so that nobody has to quote them from the shell."""
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
    if isinstance(value, str):
        return value
    if isinstance(setting.default, str) and not setting.metadata["word"]:
        return text
    return float(value) if type(value) is int and not isinstance(setting.default, int) else value


def _sections(recipe: Recipe) -> Mapping[str, object]:
    return {section.name: getattr(recipe, section.name) for section in fields(recipe)}


def _hint(name: str, known: Sequence[str] | Mapping[str, object]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(known)}"
