"""The order of shared words in two texts as a permutation, and whether grammar explains it.

It is parsed as an inversion transduction grammar parses one (Wu, "Stochastic inversion transduction grammars",
Computational Linguistics 23, 1997), with the linear shift-reduce procedure of Zhang, Gildea and Chiang
("Extracting synchronous grammar rules from word-level alignments in linear time", COLING 2008): neighbours that
keep their order are joined, neighbours that change places are joined only where a rule allows it. What is left
apart has no explanation: "flights from Rome to Oslo" against "flights from Oslo to Rome". The rules are those
of English and its relatives; elsewhere they seldom apply, and an order that differs stays unexplained.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ragweft.caching.reading.sequence import (
    AGENT,
    BE,
    BRACKET,
    CLAUSE,
    COMMA,
    GENITIVE,
    JOIN,
    MANNER,
    NAMED,
    PARTICIPLE,
    RELATIVE,
    REST,
    THE,
)

if TYPE_CHECKING:
    from ragweft.caching.reading.sequence import Sequence

__all__ = ["unexplained"]

_LONGEST = 40
"""Words of a block that is still looked into; longer ones stay where they are."""

_FREE_PREPOSITIONS = frozenset({"p:of", "p:in", "p:for", "p:at", "p:on", "p:to", "p:with"})
"""What "X of Y" may become "Y X" through."""


def unexplained(a: Sequence, b: Sequence, matches: list[tuple[int, int]]) -> str | None:
    """Words whose order in *b* no rule explains from that in *a*, or None.

    *matches* are pairs of places with the same word, in the order of *a*.
    """
    return _Parse(a, b, matches).missing()


class _Block(NamedTuple):
    """Shared words that stand together in both texts: first and last place in each, and ranks in the second."""

    a0: int
    a1: int
    b0: int
    b1: int
    low: int
    high: int


class _Parse:
    """Parses the permutation between two texts."""

    def __init__(self, a: Sequence, b: Sequence, matches: list[tuple[int, int]]) -> None:
        self.a, self.b = a, b
        self.matches = matches
        self.shared_a = {i for i, _ in matches}
        self.shared_b = {j for _, j in matches}
        self._may_put_object_first = True
        self._used_object_first = False
        self.respective = "respect" in a.counts or "respect" in b.counts

    def missing(self) -> str | None:
        """Words that no parse brings together."""
        left = self._parsed()
        if left is not None and self._used_object_first:
            # "Rome beat Oslo", "Oslo was beaten by Rome": verb and object are not to be joined before the doer.
            self._may_put_object_first = False
            left = self._parsed()
        return left

    def _parsed(self) -> str | None:
        rank = {j: place for place, j in enumerate(sorted(self.shared_b))}
        stack: list[_Block] = []
        for i, j in self.matches:
            stack.append(_Block(i, i, j, j, rank[j], rank[j]))
            while (joined := self._joined(stack)) is not None:
                stack[-joined[0] :] = [joined[1]]
        if len(stack) > 1:
            words = self.a.keys
            return " … ".join(words[block.a0] for block in stack[:4])
        return None

    def _joined(self, stack: list[_Block]) -> tuple[int, _Block] | None:
        if len(stack) < 2:
            return None
        x, y = stack[-2:]
        if x.high + 1 == y.low:
            return 2, _Block(x.a0, y.a1, x.b0, y.b1, x.low, y.high)
        if y.high + 1 != x.low:
            return None
        w = stack[-3] if len(stack) > 2 else None
        if w is not None and x.high + 1 == w.low and self._turned_round(w, x, y):
            return 3, _Block(w.a0, y.a1, y.b0, w.b1, y.low, w.high)
        if self._may_change_places(x, y):
            return 2, _Block(x.a0, y.a1, y.b0, x.b1, y.low, x.high)
        return None

    # *x* stands before *y* in a and after it in b.

    def _may_change_places(self, x: _Block, y: _Block) -> bool:
        gap_a, strange_a = _gap(self.a, x.a1, y.a0)
        gap_b, strange_b = _gap(self.b, y.b1, x.b0)
        x_in_a, y_in_b = self._before_a(x.a0), self._before_b(y.b0)
        x_in_b, y_in_a = self._before_b(x.b0), self._before_a(y.a0)
        strange = strange_a or strange_b
        if not strange and (self._listed(x, y, gap_a, gap_b) or self._compound(x, y, gap_a, gap_b)):
            return _agrees(x_in_a, x_in_b) and _agrees(y_in_a, y_in_b) if _only_joins(gap_a) else True
        if not strange and self._adverb(x, y, gap_a, gap_b):
            return True
        if (
            not strange
            and self._may_put_object_first
            and self._object_first(x, y, gap_a, gap_b, x_in_a, y_in_b)
        ):
            self._used_object_first = True
            return True
        if JOIN in gap_a or JOIN in gap_b:
            return False
        return self._phrases(x, y, x_in_a, x_in_b, y_in_a, y_in_b)

    def _listed(self, x: _Block, y: _Block, gap_a: tuple[str, ...], gap_b: tuple[str, ...]) -> bool:
        """A and B, B and A."""
        if self.respective or not (_only_joins(gap_a) and _only_joins(gap_b)):
            return False
        if any(THE in gap and JOIN not in gap for gap in (gap_a, gap_b)):
            return False  # "Anna, a painter"
        if not (self._opens(x, y)):
            return False
        return self._short(x) and self._short(y)

    def _opens(self, x: _Block, y: _Block) -> bool:
        """Whether no title or apposition binds to the first item alone: "Captain Cook and Banks"."""
        return not any(
            start and not text.leads[start] and text.flags[start] & NAMED and text.flags[start - 1] & NAMED
            for text, start in ((self.a, x.a0), (self.b, y.b0))
        )

    def _short(self, block: _Block) -> bool:
        """Whether the items of a list are short enough to be phrases rather than clauses."""
        if block.a1 - block.a0 > _LONGEST:
            return False
        joins = sum(JOIN in lead or COMMA in lead for lead in self.a.leads[block.a0 + 1 : block.a1 + 1])
        return block.a1 - block.a0 < 4 * (joins + 1)

    def _compound(self, x: _Block, y: _Block, gap_a: tuple[str, ...], gap_b: tuple[str, ...]) -> bool:
        """The senate of Ohio, the Ohio senate, Ohio's senate; the family Muridae, the Muridae family."""
        if not (self._nominal(x) and self._nominal(y)):
            return False
        plain_a, plain_b = gap_a in {(), (GENITIVE,)}, gap_b in {(), (GENITIVE,)}
        whole_a = self._whole(self.a, x.a0, y.a1, self.b, y.b0, x.b1)
        whole_b = self._whole(self.b, y.b0, x.b1, self.a, x.a0, y.a1)
        if not (whole_a and whole_b):
            return False
        if plain_a and plain_b:
            return (
                not gap_a
                and not gap_b
                and _inside_phrase(self.a.leads[x.a0])
                and _inside_phrase(self.b.leads[y.b0])
            )
        if plain_a:
            return _links(gap_b, inside=_inside_phrase(self.a.leads[x.a0]) or GENITIVE in gap_a)
        return plain_b and _links(gap_a, inside=_inside_phrase(self.b.leads[y.b0]) or GENITIVE in gap_b)

    def _nominal(self, block: _Block) -> bool:
        if block.a1 - block.a0 > _LONGEST or block.b1 - block.b0 > _LONGEST:
            return False
        return not any(self.a.leads[block.a0 + 1 : block.a1 + 1]) and not any(
            self.b.leads[block.b0 + 1 : block.b1 + 1]
        )

    def _whole(
        self, text: Sequence, start: int, end: int, other: Sequence, start_other: int, end_other: int
    ) -> bool:
        """Whether nothing before or after binds to the words from *start* to *end*."""
        if text.leads[start]:
            begins = bool(other.leads[start_other])
        else:
            begins = bool(start and start_other) and text.keys[start - 1] == other.keys[start_other - 1]
            begins = begins and not other.leads[start_other]
        return begins and (bool(text.leads[end + 1]) or text.near(end + 1) == other.near(end_other + 1))

    def _adverb(self, x: _Block, y: _Block, gap_a: tuple[str, ...], gap_b: tuple[str, ...]) -> bool:
        """He often left, he left often: manner stands where it likes, next to what it describes."""
        alone_x = x.a0 == x.a1 and self.a.flags[x.a0] & MANNER
        alone_y = y.a0 == y.a1 and self.a.flags[y.a0] & MANNER
        return bool(alone_x or alone_y) and set(gap_a) | set(gap_b) <= {BE}

    def _object_first(
        self,
        x: _Block,
        y: _Block,
        gap_a: tuple[str, ...],
        gap_b: tuple[str, ...],
        x_in_a: tuple[str, ...],
        y_in_b: tuple[str, ...],
    ) -> bool:
        """Reset the password, the password is reset."""
        active_a, active_b = not _bare(gap_a), not _bare(gap_b)
        passive_b = _bare(gap_b) == (BE,) or (active_b and BE in y_in_b)
        passive_a = _bare(gap_a) == (BE,) or (active_a and BE in x_in_a)
        if passive_b and active_a and BE not in x_in_a and x.a0 == x.a1 and self.b.flags[x.b0] & PARTICIPLE:
            return True
        return (
            passive_a
            and active_b
            and BE not in y_in_b
            and y.a0 == y.a1
            and bool(self.a.flags[y.a0] & PARTICIPLE)
        )

    def _phrases(
        self,
        x: _Block,
        y: _Block,
        x_in_a: tuple[str, ...],
        x_in_b: tuple[str, ...],
        y_in_a: tuple[str, ...],
        y_in_b: tuple[str, ...],
    ) -> bool:
        """In Bonn in May, in May in Bonn; in May it opened, it opened in May."""
        moved_x = _phrase_of(x_in_a) is not None and _phrase_of(x_in_a) == _phrase_of(x_in_b)
        moved_y = _phrase_of(y_in_a) is not None and _phrase_of(y_in_a) == _phrase_of(y_in_b)
        if not (self._one_clause(x) and self._one_clause(y)):
            return False
        if moved_x and moved_y:
            return True
        if moved_x and _phrase_of(y_in_a) is None and _phrase_of(y_in_b) is None:
            return _pausing(x_in_a)
        return moved_y and _phrase_of(x_in_a) is None and _phrase_of(x_in_b) is None and _pausing(y_in_b)

    def _one_clause(self, block: _Block) -> bool:
        if block.a1 - block.a0 > _LONGEST or block.b1 - block.b0 > _LONGEST:
            return False
        return not any(
            mark in (CLAUSE, RELATIVE, REST, BRACKET)
            or (mark in (JOIN, COMMA) and not text.flags[place] & NAMED)
            for text, first, last in ((self.a, block.a0, block.a1), (self.b, block.b0, block.b1))
            for place in range(first + 1, last + 1)
            for mark in text.leads[place]
        )

    def _turned_round(self, w: _Block, x: _Block, y: _Block) -> bool:
        """Rome beat Oslo, Oslo was beaten by Rome."""
        w_in_b, y_in_a = self.b.leads[w.b0], self.a.leads[y.a0]
        if (AGENT in w_in_b) == (AGENT in y_in_a):
            return False
        if AGENT in w_in_b:
            passive, verb, active = (
                self.b.leads[x.b0] + self.b.leads[y.b0],
                self.b.flags[x.b1],
                self.a.leads[x.a0],
            )
        else:
            passive, verb, active = (
                self.a.leads[x.a0] + self.a.leads[w.a0],
                self.a.flags[x.a1],
                self.b.leads[x.b0],
            )
        return BE in passive and BE not in active and bool(verb & PARTICIPLE)

    def _before_a(self, place: int) -> tuple[str, ...]:
        return _lead(self.a, self.shared_a, place)

    def _before_b(self, place: int) -> tuple[str, ...]:
        return _lead(self.b, self.shared_b, place)


