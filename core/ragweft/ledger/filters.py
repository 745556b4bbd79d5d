"""`where` filters: MongoDB's query language over metadata, compiled to a plain function.

One meaning everywhere: the compiled test is the only thing in ragweft that decides whether a chunk's metadata
matches, so no leg, index or door can disagree with another.

    {"lang": "en"}                           equal; on a list: one of its members is equal
    {"year": {"$gte": 2020, "$lt": 2024}}    several operators on one key: all must hold
    {"$or": [{"a": 1}, {"$not": {"b": 2}}]}  logic ($and, $or, $not), nestable; an empty filter matches all
    {"author.name": "Ada"}                   a dotted key reaches into nested objects

`$eq $ne $gt $gte $lt $lte $in $nin` follow MongoDB: ordering compares numbers with numbers and strings with
strings only, a missing key equals None, and `$ne` / `$nin` hold for a missing key. On lists: `$contains` (one
member equal to the value; on a string: a substring), `$any` / `$all` (one / every of the given values is a
member). `$text` is a case-insensitive substring, `$empty` tests for missing, None, "" or [], `$exists` for the
key. Dates are compared as the ISO 8601 strings they are stored as.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from ragweft.errors import InvalidFilter, LoadError
from ragweft.types import Json, Metadata

__all__ = ["OPERATORS", "canonical", "clean_metadata", "compile_filter"]

Test: TypeAlias = Callable[[Metadata], bool]
_Check: TypeAlias = Callable[[Any], bool]

_MISSING = object()
_DEPTH = 32
"""Nesting beyond this is refused: no person writes it, and it would exhaust the stack."""


def compile_filter(where: Metadata | None) -> Test:
    """A function from metadata to whether it satisfies *where*; None and {} match everything.

    Raises:
        InvalidFilter: naming the operator or key that is wrong and what is allowed there.
    """
    return _compile({} if where is None else where, 0)


def canonical(where: Metadata | None) -> str:
    """A key under which equal filters are equal: JSON with sorted keys.

    Raises:
        InvalidFilter: the filter holds a value that metadata cannot hold.
    """
    if where is not None and not isinstance(where, Mapping):
        raise InvalidFilter(f"where: expected an object like {{'lang': 'en'}}, got {where!r}")
    try:
        return json.dumps(_plain(where or {}), sort_keys=True, ensure_ascii=False, allow_nan=False)
    except RecursionError:
        raise InvalidFilter(f"where: nested more than {_DEPTH} deep; flatten the filter") from None
    except (TypeError, ValueError) as error:
        raise InvalidFilter(f"where: {error}; use text, numbers, true/false, null, dates and lists") from None


def clean_metadata(metadata: Mapping[str, Any], *, owner: str) -> Metadata:
    """Metadata as it is stored: dates as ISO 8601 strings, everything else JSON as it is.

    Raises:
        LoadError: a value is NaN, infinite, or of a type JSON does not know; *owner* names the document.
    """
    try:
        text = json.dumps(_plain(metadata), allow_nan=False, ensure_ascii=False)
        text.encode("utf-8")
        clean: Metadata = json.loads(text)
    except RecursionError:
        raise LoadError(f"{owner}: the metadata is nested too deep; flatten it") from None
    except UnicodeEncodeError:
        raise LoadError(f"{owner}: the metadata holds a lone surrogate; clean it before adding") from None
    except (TypeError, ValueError):
        reason = next(_faults(metadata, ""), "the metadata cannot be written as JSON")
        raise LoadError(f"{owner}: {reason}") from None
    return clean


def _faults(value: object, path: str) -> Any:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if not isinstance(key, str):
                yield f"metadata key {path}{key!r} is not text"
            yield from _faults(inner, f"{path}{key}.")
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"metadata {path.rstrip('.')!r} is {value}: leave it out or use None"
    elif isinstance(value, (list, tuple, set, frozenset)):
        for inner in value:
            yield from _faults(inner, path)
    elif not isinstance(value, (str, int, float, bool, dt.date, dt.time, type(None))):
        yield f"metadata {path.rstrip('.')!r} is a {type(value).__name__}: use text, numbers, dates, lists"


def _plain(value: object) -> Any:
    """Dates to ISO strings and sets to sorted lists, recursively; anything else is left for JSON to judge."""
    if isinstance(value, (dt.datetime, dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, Mapping):
        if any(not isinstance(key, str) for key in value):
            raise TypeError("keys must be text")
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted((_plain(inner) for inner in value), key=repr)
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return value


def _compile(where: object, depth: int) -> Test:
    if not isinstance(where, Mapping):
        raise InvalidFilter(f"where: expected an object like {{'lang': 'en'}}, got {where!r}")
    if depth > _DEPTH:
        raise InvalidFilter(f"where: nested more than {_DEPTH} deep; flatten the filter")
    tests: list[Test] = []
    for key, condition in where.items():
        if not isinstance(key, str):
            raise InvalidFilter(f"where: key {key!r} is not text")
        if key in ("$and", "$or"):
            parts = _branches(key, condition, depth)
            tests.append(_all(parts) if key == "$and" else _any(parts))
        elif key == "$not":
            tests.append(_not(_compile(condition, depth + 1)))
        elif key.startswith("$"):
            raise InvalidFilter(f"where: {key} cannot stand where a key is expected; use $and, $or, $not")
        else:
            tests.append(_field(key, _condition(key, condition, depth)))
    return tests[0] if len(tests) == 1 else _all(tests)


def _branches(key: str, condition: object, depth: int) -> list[Test]:
    if isinstance(condition, (str, bytes)) or not isinstance(condition, Sequence) or not condition:
        raise InvalidFilter(f"where: {key} needs a list with at least one filter, got {condition!r}")
    return [_compile(part, depth + 1) for part in condition]


def _all(tests: Sequence[Test]) -> Test:
    return lambda metadata: all(test(metadata) for test in tests)


def _any(tests: Sequence[Test]) -> Test:
    return lambda metadata: any(test(metadata) for test in tests)


def _not(test: Test) -> Test:
    return lambda metadata: not test(metadata)


def _field(key: str, check: _Check) -> Test:
    path = key.split(".")

    def test(metadata: Metadata) -> bool:
        value = metadata.get(key, _MISSING)
        if value is _MISSING and len(path) > 1:
            value = _reach(metadata, path)
        return check(value)

    return test


def _reach(metadata: Metadata, path: Sequence[str]) -> Any:
    value: Any = metadata
    for step in path:
        if not isinstance(value, Mapping) or step not in value:
            return _MISSING
        value = value[step]
    return value


def _condition(key: str, condition: object, depth: int) -> _Check:
    if isinstance(condition, Mapping) and any(isinstance(k, str) and k.startswith("$") for k in condition):
        return _every([_operator(key, name, value, depth) for name, value in condition.items()])
    return _equals(_operand(key, "$eq", condition))


def _operator(key: str, name: object, value: object, depth: int) -> _Check:
    if name == "$not":
        check = _condition(key, value, depth + 1)
        return lambda found: not check(found)
    if not isinstance(name, str) or name not in OPERATORS:
        raise InvalidFilter(f"where: unknown operator {name!r} on {key!r}; known: {' '.join(OPERATORS)}")
    return OPERATORS[name](_operand(key, name, value))


def _operand(key: str, name: str, value: object) -> Any:
    try:
        plain = _plain(value)
        json.dumps(plain, allow_nan=False)
    except (TypeError, ValueError):
        raise InvalidFilter(f"where: {name} on {key!r} cannot take {value!r}; use JSON values") from None
    if name in ("$in", "$nin", "$any", "$all") and not isinstance(plain, list):
        raise InvalidFilter(f"where: {name} on {key!r} needs a list, got {value!r}")
    if name == "$text" and not isinstance(plain, str):
        raise InvalidFilter(f"where: $text on {key!r} needs text, got {value!r}")
    if name in ("$exists", "$empty") and not isinstance(plain, bool):
        raise InvalidFilter(f"where: {name} on {key!r} needs true or false, got {value!r}")
    if name in ("$gt", "$gte", "$lt", "$lte") and _kind(plain) not in ("number", "text"):
        raise InvalidFilter(f"where: {name} on {key!r} needs a number, text or date, got {value!r}")
    return plain


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, float)):
        return "number"
    return "text" if isinstance(value, str) else "other"


def _same(found: Json, wanted: Json) -> bool:
    """Equality that keeps true apart from 1, at every depth."""
    if isinstance(found, bool) or isinstance(wanted, bool):
        return found is wanted
    if isinstance(found, list) and isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(_same, found, wanted))
    if isinstance(found, Mapping) and isinstance(wanted, Mapping):
        return found.keys() == wanted.keys() and all(_same(found[k], wanted[k]) for k in wanted)
    return found == wanted


def _members(found: Any) -> Sequence[Any]:
    return found if isinstance(found, list) else [] if found is _MISSING else [found]


def _every(checks: Sequence[_Check]) -> _Check:
    return checks[0] if len(checks) == 1 else lambda found: all(check(found) for check in checks)


def _equals(wanted: Any) -> _Check:
    def check(found: Any) -> bool:
        if found is _MISSING or found is None:
            return wanted is None
        if isinstance(found, list) and any(_same(member, wanted) for member in found):
            return True
        return _same(found, wanted)

    return check


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any], _Check]:
    def operator(wanted: Any) -> _Check:
        kind = _kind(wanted)
        return lambda found: any(_kind(m) == kind and compare(m, wanted) for m in _members(found))

    return operator


def _inverse(operator: Callable[[Any], _Check]) -> Callable[[Any], _Check]:
    def inverted(wanted: Any) -> _Check:
        check = operator(wanted)
        return lambda found: not check(found)

    return inverted


def _one_of(wanted: Sequence[Any]) -> _Check:
    checks = [_equals(value) for value in wanted]
    return lambda found: any(check(found) for check in checks)


def _contains(wanted: Any) -> _Check:
    def check(found: Any) -> bool:
        if isinstance(found, list):
            return any(_same(member, wanted) for member in found)
        return isinstance(found, str) and isinstance(wanted, str) and wanted in found

    return check


def _has_any(wanted: Sequence[Any]) -> _Check:
    return lambda found: any(_same(member, value) for member in _members(found) for value in wanted)


def _has_all(wanted: Sequence[Any]) -> _Check:
    return lambda found: all(any(_same(m, value) for m in _members(found)) for value in wanted)


def _text(wanted: str) -> _Check:
    needle = wanted.casefold()
    return lambda found: any(isinstance(m, str) and needle in m.casefold() for m in _members(found))


def _empty(wanted: bool) -> _Check:
    return lambda found: (found is _MISSING or found is None or found == "" or found == []) is wanted


def _exists(wanted: bool) -> _Check:
    return lambda found: (found is not _MISSING) is wanted


OPERATORS: Mapping[str, Callable[[Any], _Check]] = {
    "$eq": _equals,
    "$ne": _inverse(_equals),
    "$gt": _ordered(lambda found, wanted: found > wanted),
    "$gte": _ordered(lambda found, wanted: found >= wanted),
    "$lt": _ordered(lambda found, wanted: found < wanted),
    "$lte": _ordered(lambda found, wanted: found <= wanted),
    "$in": _one_of,
    "$nin": _inverse(_one_of),
    "$contains": _contains,
    "$any": _has_any,
    "$all": _has_all,
    "$text": _text,
    "$empty": _empty,
    "$exists": _exists,
}
"""Every operator a key may carry, besides `$not`."""
