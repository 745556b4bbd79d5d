"""Syntax trees to blocks: definitions with their comments and decorators, statements within."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from ragweft.chunking.blocks import Block, line_starts
from ragweft.chunking.separators import CODE
from ragweft.chunking.titles import shorten

if TYPE_CHECKING:
    from tree_sitter import Node

    from ragweft.chunking.grammars import Parsed

_DEEPEST = 40
_LONGEST_SIGNATURE = 600
_HEAD_LINES = 12
"""A longer comment that stands alone is a text of its own."""


def _names(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Node types of all grammars together; what one grammar calls a definition, none calls anything else.
_DEFINITIONS = _names("""
    class_declaration abstract_class_declaration class_definition class class_specifier struct_specifier
    union_specifier enum_specifier struct_item enum_item union_item impl_item trait_item mod_item
    interface_declaration annotation_type_declaration enum_declaration enum_definition record_declaration
    struct_declaration trait_declaration trait_definition object_declaration object_definition companion_object
    protocol_declaration module internal_module namespace_definition namespace_declaration singleton_class
    given_definition extension_definition package_object
    function_declaration generator_function_declaration function_definition function_item method_declaration
    method_definition method singleton_method constructor_declaration compact_constructor_declaration
    destructor_declaration operator_declaration conversion_operator_declaration secondary_constructor
    init_declaration deinit_declaration subscript_declaration local_function_statement macro_definition
""")
# Definitions by what gives them a name: `const f = () => …`, `type T struct …`, `M.f = function …`.
_VALUES = _names("""
    arrow_function function_expression function generator_function func_literal function_definition
    anonymous_function class struct_type interface_type
""")
_WRAPPERS = _names("""
    export_statement decorated_definition template_declaration ambient_declaration expression_statement
    lexical_declaration variable_declaration variable_declarator assignment_expression assignment_statement
    assignment expression_list var_declaration var_spec type_declaration type_spec field_definition
    public_field_definition pair
""")
_ONE_OF_MANY = _names("lexical_declaration variable_declaration var_declaration type_declaration")
# Lists of statements, which begin nothing by themselves.
_FLAT = _names("""
    block statement_block compound_statement statement_list statements body_statement do_block do_group
    declaration_list class_body interface_body enum_body enum_class_body protocol_body template_body
    with_template_body function_body constructor_body field_declaration_list indented_block match_block
    switch_block switch_body enum_declaration_list enum_member_declaration_list enum_variant_list
    enumerator_list
""")
_LEADS = _names("""
    decorator attribute_item inner_attribute_item attribute_list annotation marker_annotation attribute
    access_specifier
