from __future__ import annotations

import datetime as dt
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragweft.errors import InvalidFilter, LoadError
from ragweft.ledger.filters import OPERATORS, canonical, clean_metadata, compile_filter

BOOK = {
    "lang": "en",
    "year": 2021,
    "price": 9.5,
    "tags": ["ai", "Search"],
    "draft": False,
    "none": None,
    "author": {"name": "Ada", "born": 1815},
    "a.b": "dotted",
    "empty": [],
    "date": "2024-05-01",
}


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({}, True),
        ({"lang": "en"}, True),
        ({"lang": "de"}, False),
        ({"lang": {"$eq": "en"}, "year": 2021}, True),
        ({"lang": "en", "year": 2020}, False),
        ({"year": {"$gte": 2020, "$lt": 2022}}, True),
        ({"year": {"$gt": 2021}}, False),
        ({"price": {"$lte": 9.5}}, True),
        ({"year": {"$gt": "2000"}}, False),
        ({"lang": {"$gt": 3}}, False),
        ({"draft": 0}, False),
        ({"draft": False}, True),
        ({"draft": {"$ne": True}}, True),
        ({"tags": "ai"}, True),
        ({"tags": ["ai", "Search"]}, True),
        ({"tags": ["ai"]}, False),
        ({"tags": {"$ne": "ai"}}, False),
        ({"tags": {"$contains": "ai"}}, True),
        ({"tags": {"$contains": "a"}}, False),
        ({"lang": {"$contains": "n"}}, True),
        ({"tags": {"$any": ["x", "ai"]}}, True),
        ({"tags": {"$all": ["ai", "Search"]}}, True),
        ({"tags": {"$all": ["ai", "x"]}}, False),
        ({"tags": {"$text": "SEARCH"}}, True),
        ({"lang": {"$text": "x"}}, False),
        ({"lang": {"$in": ["de", "en"]}}, True),
        ({"lang": {"$nin": ["de"]}}, True),
        ({"missing": {"$nin": ["de"]}}, True),
        ({"missing": {"$ne": "x"}}, True),
        ({"missing": None}, True),
        ({"none": None}, True),
        ({"lang": None}, False),
        ({"missing": {"$exists": False}}, True),
        ({"none": {"$exists": True}}, True),
        ({"none": {"$empty": True}}, True),
        ({"empty": {"$empty": True}}, True),
        ({"lang": {"$empty": False}}, True),
        ({"author.name": "Ada"}, True),
        ({"author.born": {"$lt": 1900}}, True),
        ({"author.name.first": "Ada"}, False),
        ({"a.b": "dotted"}, True),
        ({"author": {"name": "Ada", "born": 1815}}, True),
        ({"date": {"$gte": dt.date(2024, 1, 1)}}, True),
        ({"date": {"$lt": dt.date(2024, 1, 1)}}, False),
        ({"$and": [{"lang": "en"}, {"year": 2021}]}, True),
        ({"$or": [{"lang": "de"}, {"year": 2021}]}, True),
        ({"$not": {"lang": "en"}}, False),
        ({"lang": {"$not": {"$in": ["de"]}}}, True),
        ({"$or": [{"$not": {"lang": "en"}}, {"tags": {"$all": []}}]}, True),
        ({"tags": {"$any": []}}, False),
    ],
)
def test_meaning(where: dict[str, object], expected: bool) -> None:
    assert compile_filter(where)(BOOK) is expected


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ({"$xor": []}, "$xor"),
        ({"a": {"$regex": "x"}}, "known: $eq"),
        ({"a": {"$in": "x"}}, "needs a list"),
        ({"$and": []}, "at least one"),
        ({"$or": {"a": 1}}, "needs a list"),
        ({"a": {"$exists": 1}}, "true or false"),
        ({"a": {"$text": 1}}, "needs text"),
        ({"a": {"$gt": None}}, "number"),
        ({"a": {"$eq": 1, "b": 2}}, "unknown operator"),
        ({"a": float("nan")}, "JSON"),
        ({"a": object()}, "JSON"),
        ({1: 2}, "not text"),
        ("lang", "expected an object"),
    ],
)
def test_malformed_filters_name_the_fault(where: object, says: str) -> None:
    with pytest.raises(InvalidFilter) as caught:
        compile_filter(where)  # type: ignore[arg-type]
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_deep_nesting_is_refused_not_a_crash() -> None:
    where: dict[str, object] = {"a": 1}
    for _ in range(5000):
        where = {"$not": where}
    with pytest.raises(InvalidFilter, match="nested"):
        compile_filter(where)


