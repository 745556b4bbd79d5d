"""The JSON the verbs print: plain dictionaries, one shape per value."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ragweft.packing import Context
    from ragweft.reports import SyncReport
    from ragweft.types import Hit, Origin, Results, Trace, Usage

__all__ = [
    "chunk_payload",
    "context_payload",
    "hit_payload",
    "print_json",
    "results_payload",
    "sync_payload",
    "usage_payload",
]

_ESCAPED = {code: f"\\u{code:04x}" for code in range(0x7F, 0xA0)}
"""Control characters that JSON allows as they are and terminals obey."""


def print_json(payload: Mapping[str, Any]) -> None:
    """One JSON object on stdout: indented for a person at a terminal, on one line for a program."""
    indent = 2 if sys.stdout.isatty() else None
    print(json.dumps(payload, ensure_ascii=False, indent=indent).translate(_ESCAPED))


def results_payload(results: Results) -> dict[str, Any]:
    """An answer without its hits' passages."""
    return {
        "query": results.query,
        "hits": [hit_payload(hit, rank) for rank, hit in enumerate(results, start=1)],
        "trace": _trace(results.trace),
        "usage": usage_payload(results.usage),
    }


def hit_payload(hit: Hit, rank: int) -> dict[str, Any]:
    """A hit with the reasons it ranked."""
    return {
        "rank": rank,
        **chunk_payload(hit),
        "score": round(hit.score, 6),
        "origins": {name: _origin(origin) for name, origin in hit.origins.items()},
    }


def chunk_payload(hit: Hit) -> dict[str, Any]:
    """A chunk and where it stands."""
    chunk, citation = hit.chunk, hit.citation
    return {
        "id": chunk.id,
        "document": chunk.document_id,
        "text": chunk.text,
        "context": chunk.context,
        "citation": {
            "source": citation.source,
            "uri": citation.uri,
            "lines": list(citation.lines) if citation.lines else None,
            "place": citation.place or None,
            "headings": list(citation.headings),
            "title": citation.title,
        },
        "metadata": dict(chunk.metadata),
    }


def sync_payload(report: SyncReport) -> dict[str, Any]:
    """What a sync or a removal did."""
    return {
        "added": report.added,
        "updated": report.updated,
        "removed": report.removed,
        "unchanged": report.unchanged,
        "failed": [asdict(failure) for failure in report.failed],
        "skipped": dict(report.skipped),
        "chunks": report.chunks,
        "seconds": round(report.seconds, 3),
        "generation": report.generation,
        "usage": usage_payload(report.usage),
        "contexts": asdict(report.contexts),
        "warnings": list(report.warnings),
    }


def context_payload(context: Context) -> dict[str, Any]:
    """Passages packed for a prompt."""
    return {
        "tokens": context.tokens,
        "left_out": context.left_out,
        "repeated": context.repeated,
        "passages": [
            {
                "number": passage.number,
                "text": passage.text,
                "citation": str(passage.citation),
                "source": passage.citation.source,
                "lines": list(passage.citation.lines) if passage.citation.lines else None,
                "place": passage.citation.place or None,
                "title": passage.citation.title,
                "headings": list(passage.citation.headings),
                "document": passage.document_id,
                "chunks": list(passage.chunk_ids),
                "score": round(passage.score, 6),
                "cut": passage.cut,
            }
            for passage in context.passages
        ],
    }


def usage_payload(usage: Usage) -> dict[str, Any]:
    """What was paid for."""
    return asdict(usage)


def _origin(origin: Origin) -> dict[str, Any]:
    return {
        "rank": origin.rank,
        "score": round(origin.score, 6),
        "normalised": round(origin.normalised, 6),
        "share": round(origin.share, 6),
    }


def _trace(trace: Trace) -> dict[str, Any]:
    return {
        "generation": trace.generation,
        "ms": round(trace.ms, 3),
        "stages": [
            {"name": s.name, "ms": round(s.ms, 3), "candidates": s.candidates, "note": s.note}
            for s in trace.stages
        ],
        "degraded": list(trace.degraded),
        "cache": trace.cache,
        "tuning": asdict(trace.tuning) if trace.tuning else None,
    }
