from __future__ import annotations

import itertools
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats  # type: ignore[import-untyped]

from ragweft.errors import MissingExtra, RagweftError
from ragweft.evaluation.compare import Difference, Interval, compare, differences, holm, macro, randomisation
from ragweft.evaluation.values import Evaluation
from ragweft.types import Usage

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

FEW = 400
"""Resamples where only the logic is looked at."""


def evaluation(label: str, scores: ArrayLike, *, queries: Sequence[str] = ()) -> Evaluation:
    values = np.asarray(scores, dtype=np.float64)
    times = np.ones(len(values))
    return Evaluation(
        label=label,
        dataset="tiny",
        fingerprint="0" * 16,
        expression="Hybrid(dense, lexical)",
        queries=queries or [f"q{number}" for number in range(len(values))],
        scores={"nDCG@10": values, "Recall@10": values / 2},
        legs={},
        run={},
        wall_ms=times,
        cpu_ms=times,
        chunks=3,
        index_seconds=0.1,
        usage=Usage(),
    )


def against(base: ArrayLike, other: ArrayLike, *, resamples: int = FEW) -> Difference:
    pair = [evaluation("base", base), evaluation("other", other)]
    return compare(pair, resamples=resamples).differences[0]


grades = st.sampled_from([0.0, 0.25, 0.3869, 0.5, 0.6309, 1.0])
pairs = st.lists(st.tuples(grades, grades), min_size=2, max_size=24)


@settings(max_examples=60, deadline=None)
@given(scores=pairs)
def test_swapping_two_recipes_flips_every_sign(scores: list[tuple[float, float]]) -> None:
    base, other = zip(*scores, strict=True)
    there, back = against(base, other), against(other, base)
    assert back.interval.mean == -there.interval.mean
    assert (back.interval.low, back.interval.high) == pytest.approx(
        (-there.interval.high, -there.interval.low), abs=1e-9
    )
    assert (back.p, back.p_floor, back.detectable) == (there.p, there.p_floor, there.detectable)
    assert (back.wins, back.ties, back.losses) == (there.losses, there.ties, there.wins)


@settings(max_examples=60, deadline=None)
@given(scores=pairs)
def test_what_holds_for_any_two_recipes(scores: list[tuple[float, float]]) -> None:
    base, other = zip(*scores, strict=True)
    found = against(base, other)
    gap = np.subtract(other, base)
    assert found.interval.mean == pytest.approx(gap.mean())
    assert found.interval.low <= found.interval.mean <= found.interval.high
    assert gap.min() - 1e-9 <= found.interval.low
    assert found.interval.high <= gap.max() + 1e-9
    assert found.p_floor <= found.p <= 1
    assert found.wins + found.ties + found.losses == len(scores)
    assert 0 <= found.detectable <= 1
    assert found.real == found.verdict.endswith(": real")
    if found.real:
        assert found.adjusted <= 0.05
        assert found.interval.low > 0 or found.interval.high < 0


@given(scores=st.lists(grades, min_size=1, max_size=30))
def test_identical_answers_differ_by_nothing(scores: list[float]) -> None:
    found = against(scores, scores)
    assert found.p == found.adjusted == 1
    assert found.interval.mean == 0
    if len(scores) > 1:
        assert (found.interval.low, found.interval.high) == (0, 0)
    assert not found.real
    assert found.verdict == "the same score for every query"


def test_a_constant_difference_has_an_interval_without_width() -> None:
    found = against([0.3] * 12, [0.4] * 12, resamples=10_000)
    assert found.interval == Interval(mean=0.1, low=0.1, high=0.1, level=0.95)
    assert found.p == found.p_floor == 2 / 2**12
    assert found.verdict == "a gain of 10.0 points, 95 % interval 10.0 to 10.0: real"