def test_canonical_ignores_key_order_but_not_values() -> None:
    assert canonical({"a": 1, "b": [2]}) == canonical({"b": [2], "a": 1})
    assert canonical({"a": 1}) != canonical({"a": True})
    assert canonical({"a": dt.date(2024, 1, 1)}) == canonical({"a": "2024-01-01"})


def test_metadata_is_cleaned_or_refused() -> None:
    clean = clean_metadata(
        {"d": dt.datetime(2024, 1, 2, 3, 4, tzinfo=dt.UTC), "n": None, "t": (1, 2), "x": {"y": [1.5]}},
        owner="document 'd'",
    )
    assert clean == {"d": "2024-01-02T03:04:00+00:00", "n": None, "t": [1, 2], "x": {"y": [1.5]}}
    for bad, says in (
        ({"score": float("nan")}, "'score' is nan"),
        ({"a": {"b": float("inf")}}, "'a.b' is inf"),
        ({"o": object()}, "'o' is a object"),
        ({"a": {3: 1}}, "not text"),
    ):
        with pytest.raises(LoadError) as caught:
            clean_metadata(bad, owner="document 'd'")
        assert says in str(caught.value)
        assert "document 'd'" in str(caught.value)


scalars = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "b", "ab"])
values = scalars | st.lists(scalars, max_size=3)
metadatas = st.dictionaries(st.sampled_from(["x", "y", "z"]), values, max_size=3)
orders = st.integers(-3, 3) | st.sampled_from(["", "a", "b"])
conditions = st.one_of(
    scalars,
    *(st.fixed_dictionaries({op: scalars}) for op in ("$eq", "$ne", "$contains")),
    *(st.fixed_dictionaries({op: orders}) for op in ("$gt", "$gte", "$lt", "$lte")),
    *(st.fixed_dictionaries({op: st.lists(scalars, max_size=3)}) for op in ("$in", "$nin", "$any", "$all")),
    *(st.fixed_dictionaries({op: st.booleans()}) for op in ("$exists", "$empty")),
)
fields = st.dictionaries(st.sampled_from(["x", "y", "z"]), conditions, min_size=1, max_size=2)


@given(metadata=metadatas, where=fields, other=fields)
def test_logic_holds(metadata: dict[str, object], where: dict[str, object], other: dict[str, object]) -> None:
    def holds(filter_: dict[str, object]) -> bool:
        return compile_filter(filter_)(metadata)

    a, b = holds(where), holds(other)
    assert holds({"$not": where}) is not a
    assert holds({"$and": [where, other]}) is (a and b)
    assert holds({"$or": [where, other]}) is (a or b)
    assert holds(json.loads(canonical(where))) is a
    for key, condition in where.items():
        if isinstance(condition, dict):
            assert holds({key: {"$not": condition}}) is not holds({key: condition})


@given(
    metadata=metadatas, key=st.sampled_from(["x", "y"]), wanted=scalars, several=st.lists(scalars, max_size=3)
)
def test_negative_operators_are_exact_inverses(
    metadata: dict[str, object], key: str, wanted: object, several: list[object]
) -> None:
    def holds(operator: str, value: object) -> bool:
        return compile_filter({key: {operator: value}})(metadata)

    assert holds("$ne", wanted) is not holds("$eq", wanted)
    assert holds("$nin", several) is not holds("$in", several)
    assert holds("$in", several) is any(holds("$eq", value) for value in several)


def test_every_operator_is_documented() -> None:
    import ragweft.ledger.filters as module

    assert module.__doc__ is not None
    assert all(operator in module.__doc__ for operator in (*OPERATORS, "$and", "$or", "$not"))
