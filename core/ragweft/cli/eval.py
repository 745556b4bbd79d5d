"""`ragweft eval`: how well recipes answer the questions of a dataset."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ragweft.cli.options import (
    DebugOption,
    JsonOption,
    LimitOption,
    MeasureOption,
    SeedOption,
    SplitOption,
    settle,
)
from ragweft.cli.session import guarded, say
from ragweft.errors import MissingExtra

if TYPE_CHECKING:
    from ragweft.evaluation import Dataset, Evaluation
    from ragweft.evaluation.compare import Comparison
    from ragweft.protocols import Progress
    from ragweft.recipe import Recipe

__all__ = ["evaluate_recipes"]

_INTERRUPTED = "interrupted: nothing is kept; with --work DIR the same command goes on where it stopped"
_RESUMABLE = "interrupted: what was indexed is kept; run the same command to go on"


def evaluate_recipes(
    ctx: typer.Context,
    dataset: Annotated[
        str,
        typer.Argument(
            metavar="DATASET", help="A folder in the BEIR layout, or its name within $RAGWEFT_DATA."
        ),
    ],
    recipe: Annotated[
        list[str] | None,
        typer.Option(
            "--recipe",
            metavar="SPEC",
            help="[NAME=]BASE[,SECTION.KEY=VALUE ...], BASE being a preset, a ragweft.toml or an index folder."
            " May be repeated: the others are compared with the first. By default the default recipe.",
            show_default=False,
        ),
    ] = None,
    split: SplitOption = None,
    chunks: Annotated[
        Literal["given", "recipe"],
        typer.Option("--chunks", help="Index the corpus as it is cut already, or let each recipe cut."),
    ] = "given",
    limit: LimitOption = None,
    depth: Annotated[int, typer.Option("--depth", min=10, metavar="N", help="Hits that are judged.")] = 100,
    measure: MeasureOption = "nDCG@10",
    work: Annotated[
        Path | None,
        typer.Option(
            "--work", metavar="DIR", help="Keep the indexes here, for the next time.", show_default=False
        ),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Write a report with plots.", show_default=False),
    ] = None,
    save_run: Annotated[
        Path | None,
        typer.Option("--save-run", metavar="DIR", help="Write the rankings as TREC files.", show_default=False),
    ] = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Measure recipes on a dataset and compare them.

    Told are quality, time and cost, and which differences are more than luck. docs/evaluation.md says how to
    make a dataset of your own texts, and what each number means.
    """
    settings = settle(ctx, index=None, debug=debug)
    with guarded(settings, interrupted=_RESUMABLE if work is not None else _INTERRUPTED):
        from ragweft.cli.recipes import named_recipes
        from ragweft.evaluation import load_dataset
        from ragweft.evaluation.compare import compare

        recipes = named_recipes(recipe or ())
        _check_places(html, save_run, work)
        _check_installed(plots=html is not None)
        data = load_dataset(dataset, split=split, chunks=chunks, queries=limit)
        _check_measure(data, measure, depth)
        evaluations = _evaluate(data, recipes, depth=depth, work=work)
        comparison = compare(evaluations, measure=measure, seed=seed)
        _write(evaluations, comparison, data, html=html, runs=save_run)
        if as_json:
            from ragweft.cli.eval_payload import evaluation_payload
            from ragweft.cli.payload import print_json

            print_json(evaluation_payload(data, evaluations, comparison))
        else:
            from ragweft.cli.eval_table import print_tables

            print_tables(data, evaluations, comparison)


def _evaluate(
    data: Dataset, recipes: Mapping[str, Recipe], *, depth: int, work: Path | None
) -> list[Evaluation]:
    from ragweft.cli.progress import Bar
    from ragweft.evaluation import evaluate

    evaluations: list[Evaluation] = []
    with _workshop(data, work) as folder, Bar() as bar:
        for name, recipe in recipes.items():
            progress = bar if len(recipes) == 1 else _named(name, bar)
            place = folder / recipe.fingerprint
            evaluations.append(evaluate(data, recipe, label=name, folder=place, depth=depth, progress=progress))
    return evaluations


def _named(name: str, progress: Progress) -> Progress:
    def report(stage: str, done: int, total: int | None, /) -> None:
        progress(f"{name}: {stage}", done, total)

    return report


@contextmanager
def _workshop(data: Dataset, work: Path | None) -> Iterator[Path]:
    """Where the indexes of this dataset go; a folder of its own for each recipe is made within."""
    if work is None:
        with tempfile.TemporaryDirectory(prefix="ragweft-eval-") as folder:
            yield Path(folder)
        return
    from ragweft.evaluation.filling import items_digest

    plain = re.sub(r"[^\w.-]+", "_", data.name)
    yield work.expanduser() / f"{plain}-{items_digest(data)}"


def _write(
    evaluations: Sequence[Evaluation],
    comparison: Comparison,
    data: Dataset,
    *,
    html: Path | None,
    runs: Path | None,
) -> None:
    if runs is not None:
        from ragweft.evaluation import save_run

        for evaluation in evaluations:
            say(f"wrote {save_run(evaluation, runs, dataset=data)}")
    if html is not None:
        from ragweft.evaluation.html import write_html

        write_html(html, evaluations, comparison, texts=data.queries)
        say(f"wrote {html}")


def _check_measure(data: Dataset, measure: str, depth: int) -> None:
    from ragweft.evaluation.measures import Judge

    names = Judge(data, depth=depth).names
    if measure not in names:
        raise typer.BadParameter(
            f"{measure!r} is not measured here; choose one of {', '.join(names)}", param_hint="--measure"
        )


def _check_places(html: Path | None, runs: Path | None, work: Path | None) -> None:
    """Refuse before the work begins what could not be written after it."""
    if html is not None and (html.is_dir() or not html.absolute().parent.is_dir()):
        raise typer.BadParameter(f"{html}: name a file in a folder that exists", param_hint="--html")
    for folder, option in ((runs, "--save-run"), (work, "--work")):
        if folder is not None and folder.exists() and not folder.is_dir():
            raise typer.BadParameter(f"{folder}: is a file; name a folder", param_hint=option)


def _check_installed(*, plots: bool) -> None:
    for module, package in (("ir_measures", "ir-measures"), ("scipy", "scipy"), ("matplotlib", "matplotlib")):
        if find_spec(module) is None and (plots or module != "matplotlib"):
            raise MissingExtra(package=package, extra="eval")
