"""`ragweft models`: embedders and rerankers, what they cost, and which to consider for a purpose."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ragweft.cli.help import Verb
from ragweft.cli.models_check import check
from ragweft.cli.models_marks import runs_own_code
from ragweft.cli.options import DebugOption, JsonOption, settle
from ragweft.cli.session import guarded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragweft.providers.advice import Advice
    from ragweft.providers.registry import Model, Purpose

__all__ = ["models_app"]


_CONTEXTS = "contexts"
"""What models are for that neither embed nor rerank."""


def models_app() -> typer.Typer:
    """The verb `models` with `check` below it."""
    app = typer.Typer(
        add_completion=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(invoke_without_command=True)(models)
    app.command(cls=Verb)(check)
    return app


def models(
    ctx: typer.Context,
    purpose: Annotated[
        str | None,
        typer.Option(
            "--for",
            metavar="PURPOSE",
            help="Say which to consider, and why, for: code, multilingual, budget, legal, finance, self-hosted"
            " or english; or list those that write contexts.",
            show_default=False,
        ),
    ] = None,
    provider: Annotated[
        str | None,
        typer.Option(
            "--provider", metavar="NAME", help="Only models of this provider, as in voyage.", show_default=False
        ),
    ] = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """List known embedders, rerankers and writers of contexts.

    Told are sizes, windows, prices, and what 1M chunks would cost. A model that is not listed works all the
    same.
    """
    settings = settle(ctx, index=None, debug=debug)
    if ctx.invoked_subcommand is not None:
        if purpose is not None or provider is not None or as_json:
            raise typer.BadParameter("options before 'check' belong to the list; write them after it")
        ctx.obj = settings
        return
    with guarded(settings):
        from ragweft.cli.models_writers import known_writers, print_writers
        from ragweft.providers.registry import load

        writing = purpose == _CONTEXTS
        wanted = None if writing else _purpose(purpose)
        providers = dict.fromkeys((*load().providers, *(model.provider for model in known_writers(None))))
        if provider is not None and provider not in providers:
            known = ", ".join(providers)
            raise typer.BadParameter(f"{provider!r} is not listed; listed: {known}", param_hint="--provider")
        advice = [] if wanted is None else _advice(wanted, provider)
        named = [one.model for one in advice]
        shown = [
            model
            for model in load().models
            if provider in (None, model.provider)
            and not writing
            and (wanted is None or wanted in model.purposes or model in named)
        ]
        writers = known_writers(provider) if wanted is None else []
        if as_json:
            from ragweft.cli.payload import print_json

            told = [{"model": model.label, **asdict(model)} for model in writers]
            print_json({**_payload(purpose, shown, advice), "writers": told})
            return
        if shown:
            from ragweft.cli.models_table import print_models

            print_models(shown, advice)
        if writers:
            if shown:
                print()
            print_writers(writers)


def _purpose(text: str | None) -> Purpose | None:
    from ragweft.providers.registry import PURPOSES

    for purpose in PURPOSES:
        if purpose == text:
            return purpose
    if text is not None:
        known = ", ".join((*PURPOSES, _CONTEXTS))
        raise typer.BadParameter(f"{text!r} is none of {known}", param_hint="--for")
    return None


def _advice(purpose: Purpose, provider: str | None) -> list[Advice]:
    from ragweft.providers.advice import recommend

    both = [*recommend(purpose), *recommend(purpose, kind="reranker")]
    return [one for one in both if provider in (None, one.model.provider)]


def _payload(purpose: str | None, shown: Sequence[Model], advice: Sequence[Advice]) -> dict[str, Any]:
    return {
        "purpose": purpose,
        "recommended": [
            {"model": one.model.label, "kind": one.model.kind, "reason": one.reason} for one in advice
        ],
        "models": [
            {"model": model.label, **asdict(model), "own_code": runs_own_code(model), "cost": _cost(model)}
            for model in shown
        ],
    }


def _cost(model: Model) -> dict[str, Any]:
    """What a million chunks, or a thousand searches, come to."""
    from ragweft.providers.registry import cost, rerank_cost

    if model.kind == "embedder":
        return {"chunks": 1_000_000, **asdict(cost(model, chunks=1_000_000))}
    return {"searches": 1_000, "hits": 50, **asdict(rerank_cost(model, searches=1_000, hits=50))}
