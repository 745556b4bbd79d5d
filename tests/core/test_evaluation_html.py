from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from ragweft.errors import MissingExtra, RagweftError
from ragweft.evaluation.compare import compare
from ragweft.evaluation.html import write_html
from ragweft.evaluation.markup import coloured, signed
from ragweft.evaluation.plots import PALETTE
from ragweft.evaluation.values import Evaluation
from ragweft.types import Usage

VOID = {"meta", "br", "hr", "img", "input", "link", "source", "track", "wbr"}
LOADING = {
    "src",
    "srcset",
    "href",
    "xlink:href",
    "data",
    "action",
    "formaction",
    "poster",
    "ping",
    "background",
}
TEXTS = {f"q{number}": f"what is {number}?" for number in range(40)}


class Page(HTMLParser):
    """What a browser would see; fails on a tag that is not closed, or closed in the wrong order."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.source = source
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(source)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style"} & set(self._open):
            self.texts.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.texts))


def evaluation(label: str, *, shift: float = 0.0, seed: int = 0, queries: int = 40) -> Evaluation:
    base, other = np.random.default_rng(99), np.random.default_rng(seed)
    scores = base.random(queries).round(2)
    changed = other.random(queries) < 0.4
    scores = np.where(changed, np.clip(scores + shift + other.normal(0, 0.2, queries), 0, 1), scores)
    measures = {"nDCG@10": scores, "MRR@10": scores * 0.9}
    measures |= {f"Recall@{k}": np.clip(scores + k / 300, 0, 1) for k in (5, 10, 100)}
    times = other.lognormal(1.2, 0.4, queries)
    return Evaluation(
        label=label,
        dataset="tiny",
        fingerprint="9f2c4e61ab03d7e8",
        expression=f"Hybrid(dense, lexical, seed={seed})",
        queries=[f"q{number}" for number in range(queries)],
        scores=measures,
        legs={
            "dense": {name: values * 0.7 for name, values in measures.items()},
            "lexical": {name: values * 0.9 for name, values in measures.items()},
        },
        run={},
        wall_ms=times,
        cpu_ms=times * 1.4,
        chunks=120,
        index_seconds=1.5,
        usage=Usage(tokens=12_345, usd=0.0123),
    )


THREE = (evaluation("default"), evaluation("rerank", shift=0.15, seed=1), evaluation("rrf", shift=-0.2, seed=2))


def write(folder: Path, evaluations: Sequence[Evaluation], *, texts: Mapping[str, str] | None = None) -> Page:
    path = folder / "report.html"
    write_html(path, evaluations, compare(evaluations, resamples=200), texts=texts)
    return Page(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    return write(tmp_path_factory.mktemp("report"), THREE, texts=TEXTS)


def test_the_file_loads_nothing(page: Page) -> None:
    assert not {"script", "link", "img", "iframe", "object", "embed", "base", "form"} & set(page.tags)
    for name, value in page.attributes:
        assert name not in LOADING or value.startswith("#"), (name, value)
        assert not name.startswith("on")
    assert "//" not in page.source.replace("</", "")
    assert "@import" not in page.source
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)", page.source))
    policy = next(value for name, value in page.attributes if value.startswith("default-src"))
    assert policy.startswith("default-src 'none';"), "the browser is told to load nothing, too"


def test_ids_are_unique_and_what_refers_to_one_finds_it(page: Page) -> None:
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids)) > 0
    wanted = {value[1:] for name, value in page.attributes if name == "href"}
    wanted |= set(re.findall(r"url\(#([^)]*)\)", page.source))
    assert wanted == set(ids)


def test_what_there_is_to_see(page: Page) -> None:
    comparison = compare(THREE, resamples=200)
    assert "3 recipes on tiny" in page.text
    assert [text for text in page.texts if "recipes on tiny" in text] == ["3 recipes on tiny"] * 2
    for one in THREE:
        assert one.label in page.texts
        assert one.expression in page.texts
        for values in one.scores.values():
            assert f"{values.mean() * 100:.1f}" in page.text
    for found in comparison.differences:
        assert f"against default: {found.verdict}." in page.text
        assert f"{found.wins} / {found.ties} / {found.losses}" in page.text
        assert f"{found.p:.3f}" in page.text
        assert f"{found.adjusted:.3f}" in page.text
    for fact in ("120", "12,345", "0.0123", *THREE[0].scores, f"{np.percentile(THREE[1].wall_ms, 95):,.1f}"):
        assert fact in page.text


def test_every_plot_is_there_and_says_in_words_what_it_shows(page: Page) -> None:
    # An interval and sorted differences for two recipes, legs for three, depth, latency.
    assert page.tags.count("svg") == 2 + 2 + 3 + 1 + 1
    said = [value for name, value in page.attributes if name == "aria-label"]
    found = compare(THREE, resamples=200).differences[0]
    assert (
        f"rerank less default on each query, sorted: {found.wins} won, {found.ties} tied, {found.losses} lost"
        in said
    )
    p50, p95, p99 = np.percentile(THREE[0].wall_ms, (50, 95, 99))
    assert any(f"default p50 {p50:.1f}, p95 {p95:.1f}, p99 {p99:.1f}; rerank" in text for text in said)
    dense, whole = THREE[2].legs["dense"]["nDCG@10"].mean(), THREE[2].scores["nDCG@10"].mean()
    assert any(
        f"rrf: dense {dense * 100:.1f}, " in text and f"together {whole * 100:.1f}" in text for text in said
    )
    recall = THREE[0].scores["Recall@5"].mean()
    assert any(text.startswith(f"Recall by depth: default {recall * 100:.1f} at 5, ") for text in said)
    assert page.source.count('role="img"') == page.tags.count("svg")


def test_plots_follow_light_and_dark(page: Page) -> None:
    assert "prefers-color-scheme: dark" in page.source
    drawn = "".join(re.findall(r"<svg.*?</svg>", page.source, re.DOTALL))
    assert {"var(--gain)", "var(--loss)", "var(--series-0)", "var(--muted)"} <= set(
        re.findall(r"var\([^)]*\)", drawn)
    )
    assert not re.findall(r"#[0-9a-f]{6}\b", re.sub(r'(url\(|href="|id=")[^")]*', "", drawn)), (
        "no colour of its own"
    )


@pytest.mark.parametrize(
    ("score", "text"), [(0.019, "+1.9"), (-0.019, "−1.9"), (0.0, "0.0"), (-0.0004, "0.0"), (0.0004, "0.0")]
)
def test_a_difference_in_print(score: float, text: str) -> None:
    assert signed(score) == text
    assert (coloured(score) == f"<span>{text}</span>") == (text == "0.0")


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2.2 defines it."""
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


