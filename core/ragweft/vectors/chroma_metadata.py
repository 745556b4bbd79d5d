"""What ragweft writes beside a vector in Chroma, and the marker that says whose collection it is."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from ragweft.errors import IndexLocked, SpaceMismatch

if TYPE_CHECKING:
    from ragweft.types import Chunk, Json, Space

ChromaScalar: TypeAlias = "str | int | float | bool"
ChromaValue: TypeAlias = "ChromaScalar | list[ChromaScalar]"

FORMAT = 1
_INT64 = 2**63
_VALUE_BYTES = 256
"""Chroma Cloud's quota for one value of a collection's metadata."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one request may carry. None: no limit of its own."""

    batch: int
    """Records in one write."""
    page: int
    """Records in one read; Chroma fails above 32,766 with metadata ("too many SQL variables")."""
    results: int | None = None
    """Neighbours in one answer."""
    keys: int | None = None
    key_bytes: int | None = None
    value_bytes: int | None = None
    document_bytes: int | None = None


EMBEDDED = Limits(batch=2_500, page=2_000)
SERVER = Limits(batch=1_000, page=1_000)
"""A server refuses requests above 40 MiB."""
CLOUD = Limits(
    batch=300, page=300, results=300, keys=32, key_bytes=36, value_bytes=4_096, document_bytes=16_384
)
"""https://docs.trychroma.com/cloud/quotas-limits as of 2026-05."""


def chroma_metadata(row: int, chunk: Chunk, limits: Limits) -> dict[str, ChromaValue]:
    """The row, the chunk's and the document's id, and what of the chunk's metadata Chroma can hold.

    Left out: None, NaN and infinity, numbers beyond int64, nested mappings, empty or mixed lists, keys that are
    empty or begin with `#`, `$` or `chroma:`, and what goes beyond *limits*. Chroma 1.5.9 refuses some of them,
    silently changes others, and after a list with a NaN never accepts a write to the collection again.
    """
    values: dict[str, ChromaValue] = {
        "row": row,
        "chunk_id": clean(chunk.id),
        "document_id": clean(chunk.document_id),
    }
    for key, given in chunk.metadata.items():
        name = clean(key)
        value = _value(given)
        if value is not None and name not in values and _key_fits(name, limits):
            values[name] = value
    fitting = {name: value for name, value in values.items() if _value_fits(value, limits)}
    return dict(list(fitting.items())[: limits.keys])


def chroma_document(text: str, limits: Limits) -> str:
    """*text* as Chroma can store it, cut at the quota if there is one."""
    raw = clean(text).encode()
    return raw[: limits.document_bytes].decode(errors="ignore")


def clean(text: str) -> str:
    """*text* with lone surrogates, which UTF-8 cannot carry, written as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


def _value(value: Json) -> ChromaValue | None:
    if isinstance(value, (str, bool, int, float)):
        return _scalar(value)
    if isinstance(value, Sequence):
        scalars = [_scalar(item) for item in value if isinstance(item, (str, bool, int, float))]
        kept = [scalar for scalar in scalars if scalar is not None]
        if kept and len(kept) == len(value) and len({type(scalar) for scalar in kept}) == 1:
            return kept
    return None


def _scalar(value: ChromaScalar) -> ChromaScalar | None:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if -_INT64 <= value < _INT64 else None


def _key_fits(key: str, limits: Limits) -> bool:
    if not key or key.startswith(("#", "$", "chroma:")):
        return False
    return limits.key_bytes is None or len(key.encode()) <= limits.key_bytes


def _value_fits(value: ChromaValue, limits: Limits) -> bool:
    if limits.value_bytes is None:
        return True
    scalars = value if isinstance(value, list) else [value]
    size = sum(len(scalar.encode()) if isinstance(scalar, str) else 8 for scalar in scalars)
    return size <= limits.value_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Marker:
    """Whose collection it is and how far it has come; kept in the collection's own metadata.

    Embedded Chroma keeps metadata and records in one SQLite database, so a marker that can be read after a
    crash was written after the records it speaks of.
    """

    format: int
    ledger: str
    space: str
    generation: int

    def to_metadata(self) -> dict[str, ChromaScalar]:
        """As collection metadata."""
        return {
            "ragweft_format": self.format,
            "ragweft_ledger": self.ledger,
            "ragweft_space": self.space,
            "ragweft_generation": self.generation,
        }


def owned_marker(
    metadata: Mapping[str, object],
    configuration: Mapping[str, Any],
    *,
    place: str,
    ledger: str,
    space: Space,
) -> Marker:
    """The marker in a collection's *metadata*, if it is that of *ledger* and of *space*.

    Raises:
        IndexLocked: the collection is not ragweft's, or follows another ledger, or has a newer format.
        SpaceMismatch: it holds vectors of another space, or does not measure by cosine.
    """
    written, generation = metadata.get("ragweft_format"), metadata.get("ragweft_generation")
    if not isinstance(written, int) or not isinstance(generation, int):
        raise IndexLocked(f"{place} is not ragweft's and is left alone: choose another collection name")
    if written != FORMAT:
        raise IndexLocked(
            f"{place} has format {written}, this version knows {FORMAT}: upgrade ragweft, "
            "or choose another collection name"
        )
    owner, held = str(metadata.get("ragweft_ledger")), str(metadata.get("ragweft_space"))
    if owner != ledger:
        raise IndexLocked(
            f"{place} follows ledger {owner}, not {ledger}, and is left alone: choose another collection name"
        )
    if held != space_name(space):
        raise SpaceMismatch(
            f"{place} holds vectors of {held}, not of {space}: "
            "embed with the model it was built with, or choose another collection name"
        )
    measure = (configuration.get("hnsw") or configuration.get("spann") or {}).get("space")
    if measure != "cosine":
        raise SpaceMismatch(f"{place} measures by {measure}, not by cosine: delete it and let it be rebuilt")
    return Marker(format=written, ledger=owner, space=held, generation=generation)


def space_name(space: Space) -> str:
    """*space* in one line that fits a collection's metadata: a digest in place of a very long name."""
    name = clean(str(space))
    if len(name.encode()) <= _VALUE_BYTES:
        return name
    return f"blake2b:{hashlib.blake2b(name.encode(), digest_size=16).hexdigest()}"
