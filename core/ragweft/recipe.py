"""A recipe says how an index is made and searched; `ragweft.toml` is its form on disk.

Every setting is declared once, in the dataclasses below, with its meaning and allowed values; the commented
TOML, the validation and the error messages are all derived from that declaration. Keys of providers are never
part of a recipe.
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
from typing import Any, TypeVar

from ragweft.errors import RecipeError

__all__ = ["PRESETS", "Recipe", "load_recipe", "parse_recipe", "write_recipe"]

T = TypeVar("T")


def _setting(
    default: T,
    doc: str,
    *,
    choices: tuple[str, ...] = (),
    low: float | None = None,
    high: float | None = None,
    word: str = "",
) -> T:
    """*word* is allowed in the place of a number."""
    bounds = {"doc": doc, "choices": choices, "low": low, "high": high, "word": word}
    value: T = field(default=default, metadata=bounds)
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedding:
    """What turns texts into vectors."""

    model: str = _setting("static", '"static" (built in), or "provider:model"; see `ragweft models`')
    dims: int = _setting(
        0, "vector size, one the model offers; 0: its own, written down when it is known", low=0, high=65_536
    )
    dtype: str = _setting(
        "float",
        "what a service sends: float; int8 and binary are smaller and coarser, where it offers them",
        choices=("float", "int8", "uint8", "binary", "ubinary"),
    )
    query_model: str = _setting("", "another model of the same vector space, for queries only; empty: the same")
    query_prompt: str = _setting(
        "", "put in front of queries, for models that want it; empty: as the model is known to"
    )
    document_prompt: str = _setting("", "put in front of texts to be found, likewise")
    base_url: str = _setting("", "where the service is; empty: the provider's own address")
    late_chunking: bool = _setting(
        False, "embed a passage with its document in view, where the service can (Jina); costs the same"
    )
    window: int = _setting(
        0, "tokens of the longest text embedded whole; 0: as the model is known to", low=0, high=10_000_000
    )
    send_dims: bool = _setting(False, "ask a model that `ragweft models` does not list for `dims`")
    usd_per_million: float = _setting(-1.0, "price of a million tokens, for counting; -1: as known", low=-1.0)
    at_once: int = _setting(4, "requests under way at a time", low=1, high=256)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunking:
    """How documents are cut."""

    strategy: str = _setting(
        "structure",
        "structure: by headings, definitions, sentences; sentence; semantic: where the meaning turns; "
        "recursive: paragraphs and lines; fixed: windows",
        choices=("structure", "sentence", "semantic", "recursive", "fixed"),
    )
    size: int = _setting(480, "tokens of a chunk together with its context", low=32, high=100_000)
    overlap: float = _setting(0.15, "share of a chunk repeated from the one before it", low=0.0, high=0.5)
    breakpoints: str = _setting(
        "percentile",
        "semantic: cut at the largest distances, or where they rise most",
        choices=("percentile", "gradient"),
    )
    threshold: float = _setting(95.0, "semantic: percentile of these that cuts", low=0.0, high=100.0)
    group: int = _setting(5, "semantic: sentences compared on either side", low=1, high=100)
    minimum: float = _setting(0.25, "semantic: share of the size below which nothing is cut", low=0.0, high=0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What is put in front of a chunk before it is indexed."""

    kind: str = _setting(
        "outline", "outline: title, headings, file name, opening line; none", choices=("outline", "none")
    )
    max_tokens: int = _setting(60, "the context's share of the chunk size", low=8, high=4_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loading:
    """Which files are read."""

    max_bytes: int = _setting(50_000_000, "larger files are reported and left out", low=1)
    max_pages: int = _setting(10_000, "files of more pages, slides or messages are left out", low=1)
    max_seconds: float = _setting(60.0, "a file that takes longer to read is left out", low=0.1)
    max_memory: int = _setting(2**31, "bytes the process that reads PDF, Office and books may use", low=2**26)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lexical:
    """How words are compared."""

    language: str = _setting("english", 'stems and stop words of Latin-script text; "none" switches both off')
    context_weight: float = _setting(
        0.25, "what a word found in a passage's context counts besides; 0: nothing", low=0.0, high=10.0
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Dense:
    """Which index answers by meaning."""

    engine: str = _setting(
        "auto",
        "auto: exact search up to 50 MB of vectors, Chroma above; chroma; flat (exact, no Chroma kept)",
        choices=("auto", "chroma", "flat"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Chroma:
    """The vector database. A token is read from CHROMA_API_KEY, never from here."""

    mode: str = _setting(
        "embedded",
        "embedded: inside this folder; http: a Chroma server; cloud: Chroma Cloud",
        choices=("embedded", "http", "cloud"),
    )
    host: str = _setting("localhost", "http mode")
    port: int = _setting(8000, "http mode", low=1, high=65_535)
    ssl: bool = _setting(False, "http mode")
    tenant: str = _setting("", "cloud mode; empty: the key's own")
    database: str = _setting("", "cloud mode; empty: the key's own")
    collection: str = _setting("ragweft", "name of the collection")
    store_text: bool = _setting(False, "put texts into Chroma too, for other Chroma clients (slower, larger)")
    ef_search: int = _setting(200, "candidates HNSW examines: recall against time", low=10, high=10_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieval:
    """How the legs become one answer."""

    fusion: str = _setting(
        "convex",
        "convex: weighted sum of min-max scores; rrf; dbsf; zscore",
        choices=("convex", "rrf", "dbsf", "zscore"),
    )
    dense_weight: float | str = _setting(
        "auto",
        'weight of meaning, 0 to 1; words get the rest; "auto": the index finds its own',
        low=0.0,
        high=1.0,
        word="auto",
    )
    sparse_weight: float = _setting(
        0.0,
        "share of the embedder's own word weights, 0 to 1 (BGE-M3: 0.2); the two others get the rest; 0: off",
        low=0.0,
        high=1.0,
    )
    late_weight: float = _setting(
        0.5,
        "share of the last look at how closely a passage meets every word; falls as dense_weight rises; 0: off",
        low=0.0,
        high=1.0,
    )
    late_pool: int = _setting(50, "candidates that look is taken at", low=1, high=10_000)
    document_weight: float = _setting(
        0.3, "what a document's best candidate lends to its others; 0: nothing", low=0.0, high=10.0
    )
    rrf_k: int = _setting(60, "the constant of reciprocal rank fusion", low=0, high=10_000)
    pool: int = _setting(100, "candidates each leg offers to the fusion", low=1, high=10_000)
    k: int = _setting(5, "hits returned when nobody says", low=1, high=10_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerank:
    """The last look at a short list."""

    model: str = _setting("none", '"none", or "provider:model" of a reranker; see `ragweft models`')
    base_url: str = _setting("", "where the reranking service is; empty: the provider's own address")
    seconds: float = _setting(
        10.0, "how long a search waits for it; then the fused order stands", low=0.1, high=600.0
    )
    pool: int = _setting(50, "hits the reranker sees", low=1, high=10_000)


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

    def __post_init__(self) -> None:
        for section in fields(self):
            table = getattr(self, section.name)
            for setting in fields(table):
                _check(getattr(table, setting.name), setting, f"[{section.name}] {setting.name}")
        if self.context.kind != "none" and self.context.max_tokens > self.chunking.size // 2:
            raise RecipeError(
                f"[context] max_tokens = {self.context.max_tokens} leaves too little of "
                f"[chunking] size = {self.chunking.size}: use at most {self.chunking.size // 2}"
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
        return embedding, self.chunking, self.context


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
    for section, values in data.items():
        place = f"{where} line {_line_of(text, section, None)}"
        if section not in (known := {f.name for f in fields(Recipe)}):
            raise RecipeError(f"{place}: unknown section [{section}]{_hint(section, known)}")
        if not isinstance(values, dict):
            raise RecipeError(f"{place}: {section} must be a section: write [{section}]")
        table = getattr(Recipe(), section)
        settings = {f.name: f for f in fields(table)}
        for key, value in values.items():
            place = f"{where} line {_line_of(text, section, key)}"
            if key not in settings:
                raise RecipeError(f"{place}: unknown key {key!r} in [{section}]{_hint(key, settings)}")
            _check(value, settings[key], f"{place}: [{section}] {key}")
        tables[section] = replace(table, **_floats(values, settings))
    try:
        return Recipe(**tables)
    except RecipeError as error:
        # Every setting is allowed by itself; this one is about two of them, and names both.
        section = "context" if "context" in data else "chunking"
        raise RecipeError(f"{where} line {_line_of(text, section, None)}: {error}") from None


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
            lines.append(f"{pair:<28}# {setting.metadata['doc']}")
    return "\n".join(lines) + "\n"


def _floats(values: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    return {
        k: float(v)
        if not isinstance(v, str) and (isinstance(settings[k].default, float) or settings[k].metadata["word"])
        else v
        for k, v in values.items()
    }


def _check(value: object, setting: Any, place: str) -> None:
    word = setting.metadata["word"]
    if word and value == word:
        return
    kind = float if word else type(setting.default)
    fits = isinstance(value, (int, float) if kind is float else kind)
    if not fits or (isinstance(value, bool) and kind is not bool):
        names = {str: "text in quotes", int: "a whole number", float: "a number", bool: "true or false"}
        raise RecipeError(f"{place} = {value!r} must be {names[kind]}" + (f' or "{word}"' if word else ""))
    rules = setting.metadata
    if rules["choices"] and value not in rules["choices"]:
        raise RecipeError(f"{place} = {value!r} is not one of {_listed(rules['choices'])}")
    low, high = rules["low"], rules["high"]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        below, above = low is not None and not value >= low, high is not None and not value <= high
        if below or above:
            bounds = f"at least {low}" if high is None else f"between {low} and {high}"
            raise RecipeError(f"{place} = {value!r} must be {bounds}")


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