@pytest.mark.parametrize("mode", [0, 1], ids=["light", "dark"])
def test_contrast(mode: int) -> None:
    paper = luminance(PALETTE["paper"][mode])
    for name, pair in PALETTE.items():
        if name not in ("paper", "rule"):
            lighter, darker = sorted((paper, luminance(pair[mode])), reverse=True)
            least = 4.5 if name in ("ink", "muted", "gain", "loss") else 3
            assert (lighter + 0.05) / (darker + 0.05) >= least, name


def test_the_queries_that_changed_most(tmp_path: Path) -> None:
    scores = np.full(30, 0.5)
    better = scores.copy()
    better[:14] += np.arange(14, 0, -1) / 100
    better[20] = 0.1
    first = replace(evaluation("base", queries=30), scores={"nDCG@10": scores})
    second = replace(first, label="better", scores={"nDCG@10": better})
    page = write(tmp_path, [first, second], texts=TEXTS)
    won, lost = page.source.split("Won most</caption>")[1].split("Lost most</caption>")
    asked = r"what is (\d+)\?"
    assert re.findall(asked, won) == [str(number) for number in range(10)]
    assert re.findall(asked, lost) == ["20"]
    assert "q0, 50.0 → 64.0" in page.text
    assert "q20, 50.0 → 10.0" in page.text
    bare = write(tmp_path, [first, second])
    assert "what is" not in bare.text
    assert "q20 50.0 → 10.0" in bare.text


NASTY = '<script>alert("x")</script> & </svg> $x^2$ \' " onload="alert(1)'


def test_names_and_texts_stay_text(tmp_path: Path) -> None:
    renamed = [
        replace(one, label=f"{NASTY}{place}", dataset=NASTY, expression=NASTY, fingerprint=NASTY)
        for place, one in enumerate(THREE)
    ]
    renamed = [
        replace(
            one,
            queries=[f"{query}{NASTY}" for query in one.queries],
            scores={
                (f"{name}{NASTY}" if name == "MRR@10" else name): values for name, values in one.scores.items()
            },
        )
        for one in renamed
    ]
    page = write(
        tmp_path, renamed, texts={f"{query}{NASTY}": f"{NASTY}{text}" for query, text in TEXTS.items()}
    )
    assert "script" not in page.tags
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert page.texts.count(f"{NASTY}0") >= 3
    assert any(text.startswith(f"{NASTY}what is") for text in page.texts)
    assert page.tags.count("svg") == 9


def test_any_script_and_broken_characters(tmp_path: Path) -> None:
    pair = [replace(THREE[0], label="日本語"), replace(THREE[1], label="العربية")]
    page = write(tmp_path, pair, texts=dict.fromkeys(TEXTS, "half a \ud83d character"))
    assert {"日本語", "العربية"} <= set(page.texts)
    assert "half a ? character" in page.texts


def test_equal_arguments_give_equal_bytes(tmp_path: Path, page: Page) -> None:
    assert write(tmp_path, THREE, texts=TEXTS).source == page.source


