"""Python to blocks, by its own parser: definitions with their decorators and comments, statements within."""

from __future__ import annotations

import ast
import threading
import warnings
from array import array
from collections.abc import Sequence
from functools import partial
from typing import TypeAlias

from ragweft.chunking.blocks import Block, line_starts
from ragweft.chunking.code import code_blocks
from ragweft.chunking.separators import CODE, PROSE
from ragweft.chunking.titles import shorten

_Definition: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_BODIES = ("body", "handlers", "orelse", "finalbody", "cases")
_BYTE_ORDER_MARK = "\ufeff"

# warnings.catch_warnings swaps the filters of the whole process: two threads must not do so at once.
_parsing = threading.Lock()


def python_blocks(text: str) -> Sequence[Block]:
    """Imports, definitions and other statements; source that does not parse is read as any other code."""
    return parsed_blocks(text) or code_blocks(text)


def parsed_blocks(text: str) -> Sequence[Block]:
    """As `python_blocks`; none for source that does not parse."""
    try:
        module = _parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError, SystemError):
        # SystemError: CPython 3.11 when another thread parses at the same time (python/cpython#106905).
        return ()
    source = _Source(text)
    return source.blocks(module.body, 1) or (Block(start=0, ladder=CODE),)


def _parse(text: str) -> ast.Module:
    """Parse without letting the warnings about foreign code (odd escapes, `is 1`) reach the user."""
    with _parsing, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text.removeprefix(_BYTE_ORDER_MARK))


class _Source:
    """Turns statements into blocks of whole lines. Lines are counted from 1, as the parser does."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.starts: array[int] = line_starts(text)

    def blocks(self, body: Sequence[ast.AST], first: int) -> list[Block]:
        """One block per statement of *body*, and one for comments that stand alone, from line *first* on."""
        found: list[Block] = []
        free = first
        for number, statement in enumerate(body):
            begin, end = _lines(statement)
            if begin >= free:
                own = self._first_comment(free, begin)
                alone = self._lone_comment(free, own)
                if alone is not None:
                    found.append(Block(start=self._start(alone), ladder=CODE, keep=bool(found)))
                found.append(self._statement(statement, own, docstring=number == 0))
            free = max(free, end + 1)
        return found

    def _start(self, line: int) -> int:
        return self.starts[line - 1]

    def _first_comment(self, first: int, begin: int) -> int:
        """The first of the comment lines right above the statement at line *begin*, or that line."""
        indent = self._indent(begin)
        while begin > first and self._indent(begin - 1) == indent and self._is_comment(begin - 1):
            begin -= 1
        return begin

    def _lone_comment(self, first: int, own: int) -> int | None:
        """Where comments set off by a blank line begin; deeper ones belong to the statement before."""
        indent = self._indent(own)
        while first < own and (self._indent(first) > indent or self._indent(first) < 0):
            first += 1
        return first if first < own else None

    def _is_comment(self, line: int) -> bool:
        return self.text.startswith("#", self._start(line) + self._indent(line))

    def _indent(self, line: int) -> int:
        """Width of the white space before the first character of a line; -1 for a blank line."""
        row = self.text[self._start(line) : self.starts[line]]
        bare = row.lstrip()
        return len(row) - len(bare) if bare else -1

    def _statement(self, statement: ast.AST, own: int, *, docstring: bool) -> Block:
        start = self._start(own)
        if isinstance(statement, _Definition):
            parts = partial(self._inside, statement, own)
            return Block(start=start, ladder=CODE, title=_title(statement), parts=parts)
        if any(getattr(statement, name, None) for name in _BODIES):
            return Block(start=start, ladder=CODE, parts=partial(self._inside, statement, own))
        return Block(start=start, ladder=PROSE if docstring and _is_docstring(statement) else CODE)

    def _inside(self, statement: ast.AST, own: int) -> list[Block]:
        """The signature and the statements within; the line that opens a branch goes with the branch."""
        found: list[Block] = []
        head, opened = own, getattr(statement, "lineno", own)
        for body in _branches(statement):
            first = _lines(body[0])[0]
            if first > opened:
                found.append(Block(start=self._start(head), ladder=CODE, keep=True))
                found += self.blocks(body, self._first_comment(opened + 1, first))
            head = opened = max(opened, *(_lines(inner)[1] for inner in body)) + 1
        return found


def _branches(statement: ast.AST) -> list[list[ast.AST]]:
    """The bodies of a compound statement in order; a chain of `elif` is unrolled into one list."""
    found: list[list[ast.AST]] = []
    current: ast.AST | None = statement
    while current is not None:
        following = None
        for name in _BODIES:
            body = getattr(current, name, None)
            if not isinstance(body, list) or not body:
                continue
            chained = name == "orelse" and len(body) == 1 and isinstance(current, ast.If)
            if (
                chained
                and isinstance(body[0], ast.If)
                and body[0].col_offset == getattr(current, "col_offset", -1)
            ):
                following = body[0]
            elif name in ("handlers", "cases"):
                found += [inner.body for inner in body]
            else:
                found.append(body)
        current = following
    return found


def _lines(node: ast.AST) -> tuple[int, int]:
    """First and last line of a statement, decorators included."""
    begin: int = getattr(node, "lineno", 1)
    end: int | None = getattr(node, "end_lineno", None)
    for decorator in getattr(node, "decorator_list", ()):
        begin = min(begin, decorator.lineno)
    return begin, end or begin


def _is_docstring(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _title(node: _Definition) -> str:
    """`class Name` or the signature of a function, without annotations and default values."""
    if isinstance(node, ast.ClassDef):
        return f"class {node.name}"
    arguments = node.args
    names = [argument.arg for argument in arguments.posonlyargs]
    names += ["/"] if names else []
    names += [argument.arg for argument in arguments.args]
    if arguments.vararg:
        names.append(f"*{arguments.vararg.arg}")
    elif arguments.kwonlyargs:
        names.append("*")
    names += [argument.arg for argument in arguments.kwonlyargs]
    names += [f"**{arguments.kwarg.arg}"] if arguments.kwarg else []
    keyword = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    return shorten(f"{keyword} {node.name}({', '.join(names)})")
