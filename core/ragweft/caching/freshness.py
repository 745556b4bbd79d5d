"""Whether an entry still says what a search would say now: its evidence against what happened since.

An edit drops the entries it can touch and no other. An entry is made of rows, versions of chunks, and of how
near the last candidate of each leg came. It is stale as soon as one of its rows has died, or a new row in its
scope comes so near its question that the search would have looked at it. What happened is read from the ledger,
from the generation up to which the entry was seen to hold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ragweft.caching.values import Evidence, Stored
    from ragweft.ledger.scope import Scopes
    from ragweft.ledger.snapshot import Changes, Moment, Snapshot
    from ragweft.retrieval.legs import Question
    from ragweft.types import Vector

__all__ = ["DROPS", "LOOKED_INTO", "Freshness", "Verdict"]

MARGIN = 0.05
"""How far below the last candidate of a leg a new row has to stay: scores of words shift a little with every
change of the corpus, because they depend on how often a word is met."""
MANY = 5_000
"""New rows above which asking anew is no slower than looking at each."""
DRIFT = 0.1
"""Share of the living rows that may have come or gone since an entry was made: beyond, how often words are met,
and with it the order of what was there before, is another."""

SOON = 0.01
"""The same share from which on it is better to search again, where that is possible."""

DROPS = {
    "no evidence": "it was stored without what it rests on",
    "journal": "the ledger does not reach back to when it was last seen to hold",
    "ledger": "the ledger is another since it was last seen to hold: it was restored from a backup",
    "evidence": "a passage it rests on was changed or removed",
    "around": "the document of a passage it rests on was changed",
    "new": "a new passage comes near the question",
    "tuning": "the legs are weighed otherwise now",
    "drift": "too much of the corpus has changed",
    "many": "too much is new to look at each",
}
"""Why an entry is not served any more."""
LOOKED_INTO = frozenset({"new", "tuning", "drift", "many"})
"""Those that may come to nothing: a search can tell whether it finds the very rows again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of an entry."""

    drop: str | None
    """One of `DROPS`; None: it still holds."""
    through: Moment
    """The commit it was judged at."""
    what: str = ""
    """Which row, or how many."""
    turned: bool = False
    """Whether so much has changed that the order may have turned, though nothing new came near."""


class Freshness:
    """Judges entries against one ledger."""

    def __init__(
        self,
        scopes: Scopes,
        ask: Callable[[str, str, Vector | None], Question | None],
        *,
        tuning: Callable[[Snapshot], str],
    ) -> None:
        """*ask* is told a leg's name, a text and its vector or None, and gives what scores rows for it.

        None from it: there is no such leg any more. *tuning* says how the legs are weighed in a state.
        """
        self._scopes = scopes
        self._ask = ask
        self._tuning = tuning

    def judge(self, snapshot: Snapshot, stored: Stored) -> Verdict:
        """Whether the entry still holds in *snapshot*.

        Raises:
            RagweftError: what is new could not be scored.
        """
        now, since = snapshot.moment, stored.valid_through
        evidence = stored.entry.evidence
        if evidence is None:
            return Verdict(drop="no evidence", through=now)
        if since != now and (gone := self._gone(snapshot, stored, evidence)) is not None:
            return gone
        if self._tuning(snapshot) != evidence.tuning:
            return Verdict(drop="tuning", through=now)
        if since == now:
            return Verdict(drop=None, through=now)
        changed = _changed(snapshot, evidence)
        if changed > DRIFT * max(1, evidence.living):
            return Verdict(drop="drift", through=now, what=f"{changed:,} rows")
        changes = snapshot.changes(since.generation)
        if changes.count > MANY:
            return Verdict(drop="many", through=now, what=f"{changes.count:,} rows")
        if changes.count and (what := self._near(snapshot, stored, evidence, changes)):
            return Verdict(drop="new", through=now, what=what)
        return Verdict(drop=None, through=now, turned=changed > SOON * evidence.living)

    def _gone(self, snapshot: Snapshot, stored: Stored, evidence: Evidence) -> Verdict | None:
        """The verdict where what the entry was made from is not as it was, or nobody could tell any more."""
        now, through = snapshot.moment, stored.valid_through
        since = through.generation
        if since > now.generation or snapshot.moment_of(since) != through:
            return Verdict(drop="ledger", through=now)
        if int(snapshot.fact("floor")) > since:
            return Verdict(drop="journal", through=now)
        alive = {row for row, _, _ in snapshot.live(evidence.rows)}
        if dead := [row for row in evidence.rows if row not in alive]:
            return Verdict(drop="evidence", through=now, what=f"row {dead[0]}")
        row = snapshot.changed_around(evidence.rows, since=since) if evidence.around else None
        return None if row is None else Verdict(drop="around", through=now, what=f"row {row}")

    def _near(self, snapshot: Snapshot, stored: Stored, evidence: Evidence, changes: Changes) -> str:
        """Which row that came a search might have taken, or that went it may have taken; "" for none."""
        scope = self._scopes.resolve(snapshot, evidence.where, evidence.sources)
        came = sorted(scope.admit(snapshot, changes.added.tolist()))
        # What went is not asked for its scope any more. It was no evidence, but others were weighed against it.
        rows = np.array([*came, *(changes.removed.tolist() if evidence.legs else ())], dtype=np.int64)
        if not len(rows):
            return ""
        if not evidence.legs:
            return f"row {rows[0]}, and nobody noted how near it would have to come"
        for leg in evidence.legs:
            # The vector is that of the entry's question, which is not always what the legs were asked.
            own = evidence.asked == stored.entry.query
            question = self._ask(leg, evidence.asked, stored.entry.vector if own else None)
            if question is None:
                return f"{leg} is not asked any more"
            found = question.score(snapshot, rows)
            if not len(found.rows):
                continue
            floor = evidence.floors.get(leg)
            best = float(found.scores[0])
            if floor is None or best >= floor - MARGIN * abs(floor):
                said = "took everything" if floor is None else f"took what came to {floor:.3g}"
                return f"row {found.rows[0]} comes to {best:.3g} by {leg}, which {said}"
        return ""


def _changed(snapshot: Snapshot, evidence: Evidence) -> int:
    """Rows that came or went since the evidence was taken, also those that did both."""
    born = snapshot.ever_born() - evidence.born
    died = evidence.living + born - snapshot.count_live()
    return born + died