def _lead(text: Sequence, shared: set[int], place: int) -> tuple[str, ...]:
    """What opens the phrase that the word at *place* stands in; words the other text lacks are stepped over."""
    steps = 0
    while place and not _bare(text.leads[place]) and place - 1 not in shared and steps < 4:
        place -= 1
        steps += 1
    return text.leads[place]


def _gap(text: Sequence, end: int, start: int) -> tuple[tuple[str, ...], bool]:
    """What stands between two blocks, and whether that includes words the other text lacks."""
    if start - end > 8:
        return (), True
    return tuple(mark for lead in text.leads[end + 1 : start + 1] for mark in lead), start > end + 1


def _bare(lead: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(mark for mark in lead if mark not in (THE, AGENT))


def _prepositions(lead: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(mark for mark in lead if mark.startswith("p:"))


def _phrase_of(lead: tuple[str, ...]) -> str | None:
    """The preposition or conjunction that opens an adverbial; "of" opens none."""
    for mark in reversed(lead):
        if mark.startswith("p:"):
            return None if mark == "p:of" else mark
        if mark == CLAUSE:
            return mark
        if mark not in (THE, AGENT, BE):
            return None
    return None


def _pausing(lead: tuple[str, ...]) -> bool:
    return bool(lead) and lead[0] in (REST, JOIN, COMMA, BRACKET, CLAUSE)


def _inside_phrase(lead: tuple[str, ...]) -> bool:
    return THE in lead or any(mark.startswith("p:") for mark in lead)


def _links(gap: tuple[str, ...], *, inside: bool) -> bool:
    link = _bare(gap)
    return link == ("p:of",) or (inside and len(link) == 1 and link[0] in _FREE_PREPOSITIONS)


def _only_joins(gap: tuple[str, ...]) -> bool:
    return (JOIN in gap or COMMA in gap) and all(
        mark in (JOIN, COMMA, THE) or mark.startswith("p:") for mark in gap
    )


def _agrees(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether two leads of one list item give it the same role; the second item may leave it to the first."""
    first, second = _prepositions(one), _prepositions(other)
    return first == second or not first or not second