@given(gap=st.lists(st.sampled_from([-0.3, -0.1, 0.0, 0.1, 0.2, 0.3]), min_size=2, max_size=8))
def test_few_queries_get_the_exact_test(gap: list[float]) -> None:
    observed = abs(sum(gap))
    patterns = list(itertools.product((1, -1), repeat=len(gap)))
    sums = [abs(sum(sign * value for sign, value in zip(signs, gap, strict=True))) for signs in patterns]
    share = sum(other >= observed - 1e-9 for other in sums) / len(patterns)
    assert randomisation(np.array(gap), resamples=FEW)[0] == pytest.approx(share)


def test_the_exact_test_by_hand() -> None:
    # Of the 8 sign patterns only +++ and --- are as far from 0 as 0.6.
    assert randomisation(np.array([0.1, 0.2, 0.3])) == (0.25, 0.25)
    assert randomisation(np.array([0.1, 0.2, -0.3])) == (1.0, 0.25)
    assert randomisation(np.array([0.0, 0.4, 0.0])) == (1.0, 1.0)


def test_many_queries_get_the_random_test_which_agrees_with_the_t_test() -> None:
    gap = np.random.default_rng(5).normal(0.02, 0.2, 300)
    p, floor = randomisation(gap)
    assert p == pytest.approx(stats.ttest_1samp(gap, 0)[1], abs=0.01)
    assert floor == 1 / 10_001
    assert randomisation(gap + 1) == (floor, floor)


def test_exact_up_to_as_many_patterns_as_resamples() -> None:
    thirteen = np.full(13, 0.1)
    assert randomisation(thirteen) == (2 / 2**13, 2 / 2**13)
    assert randomisation(np.full(14, 0.1))[1] == 1 / 10_001


def test_thousands_of_queries() -> None:
    gap = np.random.default_rng(7).normal(0.02, 0.2, 3_000)
    found = macro([gap], resamples=FEW)
    assert found.high - found.low == pytest.approx(2 * 1.96 * 0.2 / np.sqrt(3_000), rel=0.2)
    assert randomisation(gap, resamples=FEW) == (1 / (FEW + 1), 1 / (FEW + 1))


def test_the_interval_agrees_with_normal_theory() -> None:
    gap = np.random.default_rng(6).normal(0.02, 0.2, 900)
    found = macro([gap])
    error = gap.std(ddof=1) / 30
    assert found.low == pytest.approx(gap.mean() - 1.96 * error, abs=0.1 * error)
    assert found.high == pytest.approx(gap.mean() + 1.96 * error, abs=0.1 * error)
    narrower = macro([gap], level=0.5)
    assert narrower.high - narrower.low == pytest.approx(2 * 0.6745 * error, rel=0.1)


def test_the_interval_of_two_queries_by_hand() -> None:
    # Resamples of (0, 1) have the mean 0 or 1 a quarter of the time each.
    assert macro([np.array([0.0, 1.0])]) == Interval(mean=0.5, low=0.0, high=1.0, level=0.95)
    inner = macro([np.array([0.0, 1.0])], level=0.4)
    assert (inner.low, inner.high) == (0.5, 0.5)


def test_intervals_and_tests_err_as_often_as_they_say() -> None:
    """Differences as rankings make them: most are 0, the others are large and lean to one side."""
    random = np.random.default_rng(11)
    truth, runs, covered, false_alarms = 0.3 * 0.04, 300, 0, 0
    for number in range(runs):
        gap = np.where(random.random(120) < 0.3, random.normal(0.04, 0.3, 120), 0.0)
        found = macro([gap], seed=number, resamples=FEW)
        covered += found.low <= truth <= found.high
        centred = np.where(gap != 0, gap - 0.04, 0.0)
        false_alarms += randomisation(centred, seed=number, resamples=FEW)[0] <= 0.05
    assert 0.91 <= covered / runs <= 0.98
    assert 0.02 <= false_alarms / runs <= 0.08


def test_the_detectable_difference_is_found_four_times_in_five() -> None:
    """Checked against the exact power of the t test, which the formula approximates."""
    random = np.random.default_rng(8)
    for size in (20, 248):
        base, other = random.random(size), random.random(size)
        gap = other - base
        found = against(base, other)
        error = gap.std(ddof=1) / np.sqrt(size)
        critical = stats.t.ppf(0.975, size - 1)
        power = stats.nct.sf(critical, size - 1, found.detectable / error)
        assert power == pytest.approx(0.8, abs=0.01)


