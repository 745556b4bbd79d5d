"""What a sync did, in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ragweft.cli.session import say
from ragweft.cli.wording import counted, money, printable
from ragweft.providers.registry import dollars
from ragweft.reports import SyncReport

if TYPE_CHECKING:
    from ragweft.reports import Contexts, Estimate, Failure

__all__ = ["estimate_lines", "report_lines", "say_summary", "say_troubles", "summary", "written"]

_MOST_FAILURES = 10


def summary(report: SyncReport) -> str:
    """A sync in one line."""
    files = report.added + report.updated
    rest: list[str] = []
    if files:
        head = f"indexed {counted(files, 'file')}, {counted(report.chunks, 'chunk')} in {report.seconds:.1f} s"
        rest += [f"{report.unchanged:,} unchanged"] * bool(report.unchanged)
        rest += [f"{report.removed:,} removed"] * bool(report.removed)
    elif report.removed:
        head = f"removed {counted(report.removed, 'file')} in {report.seconds:.1f} s"
        rest += [f"{report.unchanged:,} unchanged"] * bool(report.unchanged)
    else:
        head = f"up to date: {counted(report.unchanged, 'file')}"
    skipped = sum(report.skipped.values())
    rest += [f"{skipped:,} skipped"] * bool(skipped)
    rest += [f"{len(report.failed):,} failed"] * bool(report.failed)
    return f"{head} ({', '.join(rest)})" if rest else head


def report_lines(report: SyncReport) -> Iterator[str]:
    """A sync in full, one count to a line."""
    counts = {
        "added": report.added,
        "updated": report.updated,
        "removed": report.removed,
        "unchanged": report.unchanged,
        "failed": len(report.failed),
        "skipped": sum(report.skipped.values()),
        "chunks": report.chunks,
    }
    width = max(len(f"{count:,}") for count in counts.values())
    for name, count in counts.items():
        reasons = ""
        if name == "skipped" and count:
            ordered = sorted(report.skipped.items(), key=lambda item: (-item[1], item[0]))
            reasons = "  (" + ", ".join(f"{printable(why)} {n:,}" for why, n in ordered) + ")"
        yield f"{name:<10}{count:>{width},}{reasons}"
    yield f"{'seconds':<10}{report.seconds:>{width}.1f}"
    if report.contexts.written or report.contexts.answered:
        yield f"{'contexts':<10}{written(report.contexts)}"
    if report.usage.calls:
        yield f"{'spent':<10}{money(report.usage)}"


def estimate_lines(estimate: Estimate, space: str) -> Iterator[str]:
    """What a sync would do and cost."""
    known = ", the others are known" if estimate.texts < estimate.chunks else ""
    rows = {
        "documents": f"{estimate.documents:,} new or changed, {estimate.unchanged:,} unchanged",
        "chunks": f"{estimate.chunks:,}",
    }
    if estimate.context_model:
        rows["contexts"] = _contexts(estimate)
    rows["to embed"] = f"{counted(estimate.texts, 'text')}{known}" if estimate.texts else "nothing"
    if estimate.tokens:  # only of an embedder that bills them
        tuning = f", {estimate.tuning_tokens:,} of them to find the weights" if estimate.tuning_tokens else ""
        rows["tokens"] = f"about {estimate.tokens:,}{tuning}"
    if estimate.tokens or estimate.contexts:
        rows["cost"] = _cost(estimate)
    rows["by"] = space
    if estimate.long_texts:
        rows["too long"] = f"{counted(estimate.long_texts, 'text')} above the model's window, embedded in parts"
    for name, value in rows.items():
        yield f"{name:<11}{value}"


def written(contexts: Contexts) -> str:
    """What a model wrote, and its tokens by what they cost."""
    kinds = {
        "fresh": contexts.fresh,
        "kept by the service": contexts.stored,
        "read back": contexts.reread,
        "answered": contexts.answered,
    }
    return f"{contexts.written:,} written; tokens: " + ", ".join(
        f"{n:,} {kind}" for kind, n in kinds.items() if n
    )


def _contexts(estimate: Estimate) -> str:
    waiting = f"{estimate.contexts_under_way:,} in a batch under way, paid for already"
    if not estimate.contexts:
        known = waiting if estimate.contexts_under_way else "they are known"
        return f"nothing to ask {estimate.context_model}, {known}"
    more = f"; {waiting}" if estimate.contexts_under_way else ""
    return (
        f"{estimate.contexts:,} to be written by {estimate.context_model}, about {estimate.context_tokens:,} "
        f"tokens ({estimate.context_basis}){more}"
    )


def _cost(estimate: Estimate) -> str:
    """The whole, and what of it goes where if it goes to two places."""
    if estimate.usd is None:
        return "price not known"
    if not estimate.contexts or estimate.context_usd is None or estimate.context_usd_at_most is None:
        return f"about {dollars(estimate.usd)}"
    most = f"(at most {dollars(estimate.context_usd_at_most)})"
    if not estimate.tokens:  # vectors cost nothing
        return f"about {dollars(estimate.usd)} {most}"
    contexts, vectors = dollars(estimate.context_usd), dollars(estimate.usd - estimate.context_usd)
    return f"about {dollars(estimate.usd)}: {contexts} {most} for contexts, {vectors} for vectors"


def say_summary(report: SyncReport) -> None:
    """A sync in one line on stderr, softly if it found nothing to do; then its troubles."""
    import sys

    if sys.stderr.isatty():
        from ragweft.cli.terminal import say_softly

        say_softly(summary(report))
    else:
        say(summary(report))
    say_troubles(report)


def say_troubles(report: SyncReport | Estimate) -> None:
    """Warnings, and the files that could not be read, on stderr: the first ten and how many more."""
    from ragweft.loading.walk import NOT_INSTALLED

    for warning in report.warnings:
        say(f"warning: {printable(warning)}")
    if isinstance(report, SyncReport) and (lacking := report.skipped.get(NOT_INSTALLED)):
        say(f"{counted(lacking, 'file')} more can be read after  pip install 'ragweft[files]'")
    for failure in report.failed[:_MOST_FAILURES]:
        say(f"failed: {_told(failure)}")
    more = len(report.failed) - _MOST_FAILURES
    if more > 0:
        say(f"and {more:,} more; --json lists them all")


def _told(failure: Failure) -> str:
    source, reason = printable(failure.source), printable(failure.reason)
    return reason if reason.startswith(source) else f"{source}: {reason}"
