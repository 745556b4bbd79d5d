"""The plots of the report, as SVG to be put into a page.

They hold numbers and our own words only: whatever a user named stands beside them in the page, where it wraps
and any script has its letters. Colours are the page's CSS variables, so that a plot follows light and dark.
"""

from __future__ import annotations

import io
import math
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from ragweft.errors import MissingExtra

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ragweft.evaluation.significance import Interval
    from ragweft.evaluation.values import Scores

__all__ = [
    "LINES",
    "PALETTE",
    "PERCENTILES",
    "SERIES",
    "depth_curves",
    "difference_bars",
    "interval_mark",
    "latency_curves",
    "leg_bars",
    "line_of",
    "series_of",
]

PALETTE: Mapping[str, tuple[str, str]] = {
    "paper": ("#fdfdfb", "#16181b"),
    "ink": ("#1d2024", "#e9e7e2"),
    "muted": ("#5b626c", "#a4aab3"),
    "rule": ("#dcdfdb", "#33383f"),
    "gain": ("#0f7a5a", "#45c79c"),
    "loss": ("#b8441b", "#f28d63"),
    "leg": ("#8b929c", "#7d8590"),
    "series-0": ("#666d78", "#a9b0ba"),
    "series-1": ("#1462b3", "#6cb2f8"),
    "series-2": ("#bf4413", "#f69a62"),
    "series-3": ("#0c7a6b", "#4bc8b0"),
    "series-4": ("#8a3ea6", "#cf9aec"),
    "series-5": ("#946200", "#e0b040"),
}
"""CSS variable to its colour on light and on dark; series-0 is the baseline. Against the paper, text has a
contrast of 4.5 at least, lines and areas of 3 [WCAG 2.2, 1.4.3 and 1.4.11]."""
SERIES = tuple(name for name in PALETTE if name.startswith("series"))
LINES = ("solid", "dashed", "dotted")
"""Recipe after recipe also differs by line, for those who do not see colours apart."""
PERCENTILES = (50, 95, 99)

_WIDTH = 420
"""CSS pixels a plot is drawn for: letters stay legible on a phone, and two plots go side by side elsewhere."""
_MOST = 400
"""Points of a curve; more cannot be told apart at this width."""
_STYLE = {
    "axes.edgecolor": PALETTE["muted"][0],
    "axes.labelcolor": PALETTE["muted"][0],
    "axes.labelsize": 12,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.h_pad": 0.03,
    "figure.constrained_layout.w_pad": 0.03,
    "grid.color": PALETTE["rule"][0],
    "grid.linewidth": 1,
    "svg.fonttype": "none",
    "text.color": PALETTE["ink"][0],
    "xtick.color": PALETTE["muted"][0],
    "xtick.labelsize": 12,
    "ytick.color": PALETTE["muted"][0],
    "ytick.labelsize": 12,
}
_settings = threading.Lock()
"""Matplotlib takes these settings from the whole process only."""


def series_of(number: int) -> str:
    """The CSS variable of recipe *number*; the baseline is 0."""
    return SERIES[1 + (number - 1) % (len(SERIES) - 1)] if number else SERIES[0]


def line_of(number: int) -> str:
    """The line of recipe *number*, in words CSS and Matplotlib share."""
    return LINES[number % len(LINES)]


def difference_bars(gap: Scores, *, limit: float, series: int, alt: str) -> str:
    """*gap* from the most won query to the most lost; *limit* is the end of the scale, up and down."""

    def draw(axes: Axes) -> None:
        falling = np.sort(gap)[::-1] * 100
        values = falling[_thinned(falling.size)]
        edges = np.linspace(0, falling.size, values.size + 1)
        axes.stairs(np.maximum(values, 0), edges, fill=True, color=_light("gain"))
        axes.stairs(np.minimum(values, 0), edges, fill=True, color=_light("loss"))
        axes.axhline(0, color=_light("muted"), linewidth=1)
        axes.set(xlim=(0, falling.size), ylim=(-limit * 100, limit * 100))
        axes.set_xticks([])
        axes.spines["bottom"].set_visible(False)
        axes.set_ylabel("difference, points")
        axes.yaxis.set_major_formatter(_signed)
        axes.grid(axis="y")
        axes.set_axisbelow(True)

    return _drawn(draw, name=f"difference-{series}", height=150, alt=alt)


def leg_bars(bars: Sequence[tuple[str, float]], *, series: int, alt: str) -> str:
    """Named scores as bars on a scale from 0 to 1; the last is the whole recipe, the others its legs."""

    def draw(axes: Axes) -> None:
        names, scores = zip(*bars, strict=True)
        colours = [_light("leg")] * (len(bars) - 1) + [_light(series_of(series))]
        places = range(len(bars))
        axes.barh(places, [score * 100 for score in scores], height=0.62, color=colours)
        axes.set_yticks(places, names)
        axes.invert_yaxis()
        for place, score in zip(places, scores, strict=True):
            axes.text(score * 100 + 1.2, place, f"{score * 100:.1f}", va="center", fontsize=12)
        axes.set_xlim(0, 110)
        axes.set_xticks([])
        axes.tick_params(length=0)
        axes.spines[["left", "bottom"]].set_visible(False)

    return _drawn(draw, name=f"legs-{series}", height=24 * len(bars) + 6, alt=alt)


