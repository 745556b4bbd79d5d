"""The tables of cache.db."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

__all__ = ["CACHE", "entries", "facts", "leases", "rows_used", "scopes", "tallies"]

CACHE = MetaData()

scopes = Table(
    "scopes",
    CACHE,
    Column("id", Integer, primary_key=True),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("parts", Text, nullable=False),
)

entries = Table(
    "entries",
    CACHE,
    Column("number", Integer, primary_key=True),
    Column("scope", Integer, ForeignKey("scopes.id"), nullable=False),
    Column("key", LargeBinary, nullable=False),
    Column("query", LargeBinary, nullable=False),
    Column("vector", LargeBinary, nullable=False),
    Column("spoken", LargeBinary, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("evidence", Text),
    Column("valid_through", Integer, nullable=False),
    Column("committed", Float, nullable=False),
    Column("created", Float, nullable=False),
    Column("expires", Float),
    Column("used", Float, nullable=False),
    Column("hits", Integer, nullable=False),
    Column("ms", Float, nullable=False),
    Column("tokens", Integer, nullable=False),
    Column("usd", Float, nullable=False),
    Column("bytes", Integer, nullable=False),
    Column("worth", Float, nullable=False),
    Column("threshold", Float),
    UniqueConstraint("scope", "key"),
    sqlite_autoincrement=True,
)
"""`query` is UTF-8 in which a lone surrogate stays what it is, `key` the digest of the normalised query,
`spoken` its tokens, `valid_through` and `committed` a `Moment` of the ledger, `evidence` the JSON of an
`Evidence`, `payload` compressed; `worth` is what decides who goes first."""

Index("entries_scope", entries.c.scope, entries.c.number)
Index("entries_worth", entries.c.worth)
Index("entries_expires", entries.c.expires, sqlite_where=entries.c.expires.is_not(None))

rows_used = Table(
    "rows_used",
    CACHE,
    Column("row", Integer, primary_key=True),
    Column("entry", Integer, ForeignKey("entries.number"), primary_key=True),
)
"""Which entries rest on a row of the ledger."""

Index("rows_used_entry", rows_used.c.entry)

tallies = Table(
    "tallies",
    CACHE,
    Column("day", String, primary_key=True),
    Column("what", String, primary_key=True),
    Column("times", Integer, nullable=False),
    Column("ms", Float, nullable=False),
    Column("tokens", Integer, nullable=False),
    Column("usd", Float, nullable=False),
)
"""What happened, by day (UTC): hits by level, misses, drops and evictions by reason; and what it saved."""

facts = Table(
    "facts",
    CACHE,
    Column("name", String, primary_key=True),
    Column("value", Text, nullable=False),
)
"""Single values: what was calibrated, and `clock`, the worth of whoever had to go last."""

leases = Table(
    "leases",
    CACHE,
    Column("key", LargeBinary, primary_key=True),
    Column("owner", String, nullable=False),
    Column("until", Float, nullable=False),
)
"""Answers that somebody is working on; see `leases.py`."""
