"""The report: one HTML file that needs nothing else, for people to read and to hand on."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from ragweft.errors import RagweftError
from ragweft.evaluation import tables
from ragweft.evaluation.compare import differences
from ragweft.evaluation.figures import figures
from ragweft.evaluation.markup import key, points
from ragweft.evaluation.plots import PALETTE

if TYPE_CHECKING:
    from ragweft.evaluation.compare import Comparison
    from ragweft.evaluation.values import Evaluation

__all__ = ["write_html"]


def write_html(
    path: str | os.PathLike[str],
    evaluations: Sequence[Evaluation],
    comparison: Comparison,
    *,
    texts: Mapping[str, str] | None = None,
) -> None:
    """Write the report on *evaluations*, which *comparison* compares; *texts* are the queries' words by id.

    The file loads nothing, whoever opens it and wherever. It is there whole or not at all: written beside
    *path*, it then takes that place. Equal arguments give equal bytes.

    Raises:
        RagweftError: *comparison* is of other evaluations, or the file cannot be written.
        MissingExtra: matplotlib or scipy is not installed.
    """
    compared = [comparison.baseline, *(found.label for found in comparison.differences)]
    if compared != [one.label for one in evaluations]:
        raise RagweftError(
            f"{path}: the comparison is of {', '.join(compared)}; compare these evaluations first"
        )
    _put(Path(path), _page(evaluations, comparison, texts or {}))


def _put(path: Path, page: str) -> None:
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        try:
            with fresh.open("xb") as file:
                # A lone surrogate, which a query read from JSON may hold, has no UTF-8.
                file.write(page.encode("utf-8", "replace"))
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
        finally:
            fresh.unlink(missing_ok=True)
    except OSError as error:
        raise RagweftError(
            f"{path}: cannot be written ({error.strerror}); name a file in a folder that exists"
        ) from None


def _page(evaluations: Sequence[Evaluation], comparison: Comparison, texts: Mapping[str, str]) -> str:
    baseline, *others = evaluations
    gaps = [differences(one, baseline, measure=comparison.measure) for one in others]
    sections = {
        "Against the baseline": tables.decision(evaluations, comparison) if gaps else "",
        "In pictures": figures(evaluations, comparison, gaps),
        "Every measure": tables.measures(evaluations, comparison),
        "Queries that changed most": tables.changed_queries(baseline, comparison, gaps, texts) if gaps else "",
        "Recipes, time and cost": tables.recipes(evaluations),
    }
    template = files("ragweft.evaluation").joinpath("report.html").read_text(encoding="utf-8")
    return Template(template).substitute(
        title=escape(_title(evaluations)),
        light=" ".join(f"--{name}: {light};" for name, (light, _) in PALETTE.items()),
        dark=" ".join(f"--{name}: {dark};" for name, (_, dark) in PALETTE.items()),
        header=_header(evaluations, comparison),
        main="\n".join(
            f"<section><h2>{heading}</h2>\n{content}</section>"
            for heading, content in sections.items()
            if content
        ),
    )


def _title(evaluations: Sequence[Evaluation]) -> str:
    first, *others = evaluations
    return f"{f'{len(others) + 1} recipes' if others else first.label} on {first.dataset}"


def _header(evaluations: Sequence[Evaluation], comparison: Comparison) -> str:
    counts = [one.chunks for one in evaluations]
    facts = {
        "queries": f"{comparison.queries:,}",
        "chunks": f"{min(counts):,}" if len(set(counts)) == 1 else f"{min(counts):,} to {max(counts):,}",
        "decided by": comparison.measure,
    }
    if comparison.differences:
        facts["baseline"] = comparison.baseline
    listed = "".join(f"<div><dt>{name}</dt><dd>{escape(fact)}</dd></div>" for name, fact in facts.items())
    verdicts = [
        (found.label, f"against {comparison.baseline}: {found.verdict}.") for found in comparison.differences
    ]
    if not verdicts:
        mean = points(float(evaluations[0].scores[comparison.measure].mean()))
        verdicts = [(comparison.baseline, f"reaches {mean} of 100 points of {comparison.measure}.")]
    first = 1 if comparison.differences else 0
    said = "\n".join(
        f'<li style="{key(number)}"><strong>{escape(label)}</strong> {_unbroken(escape(verdict))}</li>'
        for number, (label, verdict) in enumerate(verdicts, start=first)
    )
    return (
        f'<p class="eyebrow">ragweft evaluation</p>\n<h1>{escape(_title(evaluations))}</h1>\n'
        f'<dl class="facts">{listed}</dl>\n<ul class="verdicts">{said}</ul>'
    )


def _unbroken(text: str) -> str:
    """Never a line that begins with a percent sign."""
    return text.replace(" %", "\N{NO-BREAK SPACE}%")
