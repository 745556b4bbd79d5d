"""Questions to one tantivy searcher: exact, deterministic, and never parsed from user text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ragweft.lexical.bm25 import Collection
from ragweft.lexical.tantivy_files import BODY, CONTEXT, MARKER, MARKER_TERM, ROW

if TYPE_CHECKING:
    import tantivy

    from ragweft.types import Rows, Vector

MOST_TERMS = 64
"""Terms of one query that are looked up; of a longer query, the rarest."""

# Measured at 100,000 rows: a union of row terms beats a term set up to about this many rows.
_FEW_ROWS = 1_000
_DEEPER = 4


def known_terms(searcher: tantivy.Searcher, terms: Mapping[str, int]) -> dict[str, int]:
    """The terms of a query that the index holds, the `MOST_TERMS` rarest of them."""
    held = [(frequency, term) for term in terms if (frequency := searcher.doc_freq(BODY, term))]
    if len(held) > MOST_TERMS:
        held = sorted(held)[:MOST_TERMS]
    return {term: terms[term] for _, term in held}


def any_of(schema: tantivy.Schema, terms: Mapping[str, int], *, context_weight: float) -> tantivy.Query:
    """Documents with at least one of *terms*, each weighted by its count, in the body and again in the context.

    One flat union on purpose: tantivy hands a boost down to its term and goes on skipping what cannot reach the
    best. Measured at 10,000 rows, a nested union takes a quarter longer, a disjunction-max per term 55 %.
    """
    from tantivy import Occur, Query

    clauses: list[tuple[Occur, Query]] = []
    for name, weight in ((BODY, 1.0), (CONTEXT, context_weight)):
        for term, count in terms.items() if weight else ():
            clause = Query.term_query(schema, name, term, "freq")
            boost = weight * count
            clauses.append((Occur.Should, clause if boost == 1 else Query.boost_query(clause, boost)))
    return Query.boolean_query(clauses)


def best(searcher: tantivy.Searcher, query: tantivy.Query, n: int) -> tuple[Rows, Vector]:
    """The *n* >= 1 best rows and their scores, ties by rising row.

    tantivy breaks ties by the place of a document in its files, which a merge may change: so it is asked for
    more until the last tie that reaches into the first *n* is complete.
    """
    held = searcher.num_docs
    depth = n + 1
    while True:
        hits: list[tuple[Any, tantivy.DocAddress]] = searcher.search(
            query, max(min(depth, held), 1), count=False
        ).hits
        if len(hits) < depth or hits[n - 1][0] != hits[-1][0]:
            break
        depth *= _DEEPER
    rows = np.asarray(searcher.fast_field_values(ROW, [address for _, address in hits]), dtype=np.int64)
    scores = np.asarray([score for score, _ in hits], dtype=np.float32)
    order = np.lexsort((rows, -scores))[:n]
    return rows[order], scores[order]


def best_among(
    searcher: tantivy.Searcher, schema: tantivy.Schema, query: tantivy.Query, n: int, among: Rows
) -> tuple[Rows, Vector]:
    """As `best`, of the rows *among* alone (sorted, each once, at least one).

    Many rows are met soon enough on the way down the unrestricted ranking; only where they are not, tantivy is
    given their list, at about a microsecond for each.
    """
    depth = max(2 * n * searcher.num_docs // len(among), n)
    while depth <= len(among):
        rows, scores = best(searcher, query, depth)
        wanted = np.isin(rows, among)
        if len(rows) < depth or np.count_nonzero(wanted) >= n:
            return rows[wanted][:n], scores[wanted][:n]
        depth *= _DEEPER
    return best(searcher, _restricted(schema, query, among), n)


def _restricted(schema: tantivy.Schema, query: tantivy.Query, among: Rows) -> tantivy.Query:
    from tantivy import Occur, Query

    rows = among.tolist()
    if len(rows) > _FEW_ROWS:
        allowed = Query.term_set_query(schema, ROW, rows)
    else:
        allowed = Query.boolean_query(
            [(Occur.Should, Query.term_query(schema, ROW, row, "basic")) for row in rows]
        )
    return Query.boolean_query([(Occur.Must, query), (Occur.Must, Query.const_score_query(allowed, 0.0))])


def marker(searcher: tantivy.Searcher, schema: tantivy.Schema) -> bytes | None:
    """What the marker document carries; None where there is no marker."""
    hits = searcher.search(_marker_query(schema, BODY), 1, count=False).hits
    return searcher.doc(hits[0][1]).get_first(MARKER) if hits else None


def collection(
    searcher: tantivy.Searcher, schema: tantivy.Schema, name: str, terms: Mapping[str, int]
) -> Collection:
    """The very statistics tantivy scores the field of that name with, for *terms*.

    They count deleted documents until a merge drops them, and no other call tells them: so they are read from
    tantivy's explanation of the marker's score.
    """
    query = _marker_query(schema, name)
    address = searcher.search(query, 1, count=False).hits[0][1]
    numbers = dict(_leaves(json.loads(query.explain(searcher, address).to_json())))
    return Collection(
        documents=round(numbers["N"]),
        average_length=numbers["avgdl"],
        containing={term: searcher.doc_freq(name, term) for term in terms},
    )


def _marker_query(schema: tantivy.Schema, name: str) -> tantivy.Query:
    from tantivy import Query

    return Query.term_query(schema, name, MARKER_TERM, "freq")


def _leaves(explanation: Mapping[str, Any]) -> list[tuple[str, float]]:
    """("N", 1000.0) for every "N, total number of docs" in an explanation."""
    found = [(str(explanation["description"]).partition(",")[0], float(explanation["value"]))]
    for detail in explanation.get("details") or ():
        found += _leaves(detail)
    return found