""")
_ENDS_SIGNATURE = _names("field_initializer_list constructor_initializer constructor_delegation_call")
_OPENS_BODY = re.compile(r"(?:\s|\{|=>|:(?!:)|=(?!=)|,|\bdo\b|\bthen\b)*+$")


class _Line(NamedTuple):
    """Something that begins on a line of its own."""

    row: int
    node: Node | None
    """None: a line such as `} else {`, which goes with what follows."""


class _Body(NamedTuple):
    """What a definition holds."""

    holder: Node
    opened: int
    """The row of the bracket or word that opens it, or the one above its first statement."""
    cut: int
    """The byte the signature ends at."""


def tree_blocks(parsed: Parsed) -> Sequence[Block]:
    """Definitions, each with the comments and decorators above it, and the other statements."""
    source = _Source(parsed)
    root = parsed.root
    return source.blocks(_Line(_first(node), node) for node in root.named_children) or (
        Block(start=0, ladder=CODE),
    )


class _Source:
    """Turns nodes into blocks of whole lines. Rows are counted from 0, as the parser does."""

    def __init__(self, parsed: Parsed) -> None:
        self._raw = parsed.raw
        self._starts = line_starts(parsed.text)

    def _start(self, row: int) -> int:
        return self._starts[min(row, len(self._starts) - 1)]

    def blocks(self, lines: Iterable[_Line]) -> list[Block]:
        """One block per node that begins on a line of its own, and one for comments that stand alone."""
        found: list[Block] = []
        lead = above = -1  # first and last row of the comments before
        done = -1  # last row of what came before
        for row, node in lines:
            last = row if node is None else max(row, _last(node))
            if row <= done:
                done = max(done, last)
                continue
            if lead >= 0 and row > above + 1:
                found.append(self._comment(lead, above))
                lead = -1
            if node is not None and _is_lead(node):
                lead, above = (row if lead < 0 else lead), last
                continue
            begin, lead = (row if lead < 0 else lead), -1
            found.append(self._block(node, begin))
            done = last
        if lead >= 0:
            found.append(self._comment(lead, above))
        return found

    def _comment(self, first: int, last: int) -> Block:
        return Block(start=self._start(first), ladder=CODE, keep=last - first < _HEAD_LINES)

    def _block(self, node: Node | None, begin: int) -> Block:
        """The block of a node with what belongs to it from row *begin* on."""
        start = self._start(begin)
        if node is None:
            return Block(start=start, ladder=CODE, keep=True)
        body = _body(node)
        if body is None:
            opens = _last(node) > _first(node) and not _is_text(node)
            parts = partial(self._inside, begin, node, _first(node)) if opens else None
            return Block(start=start, ladder=CODE, parts=parts)
        parts = partial(self._inside, begin, body.holder, body.opened)
        return Block(start=start, ladder=CODE, title=self._title(node, body), parts=parts)

    def _inside(self, begin: int, holder: Node, opened: int) -> Sequence[Block]:
        """The signature and what stands below it; nothing if nothing does."""
        inner = self.blocks(_inner(holder, opened, 0))
        return [Block(start=self._start(begin), ladder=CODE, keep=True), *inner] if inner else ()

    def _title(self, node: Node, body: _Body) -> str | None:
        start = _signature(node)
        raw = self._raw[start : min(body.cut, start + _LONGEST_SIGNATURE)]
        said = _OPENS_BODY.sub("", " ".join(raw.decode("utf-8", "ignore").split()))
        return shorten(_tight(said)) or None


def _inner(holder: Node, opened: int, depth: int) -> Iterator[_Line]:
    """What begins inside *holder* on lines of its own below row *opened*."""
    said = False
    for child in holder.named_children:
        first, last = _first(child), _last(child)
        if last > opened and (first <= opened or child.type in _FLAT):
            if said and first == opened:
                yield _Line(first, None)
            if depth < _DEEPEST and not _is_text(child):
                below = first if _is_bracketed(child) else opened
                for line in _inner(child, max(opened, below), depth + 1):
                    said = True
                    yield line
        elif first > opened:
            said = True
            yield _Line(first, child)
        opened = max(opened, last)


def _body(node: Node) -> _Body | None:
    """What the definition in *node* holds; None if it is no definition, or declares only."""
    named = False
    for _ in range(_DEEPEST):
        if node.type in _DEFINITIONS or (named and node.type in _VALUES):
            return _held(node)
        if node.type not in _WRAPPERS:
            return _called(node) if named or node.type == "call" else None
        children = [child for child in node.named_children if not _is_lead(child)]
        if not children or (node.type in _ONE_OF_MANY and len(children) > 1):
            return None
        node, named = children[-1], True
    return None


def _held(definition: Node) -> _Body | None:
    children = definition.named_children
    holder = definition.child_by_field_name("body") or next((c for c in children if c.type in _FLAT), None)
    bracket = next((c for c in definition.children if c.type == "{"), None) if holder is None else None
    opener = bracket or holder
    if opener is None:
        return None
    before = [child for child in children if child.start_byte < opener.start_byte]
    cut = min([opener.start_byte, *(c.start_byte for c in before if c.type in _ENDS_SIGNATURE)])
    if holder is not None and _is_bracketed(holder):
        return _Body(holder, _first(holder), cut)
    if bracket is not None:
        return _Body(definition, _first(bracket), cut)
    # Nothing opens the body, so comments above its first statement stand beside it.
    named = next((place for place, c in enumerate(before) if not _is_lead(c)), 0)
    said = next((place for place, c in enumerate(before) if place > named and _is_lead(c)), len(before))
    opened = max((_last(child) for child in before[:said]), default=_first(definition))
    return _Body(definition, opened, min(cut, before[said].start_byte) if said < len(before) else cut)


def _called(node: Node) -> _Body | None:
    """A call that names the function it is given, as tests and routes do: `it("works", () => …)`."""
    arguments = node.child_by_field_name("arguments")
    block = node.child_by_field_name("block")
    if arguments is None or not arguments.named_children or "string" not in arguments.named_children[0].type:
        return None
    given = arguments.named_children[-1] if block is None else block
    held = _held(given) if block is not None or given.type in _VALUES else None
    return held._replace(cut=given.start_byte) if held is not None else None


def _signature(node: Node) -> int:
    """The byte a signature begins at, after decorators, attributes and annotations."""
    for child in node.children:
        if _is_lead(child):
            continue
        if child.type != "modifiers":
            return _signature(child) if child.type in _DEFINITIONS else child.start_byte
        kept = next((inner for inner in child.children if not _is_lead(inner)), None)
        if kept is not None:
            return kept.start_byte
    return node.start_byte


def _tight(said: str) -> str:
    """A signature that was wrapped, without the spaces that left; the bracket of a call closed again."""
    said = said.replace("( ", "(").replace(" )", ")")
    return f"{said})" if said.count("(") == said.count(")") + 1 else said


def _is_bracketed(node: Node) -> bool:
    """Whether a list of statements begins with a bracket or a word of its own, not with a statement."""
    return bool(node.child_count) and not node.child(0).is_named


def _is_lead(node: Node) -> bool:
    """Whether a node belongs to what follows it."""
    return node.type in _LEADS or "comment" in node.type


def _is_text(node: Node) -> bool:
    """Whether there is nothing inside that is source."""
    return any(word in node.type for word in ("comment", "string", "heredoc", "text"))


def _first(node: Node) -> int:
    return node.start_point[0]


def _last(node: Node) -> int:
    """The row of a node's last character: some comments reach to the begin of the next line."""
    row, column = node.end_point
    return row - 1 if not column and row > node.start_point[0] else row