def latency_curves(times: Sequence[Scores], *, alt: str) -> str:
    """The share of searches done within so many milliseconds, for each of *times*; p50, p95 and p99 marked."""
    rising = [np.sort(np.maximum(one, 1e-3)) for one in times]
    low, high = min(one[0] for one in rising) / 1.15, max(one[-1] for one in rising) * 1.15
    shares = [percentile / 100 for percentile in PERCENTILES]

    def draw(axes: Axes) -> None:
        from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator, PercentFormatter

        for number, one in enumerate(rising):
            kept = _thinned(one.size)
            colour = _light(series_of(number))
            axes.plot(
                np.concatenate(([one[0]], one[kept])),
                np.concatenate(([0.0], (kept + 1) / one.size)),
                drawstyle="steps-post",
                color=colour,
                linestyle=line_of(number),
            )
            axes.plot(np.percentile(one, PERCENTILES), shares, "o", color=colour, markersize=5)
        axes.set(xscale="log", xlim=(low, high), ylim=(0, 1.02), xlabel="milliseconds")
        axes.xaxis.set_major_locator(FixedLocator(_decimal_steps(low, high)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_locator(FixedLocator([0, 0.25, 0.5, 0.75, 1]))
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.grid(axis="x")
        axes.hlines(shares, 0, 1, transform=axes.get_yaxis_transform(), color=_light("rule"), linewidth=1)
        for percentile, share, side in zip(PERCENTILES, shares, ("center", "top", "bottom"), strict=True):
            axes.annotate(
                f"p{percentile}",
                (1.01, share),
                xycoords=("axes fraction", "data"),
                va=side,
                fontsize=12,
                color=_light("muted"),
            )
        axes.set_axisbelow(True)

    return _drawn(draw, name="latency", height=280, alt=alt)


def depth_curves(depths: Sequence[int], curves: Sequence[Sequence[float]], *, alt: str) -> str:
    """A measure at rising *depths*, one curve for each recipe."""

    def draw(axes: Axes) -> None:
        from matplotlib.ticker import FixedLocator, NullLocator

        for number, curve in enumerate(curves):
            axes.plot(
                depths,
                [score * 100 for score in curve],
                marker="o",
                markersize=5,
                color=_light(series_of(number)),
                linestyle=line_of(number),
            )
        axes.set(xscale="log", xlabel="hits looked at, k", ylabel="points")
        axes.xaxis.set_major_locator(FixedLocator(depths))
        axes.xaxis.set_major_formatter("{x:.0f}")
        axes.xaxis.set_minor_locator(NullLocator())
        axes.grid(axis="y")
        axes.margins(y=0.12)
        axes.set_axisbelow(True)

    return _drawn(draw, name="depth", height=280, alt=alt)


def interval_mark(interval: Interval, *, limit: float, series: int, alt: str) -> str:
    """One interval with its mean on a scale from -*limit* to *limit*, 0 in the middle; small, for a table."""

    def draw(axes: Axes) -> None:
        colour = _light(series_of(series))
        axes.axvline(0, color=_light("muted"), linewidth=1)
        axes.plot([interval.low, interval.high], [0, 0], color=colour, linewidth=2, solid_capstyle="round")
        axes.plot([interval.mean], [0], "o", color=colour, markersize=6.5)
        axes.set(xlim=(-limit * 1.05, limit * 1.05), ylim=(-1, 1))
        axes.set_axis_off()

    return _drawn(draw, name=f"interval-{series}", width=150, height=20, alt=alt)


def _drawn(draw: Callable[[Axes], None], *, name: str, height: int, alt: str, width: int = _WIDTH) -> str:
    """What *draw* drew, as an `<svg>` that scales with the page; *name* keeps its ids apart from others'."""
    try:
        import matplotlib.style
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtra(package="matplotlib", extra="eval") from None
    out = io.StringIO()
    with _settings, matplotlib.style.context(["default", {**_STYLE, "svg.hashsalt": f"ragweft-{name}"}]):
        figure = Figure(figsize=(width / 72, height / 72), dpi=72, layout="constrained")
        draw(figure.subplots())
        figure.savefig(out, format="svg", transparent=True)
    # Before that come XML's prologue, the date, addresses of standards, and a style for the whole page.
    _, _, body = out.getvalue().partition("</defs>")
    used = set(re.findall(r'(?:href="|url\()#([^")]*)', body))
    body = re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", body)
    body = re.sub(r"font-family: [^;\"]*;?\s*", "", body)
    body = re.sub(r"\s*\n\s*", " ", body.replace("xlink:href", "href"))
    for variable, (light, _) in PALETTE.items():
        body = body.replace(light, f"var(--{variable})")
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(alt)}">{body.strip()}'


def _thinned(size: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Places of at most `_MOST` of *size* sorted values, evenly, the first and the last among them."""
    return np.unique(np.linspace(0, size - 1, min(size, _MOST)).round().astype(np.int64))


def _decimal_steps(low: float, high: float) -> list[float]:
    """Ticks of a logarithmic axis: 1, 10 and so on, or as much finer as it takes to have three."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks: list[float] = []
    for steps in ((1,), (1, 2, 5), range(1, 10), np.arange(1, 10, 0.5).tolist()):
        ticks = [
            tick for exponent in exponents for step in steps if low <= (tick := step * 10.0**exponent) <= high
        ]
        if len(ticks) >= 3:
            break
    return ticks


def _light(variable: str) -> str:
    return PALETTE[variable][0]


def _signed(value: float, _place: object = None) -> str:
    return f"{value:+.3g}".replace("-", "\N{MINUS SIGN}") if value else "0"
