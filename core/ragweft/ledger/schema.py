"""The tables of the two SQLite files. See docs/architecture.md for how they are used.

ledger.db is the truth: documents, rows (versions of chunks), contexts, metadata, the journal, charges.
vectors.db remembers every vector ever computed by (space, digest of what was embedded), beside it the word
weights of the same text where they are wanted, and vectors of the questions that were asked last.

A row is alive at generation g when `born <= g < died`. SQLite's own snapshots make every read consistent; born
and died are what followers replay.
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
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

__all__ = [
    "ALIVE",
    "INCOMPLETE",
    "LEDGER",
    "SCHEMA_VERSION",
    "VECTORS",
    "charges",
    "chunks",
    "contexts",
    "documents",
    "facts",
    "followers",
    "journal",
    "long_texts",
    "metadatas",
    "profiles",
    "query_vectors",
    "spaces",
    "sparse_vectors",
    "vectors",
]

SCHEMA_VERSION = 1
ALIVE = 2**62
"""`died` of a living row: later than any generation."""
INCOMPLETE = " | incomplete"
"""Ends the `pipeline` of a document with chunks whose context could not be had: no pipeline is called so, and
the next sync takes it in again."""

LEDGER = MetaData()
VECTORS = MetaData()

facts = Table(
    "facts",
    LEDGER,
    Column("name", String, primary_key=True),
    Column("value", String, nullable=False),
)
"""Single values: uuid, schema version, generation, space, journal floor; `edition`, how many times the index
was made over (absent: 0), and `recipe`, the ragweft.toml that came with that and is not written yet; see
`word_weights` and `ingestion.given_parts`."""

metadatas = Table(
    "metadatas",
    LEDGER,
    Column("id", Integer, primary_key=True),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("json", Text, nullable=False),
)
"""Distinct metadata, stored once and never changed, so that a filter is tested once per distinct value."""

contexts = Table(
    "contexts",
    LEDGER,
    Column("id", Integer, primary_key=True),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("text", Text, nullable=False),
)

documents = Table(
    "documents",
    LEDGER,
    Column("key", Integer, primary_key=True),
    Column("id", String, nullable=False, unique=True),
    Column("source", String, index=True),
    Column("title", String),
    Column("format", String, nullable=False),
    Column("metadata", Integer, ForeignKey("metadatas.id"), nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("pipeline", String, nullable=False),
    Column("text", LargeBinary),
    Column("size", Integer),
    Column("mtime_ns", Integer),
    Column("generation", Integer, nullable=False),
    Column("places", Text),
)
"""`text` is compressed by zlib, NULL for pre-chunked input; `digest` covers text, title, format and metadata;
`size` and `mtime_ns` are the file's when it was last read; `pipeline` names how it was chunked, with
`INCOMPLETE` behind it if something has to be made up for; `places` is the JSON of `places.packed_places`, NULL
for a document of lines."""

chunks = Table(
    "chunks",
    LEDGER,
    Column("row", Integer, primary_key=True),
    Column("chunk_id", String, nullable=False, index=True),
    Column("document", Integer, ForeignKey("documents.key"), nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("text", Text, nullable=False),
    Column("context", Integer, ForeignKey("contexts.id"), nullable=False),
    Column("headings", Text, nullable=False),
    Column("start", Integer),
    Column("end", Integer),
    Column("first_line", Integer),
    Column("last_line", Integer),
    Column("first_place", String),
    Column("last_place", String),
    Column("metadata", Integer, ForeignKey("metadatas.id"), nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("tokens", LargeBinary),
    Column("context_last", Boolean),
    Column("born", Integer, nullable=False),
    Column("died", Integer, nullable=False, default=ALIVE),
    sqlite_autoincrement=True,
)
"""`row` is never used twice, even after the row is gone; `tokens` are those of the static table, whatever
embeds, for late interaction to read: little-endian int32; `context_last` is NULL for a context before its
text."""

Index("chunks_document", chunks.c.document, chunks.c.died)
Index("chunks_metadata", chunks.c.metadata, chunks.c.died)
Index("chunks_born", chunks.c.born)
Index("chunks_dead", chunks.c.died, sqlite_where=chunks.c.died < ALIVE)

journal = Table(
    "journal",
    LEDGER,
    Column("generation", Integer, primary_key=True),
    Column("committed", Float, nullable=False),
    Column("kind", String, nullable=False),
    Column("documents", Integer, nullable=False),
    Column("born", Integer, nullable=False),
    Column("died", Integer, nullable=False),
)
"""One line for each commit; the rows it touched are those with that generation in `born` or `died`."""

followers = Table(
    "followers",
    LEDGER,
    Column("name", String, primary_key=True),
    Column("applied", Integer, nullable=False),
    Column("seen", Float, nullable=False),
)
"""How far each follower had come when it last reported; the journal is kept for the slowest."""

charges = Table(
    "charges",
    LEDGER,
    Column("day", String, primary_key=True),
    Column("model", String, primary_key=True),
    Column("purpose", String, primary_key=True),
    Column("calls", Integer, nullable=False),
    Column("tokens", Integer, nullable=False),
    Column("usd", Float, nullable=False),
    Column("unpriced", Integer, nullable=False),
)
"""What was paid for, added up by day (UTC), model and purpose; `unpriced` calls are missing from `usd`."""

profiles = Table(
    "profiles",
    LEDGER,
    Column("id", Integer, primary_key=True),
    Column("generation", Integer, nullable=False),
    Column("chunks", Integer, nullable=False),
    Column("containing", LargeBinary, nullable=False),
    Column("tuning", Text),
)
"""What the index knows of its corpus as a whole, the newest line last: `containing` is compressed little-endian
int32, for every token how many of `chunks` chunks hold it; `tuning` is the JSON of a `Tuning`."""

spaces = Table(
    "spaces",
    VECTORS,
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("dims", Integer, nullable=False),
)

long_texts = Table(
    "long_texts",
    VECTORS,
    Column("space", Integer, ForeignKey("spaces.id"), primary_key=True),
    Column("digest", LargeBinary, primary_key=True),
)
"""What was longer than its model's window and embedded in parts."""

vectors = Table(
    "vectors",
    VECTORS,
    Column("id", Integer, primary_key=True),
    Column("space", Integer, ForeignKey("spaces.id"), nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("vector", LargeBinary, nullable=False),
    UniqueConstraint("space", "digest"),
)
"""`vector` is little-endian float32 of unit length."""

sparse_vectors = Table(
    "sparse_vectors",
    VECTORS,
    Column("id", Integer, primary_key=True),
    Column("space", Integer, ForeignKey("spaces.id"), nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("weights", LargeBinary, nullable=False),
    UniqueConstraint("space", "digest"),
)
"""Learned word weights by the keys of `vectors`; `weights` is what `vectors.sparse_rows.packed` gives, empty
for a text without words. Lines are never changed or deleted, so `id` tells what is new."""

query_vectors = Table(
    "query_vectors",
    VECTORS,
    Column("id", Integer, primary_key=True),
    Column("space", Integer, ForeignKey("spaces.id"), nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("vector", LargeBinary, nullable=False),
    Column("used", Float, nullable=False),
    UniqueConstraint("space", "digest"),
)
"""Of questions that were paid for, as many as `query_store.MOST`; `vector` as in `vectors`, `used` when it last
served, to the day. The question itself is nowhere: `digest` is `query_store.query_digest`."""

Index("query_vectors_used", query_vectors.c.used)