def test_macro_counts_each_dataset_once_and_resamples_within_it() -> None:
    large, small = np.full(900, 0.1), np.array([-0.3, -0.3, -0.3])
    assert macro([large, small]) == Interval(mean=-0.1, low=-0.1, high=-0.1, level=0.95)
    random = np.random.default_rng(4)
    sets = [random.normal(0.02, spread, size) for spread, size in ((0.1, 100), (0.3, 400), (0.2, 250))]
    found = macro(sets)
    error = np.sqrt(sum(gap.var(ddof=1) / gap.size for gap in sets)) / 3
    assert found.mean == pytest.approx(np.mean([gap.mean() for gap in sets]))
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.06)


def test_one_query_tells_nothing() -> None:
    found = against([0.2], [0.9])
    assert (found.p, found.p_floor, found.detectable) == (1, 1, 1)
    assert (found.interval.low, found.interval.high) == (-1, 1)
    assert found.verdict == (
        "a gain of 70.0 points, 95 % interval −100.0 to 100.0: cannot be told from chance;"
        " 1 query with a difference cannot rule it out, however large"
    )
    assert macro([np.array([0.1]), np.array([0.2, 0.3])]).low == -1


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([0.02]) == [0.02]
    assert holm([]) == []


@given(p_values=st.lists(st.floats(0, 1), max_size=8))
def test_holm_never_lowers_a_p_and_keeps_their_order(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    for (p, more), (q, most) in itertools.product(zip(p_values, adjusted, strict=True), repeat=2):
        assert p <= more <= min(1.0, p * len(p_values)) + 1e-12
        assert more <= most or p > q


def test_several_recipes_share_the_level() -> None:
    random = np.random.default_rng(21)
    base = random.random(80) * 0.5
    noise = random.normal(0, 0.09, 80)
    close = base + noise - noise.mean() + 0.023
    far = base + random.normal(0.3, 0.1, 80)
    alone = against(base, close)
    together = compare(
        [evaluation("base", base), evaluation("close", close), *(
            evaluation(f"same {n}", base) for n in range(3)
        ), evaluation("far", far)],
        resamples=FEW,
    )  # fmt: skip
    first, *_, last = together.differences
    assert [found.label for found in together.differences] == ["close", "same 0", "same 1", "same 2", "far"]
    assert (first.interval, first.p, first.detectable) == (alone.interval, alone.p, alone.detectable), (
        "company changes nothing but the correction"
    )
    assert alone.real
    assert first.p <= 0.05 < first.adjusted
    assert not first.real
    assert "cannot be told from chance among 5 comparisons; 80 queries show differences of" in first.verdict
    assert last.real


def test_where_interval_and_test_disagree_nothing_is_called_real() -> None:
    """So few resamples that both are rough: the test rules chance out, the interval holds 0."""
    gap = np.random.default_rng(12).normal(0.06, 0.2, 40)
    found = against(np.zeros(40), gap, resamples=40)
    assert found.adjusted <= 0.05
    assert found.interval.low < 0
    assert not found.real


@pytest.mark.parametrize(
    ("shift", "wanted"),
    [
        (0.019, "a gain of 1.9 points, 95 % interval 1.7 to 2.1: real"),
        (-0.019, "a loss of 1.9 points, 95 % interval −2.1 to −1.7: real"),
        (0.0002, "a gain of less than 0.1 points, 95 % interval −0.1 to 0.2: cannot be told from chance;"
                 " 100 queries show differences of 0.2 points and more"),
        (0.0013, "a gain of 0.1 points, 95 % interval 0.0 to 0.3: cannot be told from chance;"
                 " 100 queries show differences of 0.2 points and more"),
    ],
)  # fmt: skip
def test_verdicts(shift: float, wanted: str) -> None:
    noise = np.random.default_rng(1).normal(0, 0.01, 100)
    base = np.full(100, 0.5)
    assert against(base, base + shift + noise - noise.mean(), resamples=10_000).verdict == wanted


def test_the_level_is_that_of_interval_and_test() -> None:
    random = np.random.default_rng(3)
    base = random.random(60)
    other = base + random.normal(0.025, 0.08, 60)
    pair = [evaluation("base", base), evaluation("other", other)]
    usual = compare(pair, resamples=2_000).differences[0]
    strict = compare(pair, resamples=2_000, level=0.999).differences[0]
    assert usual.real
    assert not strict.real
    assert strict.interval.low < usual.interval.low < usual.interval.high < strict.interval.high
    assert strict.detectable > usual.detectable
    assert "99.9 % interval" in strict.verdict


def test_equal_arguments_give_equal_numbers_and_another_seed_others() -> None:
    random = np.random.default_rng(2)
    pair = [evaluation("base", random.random(50)), evaluation("other", random.random(50))]
    assert compare(pair, seed=7) == compare(pair, seed=7)
    assert compare(pair, seed=7).differences[0].interval != compare(pair, seed=8).differences[0].interval


def test_wins_and_losses_that_cancel() -> None:
    verdict = against([0.5] * 10, [0.4, 0.6] * 5).verdict
    assert verdict.startswith(
        "no difference on average, 95 % interval −6.0 to 6.0: cannot be told from chance;"
    )


def test_queries_are_matched_by_id() -> None:
    base = evaluation("base", [0.1, 0.2, 0.3])
    shuffled = evaluation("other", [0.3, 0.1, 0.25], queries=["q2", "q0", "q1"])
    assert differences(shuffled, base, measure="nDCG@10") == pytest.approx([0, 0.05, 0])


def test_rounding_is_no_win() -> None:
    found = against([0.3, 0.5], [0.1 + 0.2, 0.5])
    assert (found.wins, found.ties) == (0, 2)


def test_another_measure() -> None:
    pair = [evaluation("base", [0.1, 0.2]), evaluation("other", [0.3, 0.4])]
    found = compare(pair, measure="Recall@10", resamples=FEW)
    assert found.measure == "Recall@10"
    assert found.differences[0].interval.mean == pytest.approx(0.1)


def test_a_recipe_alone_is_compared_with_nothing() -> None:
    found = compare([evaluation("base", [0.1, 0.2])])
    assert (found.baseline, found.dataset, found.queries, found.differences) == ("base", "tiny", 2, ())


ONE = evaluation("one", [0.1, 0.2])
TWO = evaluation("two", [0.1, 0.2])


@pytest.mark.parametrize(
    ("evaluations", "options", "said"),
    [
        ([], {}, "at least one recipe"),
        ([ONE, ONE], {}, "two recipes are called 'one'"),
        ([ONE, replace(TWO, dataset="other")], {}, "'two' answered 2 queries of other, 'one' 2 of tiny"),
        ([ONE, evaluation("two", [0.1, 0.2, 0.3])], {}, "'two' answered 3 queries of tiny, 'one' 2 of tiny"),
        ([ONE, replace(TWO, queries=["q0", "q7"])], {}, "the same queries"),
        ([evaluation("one", []), evaluation("two", [])], {}, "tiny has no queries"),
        ([ONE, TWO], {"measure": "MAP"}, "'two' was not measured by MAP; choose one of nDCG@10, Recall@10"),
        ([ONE, evaluation("two", [0.1, float("nan")])], {}, "of query 'q1' is not a number for 'two'"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared(evaluations: list[Evaluation], options: Mapping[str, str], said: str) -> None:
    with pytest.raises(RagweftError, match=said) as caught:
        compare(evaluations, **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("sets", [[], [np.array([])]])
def test_macro_of_nothing(sets: list[np.ndarray]) -> None:
    with pytest.raises(RagweftError, match="no dataset"):
        macro(sets)


def test_without_scipy_the_package_to_install_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(MissingExtra, match=r"scipy is not installed: run  pip install 'ragweft\[eval\]'"):
        compare([ONE, TWO])