def only(one: Evaluation, count: int) -> Evaluation:
    return replace(
        one,
        queries=one.queries[:count],
        scores={name: values[:count] for name, values in one.scores.items()},
        legs={},
        wall_ms=np.full(count, 2.0),
        cpu_ms=np.zeros(count),
    )


ALONE = replace(THREE[0], legs={})
MEAN = ALONE.scores["nDCG@10"].mean() * 100


@pytest.mark.parametrize(
    ("evaluations", "svgs", "said"),
    [
        ([ALONE], 2, f"default reaches {MEAN:.1f} of 100 points of nDCG@10."),
        ([THREE[0]], 3, f"default reaches {MEAN:.1f} of 100 points of nDCG@10."),
        (
            [only(THREE[0], 1), only(evaluation("rerank", shift=-1, seed=3), 1)],
            4,
            "1 query with a difference cannot rule it out",
        ),
        (
            [THREE[0], replace(THREE[0], label="same")],
            6,
            "same against default: the same score for every query.",
        ),
        ([replace(ALONE, wall_ms=np.zeros(40))], 2, "0.0"),
        ([replace(ALONE, scores={"nDCG@10": ALONE.scores["nDCG@10"]})], 1, "default on tiny"),
        ([ALONE, replace(THREE[1], chunks=99)], 6, "99 to 120"),
    ],
    ids=["alone, no legs", "alone", "one query", "the same twice", "no time", "no depths", "other chunks"],
)
def test_little_to_show(tmp_path: Path, evaluations: list[Evaluation], svgs: int, said: str) -> None:
    page = write(tmp_path, evaluations)
    assert page.tags.count("svg") == svgs
    assert said in page.text
    assert "nan" not in page.text


def test_more_recipes_than_colours(tmp_path: Path) -> None:
    page = write(tmp_path, [evaluation(f"recipe {n}", seed=n) for n in range(9)])
    keys = {value for name, value in page.attributes if name == "style" and value.startswith("--key")}
    assert len(keys) == 9, "colour and line together tell them apart"


def test_a_report_on_thousands_of_queries_is_no_larger(tmp_path: Path, page: Page) -> None:
    many = [evaluation("default", queries=20_000), evaluation("rerank", shift=0.1, seed=1, queries=20_000)]
    path = tmp_path / "many.html"
    write_html(path, many, compare(many, resamples=20))
    assert path.stat().st_size < 2 * len(page.source)


def test_the_file_is_there_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.html"
    path.write_text("the old one")

    def full(self: Path, target: Path) -> None:
        assert Page(self.read_text(encoding="utf-8")).tags, "written whole before it takes the place"
        assert path.read_text() == "the old one"
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", full)
        with pytest.raises(RagweftError, match=r"report\.html: cannot be written \(No space left on device\)"):
            write_html(path, THREE, compare(THREE, resamples=50))
    assert path.read_text() == "the old one"
    assert list(tmp_path.iterdir()) == [path]
    write_html(path, THREE, compare(THREE, resamples=50))
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("place", [lambda folder: folder / "absent" / "r.html", lambda folder: folder])
def test_where_no_file_can_be(tmp_path: Path, place: Callable[[Path], Path]) -> None:
    with pytest.raises(RagweftError, match="cannot be written") as caught:
        write_html(place(tmp_path), [ALONE], compare([ALONE]))
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_comparison_of_others_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RagweftError, match="the comparison is of default, rerank, rrf; compare these"):
        write_html(tmp_path / "r.html", THREE[:2], compare(THREE, resamples=50))


@pytest.mark.parametrize("evaluations", [THREE, [ALONE]], ids=["three", "alone"])
def test_without_matplotlib_the_package_to_install_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, evaluations: Sequence[Evaluation]
) -> None:
    for module in [name for name in sys.modules if name.startswith("matplotlib.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtra, match=r"matplotlib is not installed: run  pip install 'ragweft\[eval\]'"):
        write_html(tmp_path / "r.html", evaluations, compare(evaluations, resamples=50))
    assert not list(tmp_path.iterdir())


def test_matplotlib_is_left_as_it_was_and_never_draws_on_a_screen(tmp_path: Path) -> None:
    code = f"""
import sys
sys.path[:0] = {[str(Path(__file__).parent)]!r}
from ragweft.evaluation.html import write_html
assert not {{"matplotlib", "scipy"}} & set(sys.modules)
import matplotlib
# Reading the backend would choose one, and load pyplot.
settings = lambda: {{name: matplotlib.rcParams[name] for name in matplotlib.rcParams if name != "backend"}}
before = settings()
from ragweft.evaluation.compare import compare
from test_evaluation_html import THREE
write_html({str(tmp_path / "r.html")!r}, THREE, compare(THREE, resamples=50))
assert "matplotlib.pyplot" not in sys.modules
assert settings() == before
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
