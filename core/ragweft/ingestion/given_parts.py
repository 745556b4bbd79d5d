"""Parts a program gave in the place of the recipe's: what they made is not replaced by accident.

A recipe does not know of them. So whoever opens the index without them would cut and place every document by
the recipe, the next time he syncs, and contexts that were paid for would be gone from the index without a word.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects.sqlite import insert

from ragweft.errors import RecipeError
from ragweft.ledger.schema import INCOMPLETE, facts

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

    from ragweft.ledger.ledger import Ledger
    from ragweft.protocols import Chunker, Contextualizer
    from ragweft.recipe import Recipe

__all__ = ["GivenParts"]

_FACT = "given_parts"
_MOST = 20
"""Ways of cutting and placing that are remembered, the latest."""
_SETTINGS = {"chunker": "chunking.strategy", "contextualizer": "context.kind"}


class _Noted(NamedTuple):
    """One part documents were made with."""

    pipeline: str
    """How these documents are marked."""
    role: str
    """What it is to `Index.open`: "chunker" or "contextualizer"."""
    name: str
    instead: str
    """What the recipe said at the time, of the part it took the place of."""


class GivenParts:
    """What the caller gives to an index now, beside what was given to it before."""

    def __init__(
        self,
        ledger: Ledger,
        recipe: Recipe,
        folder: Path,
        *,
        chunker: Chunker | None,
        contextualizer: Contextualizer | None,
    ) -> None:
        """*recipe* is what rules the index without them; None: not given."""
        self._ledger = ledger
        self._folder = folder
        given = {"chunker": chunker, "contextualizer": contextualizer}
        self._given = {role: _named(part) for role, part in given.items() if part is not None}
        self._said = {
            "chunker": json.dumps(asdict(recipe.chunking), sort_keys=True),
            "contextualizer": json.dumps(asdict(recipe.context.indexing), sort_keys=True),
        }
        self._words = {"chunker": recipe.chunking.strategy, "contextualizer": recipe.context.kind}

    def check(self, pipeline: str, marks: Iterable[str], *, replacing: Collection[str] = ()) -> None:
        """Refuse to make documents over by *pipeline* without a part that made them what they are.

        *marks* tell how the documents of the job are marked; they are read only where a part is missing. A part
        is replaced on purpose where *replacing* names its section of the recipe. And a recipe that has been
        changed meanwhile in what it says of that part is taken at its word.

        Raises:
            RecipeError: documents were made with a part that is not given now.
        """
        owed = [one for one in self._lacking(pipeline, marks) if one.instead == self._said[one.role]]
        for one in owed:
            if _section(one) not in replacing:
                # All that is missing: made over for the sake of one part, a document loses the other too.
                changes = " ".join(sorted({self._change(other) for other in owed}))
                raise RecipeError(
                    f"{self._folder}: {_made(one)} {one.name}, given to Index.open, and would be replaced by "
                    f"those of ragweft.toml ({self._change(one)}); give it again, as in Index.open(…, "
                    f"{one.role}=…), or have them replaced on purpose:  ragweft reindex {changes}  "
                    "(ragweft.reindex)"
                )

    def lacks(self, pipeline: str) -> bool:
        """Whether any document could be one that `check` refuses to make over by *pipeline*."""
        return bool(self._owed(pipeline))

    def replaced(self, pipeline: str, marks: Iterable[str]) -> list[str]:
        """What to say where documents are made over by *pipeline* on purpose."""
        said = (
            f"{_made(one)} {one.name}, given to Index.open; those of the recipe ({self._change(one)}) take "
            "their place"
            for one in self._lacking(pipeline, marks)
        )
        return list(dict.fromkeys(said))

    def remember(self, pipeline: str) -> None:
        """Note, before documents are committed as made by *pipeline*, which parts of it were given.

        A part that was given before, and is not now, turns out to be the recipe's own: it owes nothing.
        """
        own = [
            _Noted(pipeline=pipeline, role=role, name=name, instead=self._said[role])
            for role, name in self._given.items()
        ]
        before = self._noted()
        noted = [*(one for one in before if one.pipeline != pipeline), *own][-_MOST:]
        if noted == before:
            return
        text = json.dumps(noted)

        def write(connection: Connection) -> None:
            connection.execute(delete(facts).where(facts.c.name == _FACT))
            connection.execute(insert(facts).values(name=_FACT, value=text))

        self._ledger.change(write)

    def _lacking(self, pipeline: str, marks: Iterable[str]) -> list[_Noted]:
        """Parts that are not given and that documents would lose, the latest first."""
        owed = self._owed(pipeline)
        if not owed:
            return []
        present = {mark.removesuffix(INCOMPLETE) for mark in marks}
        return [one for one in owed if one.pipeline in present]

    def _owed(self, pipeline: str) -> list[_Noted]:
        """Parts that are not given, the latest first; by the same pipeline nothing would be replaced."""
        return [
            one for one in reversed(self._noted()) if one.role not in self._given and one.pipeline != pipeline
        ]

    def _change(self, one: _Noted) -> str:
        return f"{_SETTINGS[one.role]}={self._words[one.role]}"

    def _noted(self) -> list[_Noted]:
        query = select(facts.c.value).where(facts.c.name == _FACT)
        with self._ledger.reading() as connection:
            text = connection.execute(query).scalar()
        return [_Noted(*one) for one in json.loads(text or "[]")]


def _named(part: Chunker | Contextualizer) -> str:
    """Class and model of a part, or its class and all that decides what it makes."""
    model = getattr(part, "model", "")
    return f"{type(part).__name__} ({model if isinstance(model, str) and model else part.fingerprint})"


def _made(one: _Noted) -> str:
    return "its documents were cut by" if one.role == "chunker" else "its contexts are by"


def _section(one: _Noted) -> str:
    return _SETTINGS[one.role].partition(".")[0]
