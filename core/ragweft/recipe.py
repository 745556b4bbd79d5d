"""A recipe says how an index is made and searched; `ragweft.toml` is its form on disk.

Every setting is declared once, in `settings`, with its meaning and allowed values; the commented TOML, the
validation and the error messages are all derived from that declaration.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from ragweft.errors import RecipeError
from ragweft.settings import (
    FEWEST,
    Cache,
    Chroma,
    Chunking,
    Context,
    Dense,
    Embedding,
    Lexical,
    Loading,
    Rerank,
    Retrieval,
)

__all__ = [
    "PRESETS",
    "Cache",
    "Chroma",
    "Chunking",
    "Context",
    "Dense",
    "Embedding",
    "Lexical",
    "Loading",
    "Recipe",
    "Rerank",
    "Retrieval",
    "load_recipe",
    "parse_recipe",
    "write_recipe",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that decides how an index is made and searched."""

    embedding: Embedding = field(default_factory=Embedding)
    chunking: Chunking = field(default_factory=Chunking)
    context: Context = field(default_factory=Context)
    loading: Loading = field(default_factory=Loading)
    lexical: Lexical = field(default_factory=Lexical)
    dense: Dense = field(default_factory=Dense)
    chroma: Chroma = field(default_factory=Chroma)
    retrieval: Retrieval = field(default_factory=Retrieval)
    rerank: Rerank = field(default_factory=Rerank)
    cache: Cache = field(default_factory=Cache)

    def __post_init__(self) -> None:
        for section in fields(self):
            table = getattr(self, section.name)
            for setting in fields(table):
                value = getattr(table, setting.name)
                wrong = _wrong(value, setting)
                if wrong:
                    raise RecipeError(f"[{section.name}] {setting.name} = {value!r} {wrong}")
        room, most = self.context.room, self.chunking.size // 2
        if room > most:
            raise RecipeError(
                f"[context] max_tokens = {room} leaves too little of [chunking] size = {self.chunking.size}: "
                f"use at most {most}"
            )
        if 0 < self.context.max_tokens < FEWEST:
            raise RecipeError(
                f"[context] max_tokens = {self.context.max_tokens} says nothing: use at least {FEWEST}, or 0 "
                "for what suits its kind"
            )
        if self.context.kind == "llm" and not self.context.model:
            raise RecipeError(
                '[context] kind = "llm" needs a model: set model = "provider:name", as in '
                '"anthropic:claude-haiku-5-5"'
            )

    @classmethod
    def preset(cls, name: str) -> Recipe:
        """A named recipe: see `PRESETS`.

        Raises:
            RecipeError: there is no preset of that name.
        """
        try:
            return PRESETS[name]
        except KeyError:
            raise RecipeError(f"no preset {name!r}: choose one of {_listed(PRESETS)}") from None

    @property
    def fingerprint(self) -> str:
        """16 hex digits over every setting: equal recipes answer alike."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    @property
    def finding(self) -> str:
        """`fingerprint` without what only decides which answers are kept."""
        return replace(self, cache=Cache()).fingerprint

    @property
    def indexing(self) -> tuple[Embedding, Chunking, Context]:
        """What decides what is stored; the rest only decides how it is reached and searched."""
        own = Embedding()
        embedding = replace(
            self.embedding,
            query_model=own.query_model,
            query_prompt=own.query_prompt,
            base_url=own.base_url,
            at_once=own.at_once,
            usd_per_million=own.usd_per_million,
        )
        return embedding, self.chunking, self.context.indexing


def load_recipe(path: Path) -> Recipe:
    """Read `ragweft.toml`.

    Raises:
        RecipeError: the file is missing, is not TOML, or holds an unknown key or a bad value.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: cannot be read ({error}); restore it or delete it for defaults") from None
    return parse_recipe(text, where=str(path))


