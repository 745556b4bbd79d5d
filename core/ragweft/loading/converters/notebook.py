"""Jupyter notebooks: text and code as they were written, results as text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ragweft.errors import LoadError
from ragweft.loading.converters.writing import Converted, Limits, Writer
from ragweft.loading.decoding import NotText, decode
from ragweft.loading.markdown import fenced, on_one_line
from ragweft.loading.titles import find_title

if TYPE_CHECKING:
    from ragweft.types import Json

__all__ = ["read"]

_LONGEST_OUTPUT = 10_000
"""Characters of one result: more of a log or a table says little, and buries what people wrote."""
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
_LANGUAGE = re.compile(r"[\w+#.-]{1,30}")


def read(data: bytes, limits: Limits) -> Converted:  # noqa: ARG001 (every `read` is given limits)
    """A notebook as Markdown: text as it is, code and results fenced; its places are `cell 1` and so on.

    Results that are only pictures are left out, longer ones shortened.

    Raises:
        LoadError: it is no notebook.
    """
    try:
        notebook = json.loads(decode(data))
        cells = list(_cells(notebook))
    except NotText as error:
        raise LoadError(f"{error}; save it anew") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise LoadError("is no notebook, or a damaged one; save it anew") from error
    language = _language(notebook)
    writer = Writer()
    for number, cell in enumerate(cells, 1):
        label = "cell"
        for block in _blocks(cell, language):
            if block.strip():
                writer.add(block, label=label, number=number)
                label = ""
    text = writer.converted().text
    metadata: dict[str, Json] = {"cells": len(cells)}
    if language:
        metadata["code_language"] = language
    return writer.converted(title=find_title(text, "markdown"), metadata=metadata)


def _cells(notebook: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The cells, in version 3 those of all worksheets."""
    if "cells" not in notebook and "worksheets" not in notebook:
        raise ValueError("no cells")
    for sheet in (notebook, *notebook.get("worksheets", ())):
        for cell in sheet.get("cells", ()):
            if not isinstance(cell, dict):
                raise TypeError("a cell that is none")
            yield cell


def _language(notebook: Mapping[str, Any]) -> str:
    metadata = notebook.get("metadata")
    for key, name in (("language_info", "name"), ("kernelspec", "language")):
        said = metadata.get(key) if isinstance(metadata, dict) else None
        language = said.get(name) if isinstance(said, dict) else None
        if isinstance(language, str) and _LANGUAGE.fullmatch(language):
            return language.lower()
    return ""


def _blocks(cell: Mapping[str, Any], language: str) -> Iterator[str]:
    kind = cell.get("cell_type")
    source = _joined(cell.get("source", cell.get("input")))
    if kind == "markdown":
        yield source
    elif kind == "heading":
        yield f"{'#' * _level(cell)} {on_one_line(source)}"
    elif kind == "code":
        yield from _code(cell, source, language)
    elif source.strip():
        yield fenced(source)


def _level(cell: Mapping[str, Any]) -> int:
    level = cell.get("level")
    return min(max(level, 1), 6) if isinstance(level, int) else 1


def _code(cell: Mapping[str, Any], source: str, language: str) -> Iterator[str]:
    if source.strip():
        yield fenced(source, language)
    outputs = cell.get("outputs")
    for output in outputs if isinstance(outputs, list) else ():
        said = _result(output) if isinstance(output, dict) else ""
        if said.strip():
            yield fenced(said)


def _result(output: Mapping[str, Any]) -> str:
    if output.get("output_type") in ("error", "pyerr"):
        return f"{output.get('ename', 'Error')}: {output.get('evalue', '')}"
    data = output.get("data")
    said = data.get("text/plain") if isinstance(data, dict) else output.get("text")
    text = _ESCAPES.sub("", _joined(said)).strip("\n")
    return text if len(text) <= _LONGEST_OUTPUT else f"{text[:_LONGEST_OUTPUT].rstrip()}\n…"


def _joined(said: object) -> str:
    """Text, which notebooks keep as one string or as a list of lines."""
    if isinstance(said, str):
        return said
    return "".join(line for line in said if isinstance(line, str)) if isinstance(said, list) else ""
