"""Which of tree-sitter's grammars are installed, and what they make of a source (extra `code`).

Each grammar is a package of its own: 16 of them weigh 4 MB, bring no others, and have wheels for every Python.
The language pack that collects them (1.25) downloads grammars while it runs; its last release that did not
(0.13) takes 190 MB.
"""

from __future__ import annotations

import hashlib
import importlib
import re
import time
from collections.abc import Collection, Mapping
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from tree_sitter import Node

__all__ = ["LANGUAGES", "Grammars", "Parsed"]

_LARGEST = 128_000
"""Characters; what is larger was generated or is data. With what follows this bounds what a text can cost that
is no source: error recovery may take time and memory with the square of its length, and goes on to the end."""
_SECONDS_PER_BYTE = 5e-6
"""Of CPU: real sources take 0.1 to 0.25 millionths, one in a hundred 1.2. It is asked of the first few thousand
bytes, then of four times as many, and so on, before the parser sees all of them."""
_FIRST = 4_096
_LEAST_SECONDS = 0.02
_SLICE = 2**16
_DEEPEST = 400
"""How many brackets may be open at once. What a parser cannot close it keeps, and when it comes to the end of
the text it takes memory with the square of that: five gigabytes for 16,000."""
_MOST_ANGLES = 2_000
"""The same for `<`, which is a bracket to some grammars and is not closed where it means "less"."""
_CPLUSPLUS = re.compile(r"^[ \t]*(?:class|namespace|template|using|public:|private:)(?:\W|$)", re.MULTILINE)
_LONE_RETURN = re.compile(r"\r(?!\n)")

LANGUAGES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "bash": ("tree_sitter_bash", "language"),
        "c": ("tree_sitter_c", "language"),
        "cpp": ("tree_sitter_cpp", "language"),
        "csharp": ("tree_sitter_c_sharp", "language"),
        "cuda": ("tree_sitter_cpp", "language"),
        "go": ("tree_sitter_go", "language"),
        "java": ("tree_sitter_java", "language"),
        "javascript": ("tree_sitter_javascript", "language"),
        "kotlin": ("tree_sitter_kotlin", "language"),
        "lua": ("tree_sitter_lua", "language"),
        "php": ("tree_sitter_php", "language_php"),
        "python": ("tree_sitter_python", "language"),
        "ruby": ("tree_sitter_ruby", "language"),
        "rust": ("tree_sitter_rust", "language"),
        "scala": ("tree_sitter_scala", "language"),
        "swift": ("tree_sitter_swift", "language"),
        "tsx": ("tree_sitter_typescript", "language_tsx"),
        "typescript": ("tree_sitter_typescript", "language_typescript"),
    }
)
"""A language, as `metadata["code_language"]` names it, to the module of its grammar and the function in it."""


class Parsed(NamedTuple):
    """A source and its syntax tree."""

    text: str
    """The source; lone carriage returns are line feeds, as the parser wants them."""
    raw: bytes
    """The same in UTF-8, which the tree counts in."""
    root: Node


class Grammars:
    """The grammars that are installed; nothing is imported before there is something to parse."""

    def __init__(self, *, languages: Collection[str] = tuple(LANGUAGES)) -> None:
        """Look which of the grammars for *languages* are there."""
        self._languages = frozenset(languages) & _installed()

    def __contains__(self, language: object) -> bool:
        return language in self._languages

    @property
    def fingerprint(self) -> str:
        """Which grammars in which versions there are, in one word: others cut otherwise."""
        if not self._languages:
            return "indentation"
        modules = sorted({LANGUAGES[language][0] for language in self._languages})
        told = ",".join(f"{module}={_version(module)}" for module in ("tree_sitter", *modules))
        return f"tree-sitter-{hashlib.blake2b(told.encode(), digest_size=4).hexdigest()}"

    def parsed(self, text: str, language: object, *, place: str = "") -> Parsed | None:
        """The syntax tree of *text*, errors in it tolerated.

        None where there is no grammar for *language*, where more than half of the text is no source of it, and
        where reading it would cost too much. *place* is the path or URI it came from: some languages have
        dialects that only a suffix tells.
        """
        if not isinstance(language, str) or len(text) > _LARGEST:
            return None
        text = _LONE_RETURN.sub("\n", text) if "\r" in text else text
        dialect = _dialect(text, language, place)
        if dialect not in self._languages:
            return None
        raw = text.encode("utf-8", "surrogatepass")
        if _open(raw, b"([{", b")]}") > _DEEPEST or _open(raw, b"<", b">") > _MOST_ANGLES:
            return None
        root = _root(raw, dialect)
        return Parsed(text, raw, root) if root is not None and 2 * _errors(root) <= len(raw) else None


def _dialect(text: str, language: str, place: str) -> str:
    """The grammar for *language*: JSX in TypeScript is told by the suffix, C++ in a header by its words."""
    if language == "typescript" and place.endswith(".tsx"):
        return "tsx"
    return "cpp" if language == "c" and _CPLUSPLUS.search(text) else language


@cache
def _installed() -> frozenset[str]:
    if find_spec("tree_sitter") is None:
        return frozenset()
    there = {module for module in {module for module, _ in LANGUAGES.values()} if find_spec(module) is not None}
    return frozenset(language for language, (module, _) in LANGUAGES.items() if module in there)


@cache
def _version(module: str) -> str:
    try:
        return metadata.version(module.replace("_", "-"))
    except metadata.PackageNotFoundError:
        return ""


@cache
def _grammar(language: str) -> Any:
    """The grammar itself; loading it takes a millisecond."""
    module, function = LANGUAGES[language]
    return importlib.import_module("tree_sitter").Language(getattr(importlib.import_module(module), function)())


def _root(raw: bytes, language: str) -> Node | None:
    """The tree of a source, or None if it takes the parser too long."""
    size = _FIRST
    while size < len(raw):
        end = raw.rfind(b"\n", 0, size) + 1 or size
        if _tree(raw[:end], language) is None:
            return None
        size *= 4
    return _tree(raw, language)


def _tree(raw: bytes, language: str) -> Node | None:
    parser = importlib.import_module("tree_sitter").Parser(_grammar(language))
    end = time.thread_time() + max(_LEAST_SECONDS, len(raw) * _SECONDS_PER_BYTE)
    try:
        tree = parser.parse(
            lambda at, _: raw[at : at + _SLICE], progress_callback=lambda *_: time.thread_time() > end
        )
    except ValueError:
        # What the parser raises when it is told to stop.
        return None
    root: Node = tree.root_node
    return root if time.thread_time() <= end else None


def _errors(root: Node) -> int:
    """How many bytes could not be read as source: in errors, what no syntax was found in."""
    count, waiting = 0, [root]
    while waiting:
        node = waiting.pop()
        if node.is_error:
            count += node.end_byte - node.start_byte
            read = [child for child in node.children if child.child_count]
            count -= sum(child.end_byte - child.start_byte for child in read)
            waiting += read
        elif node.has_error:
            waiting += node.children
    return count


def _open(raw: bytes, opening: bytes, closing: bytes) -> int:
    """How many brackets are open at once at most, whether or not they pair up."""
    kinds = np.zeros(256, dtype=np.int8)
    kinds[list(opening)], kinds[list(closing)] = 1, -1
    depths = np.cumsum(kinds[np.frombuffer(raw, dtype=np.uint8)], dtype=np.int32)
    # What is closed without having been opened does not count.
    return int((depths - np.minimum.accumulate(np.minimum(depths, 0))).max(initial=0))