def parse_recipe(text: str, *, where: str = "ragweft.toml") -> Recipe:
    """Read a recipe from TOML; settings that are not named keep their defaults.

    Raises:
        RecipeError: naming the line, what is wrong there, and what is allowed.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{where}: not valid TOML: {error}") from None
    tables: dict[str, Any] = {}

    def place(section: str, key: str | None = None) -> str:
        # Looked for only where something is wrong: every start reads a recipe.
        return f"{where} line {_line_of(text, section, key)}"

    for section, values in data.items():
        if section not in (known := {f.name for f in fields(Recipe)}):
            raise RecipeError(f"{place(section)}: unknown section [{section}]{_hint(section, known)}")
        if not isinstance(values, dict):
            raise RecipeError(f"{place(section)}: {section} must be a section: write [{section}]")
        table = getattr(Recipe(), section)
        settings = {f.name: f for f in fields(table)}
        for key, value in values.items():
            if key not in settings:
                near = _hint(key, settings)
                raise RecipeError(f"{place(section, key)}: unknown key {key!r} in [{section}]{near}")
            wrong = _wrong(value, settings[key])
            if wrong:
                raise RecipeError(f"{place(section, key)}: [{section}] {key} = {value!r} {wrong}")
        tables[section] = replace(table, **_floats(values, settings))
    try:
        return Recipe(**tables)
    except RecipeError as error:
        # Every setting is allowed by itself; this one is about two of them, and names both.
        section = "context" if "context" in data else "chunking"
        raise RecipeError(f"{place(section)}: {error}") from None


def write_recipe(recipe: Recipe) -> str:
    """The recipe as TOML with a comment beside every setting."""
    lines = [
        "# How this index is made and searched. Edit it freely: changed chunking or context is applied by",
        "# the next sync, everything from [lexical] on takes effect when the index is opened again.",
    ]
    for section in fields(recipe):
        table = getattr(recipe, section.name)
        lines += ["", f"[{section.name}]  # {(type(table).__doc__ or '').splitlines()[0]}"]
        for setting in fields(table):
            pair = f"{setting.name} = {json.dumps(getattr(table, setting.name), ensure_ascii=False)}"
            lines.append(f"{pair:<27} # {setting.metadata['doc']}")
    return "\n".join(lines) + "\n"


def _floats(values: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    return {
        k: float(v)
        if not isinstance(v, str) and (isinstance(settings[k].default, float) or settings[k].metadata["word"])
        else v
        for k, v in values.items()
    }


def _wrong(value: object, setting: Any) -> str:
    """What is wrong with *value*, in words that follow it; "" for nothing."""
    word = setting.metadata["word"]
    if word and value == word:
        return ""
    kind = float if word else type(setting.default)
    fits = isinstance(value, (int, float) if kind is float else kind)
    if not fits or (isinstance(value, bool) and kind is not bool):
        names = {str: "text in quotes", int: "a whole number", float: "a number", bool: "true or false"}
        return f"must be {names[kind]}" + (f' or "{word}"' if word else "")
    rules = setting.metadata
    if rules["choices"] and value not in rules["choices"]:
        return f"is not one of {_listed(rules['choices'])}"
    low, high = rules["low"], rules["high"]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        below, above = low is not None and not value >= low, high is not None and not value <= high
        if below or above:
            bounds = f"at least {low}" if high is None else f"between {low} and {high}"
            return f"must be {bounds}"
    return ""


def _line_of(text: str, section: str, key: str | None) -> int:
    """The line (from 1) of `[section]`, or of `key = …` below it; good enough for a message."""
    heading = re.compile(rf"\s*\[+\s*[\"']?{re.escape(section)}[\"']?\s*[\].]|\s*{re.escape(section)}\s*[.=]")
    found, inside = 1, False
    for number, line in enumerate(text.splitlines(), start=1):
        if heading.match(line):
            found, inside = number, True
            if key is None:
                return number
        elif re.match(r"\s*\[", line):
            inside = False
        if inside and key is not None and re.search(rf"(^|[\s.{{,\"']){re.escape(key)}[\"']?\s*=", line):
            return number
    return found


def _hint(name: str, known: Mapping[str, object] | set[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {_listed(sorted(known))}"


def _listed(names: object) -> str:
    return ", ".join(repr(name) for name in names)  # type: ignore[attr-defined]  # any iterable of names


PRESETS: Mapping[str, Recipe] = {
    "default": Recipe(),
    # Anthropic, "Introducing Contextual Retrieval" (2024): chunks of a few hundred tokens, the top 20 of each
    # leg, rank fusion, and the reranker's best 5 handed to the model.
    "contextual-retrieval": Recipe(
        chunking=Chunking(strategy="recursive", size=500, overlap=0.1),
        lexical=Lexical(context_weight=0.0),
        retrieval=Retrieval(
            fusion="rrf", dense_weight=0.5, late_weight=0.0, document_weight=0.0, rrf_k=60, pool=20, k=5
        ),
        rerank=Rerank(pool=20),
    ),
}
