from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest

from ragweft.errors import RecipeError
from ragweft.recipe import (
    PRESETS,
    Chunking,
    Context,
    Recipe,
    Retrieval,
    load_recipe,
    parse_recipe,
    write_recipe,
)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_survives_the_file(name: str) -> None:
    recipe = Recipe.preset(name)
    assert parse_recipe(write_recipe(recipe)) == recipe


def test_the_published_pipeline() -> None:
    recipe = Recipe.preset("contextual-retrieval")
    assert (recipe.chunking.strategy, recipe.chunking.size, recipe.chunking.overlap) == ("recursive", 500, 0.1)
    assert (recipe.retrieval.fusion, recipe.retrieval.pool, recipe.retrieval.rrf_k) == ("rrf", 20, 60)
    assert recipe.retrieval.k == 5


def test_every_setting_is_explained_in_the_file() -> None:
    lines = write_recipe(Recipe()).splitlines()
    for section in fields(Recipe):
        for setting in fields(getattr(Recipe(), section.name)):
            (line,) = [x for x in lines if x.startswith(f"{setting.name} =") and setting.metadata["doc"] in x]
            assert "#" in line


def test_a_part_of_a_recipe_keeps_the_other_defaults() -> None:
    assert parse_recipe('[retrieval]\nfusion = "rrf"\n') == Recipe(retrieval=Retrieval(fusion="rrf"))
    assert parse_recipe("[chunking]\noverlap = 0\n").chunking.overlap == 0.0
    assert parse_recipe("") == Recipe()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[retreval]\nk = 1", ("line 1", "retreval", "did you mean 'retrieval'")),
        ('[retrieval]\n\nfusoin = "rrf"', ("line 3", "fusoin", "did you mean 'fusion'")),
        ('\n[retrieval]\nk = 5\nfusion = "rff"', ("line 4", "'convex', 'rrf', 'dbsf', 'zscore'")),
        ("[retrieval]\nk = true", ("line 2", "whole number")),
        ("[retrieval]\nk = 0", ("line 2", "between 1 and")),
        ("[retrieval]\ndense_weight = 1.5", ("line 2", "between 0.0 and 1.0")),
        ("[retrieval]\ndense_weight = nan", ("line 2", "between 0.0 and 1.0")),
        ('[chunking]\nsize = "x"', ("line 2", "whole number")),
        ("[chunking]\nsize = 64", ("line 1", "max_tokens", "at most 32")),
        ("retrieval = 3", ("line 1", "[retrieval]")),
        ("x =", ("not valid TOML",)),
        ("retrieval.k = 0", ("line 1", "between 1 and")),
        ("[chroma]\nzzz = 1", ("line 2", "known: ", "'collection'")),
    ],
)
def test_faults_are_located_and_explained(text: str, says: tuple[str, ...]) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(text, where="ragweft.toml")
    for part in ("ragweft.toml", *says):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_recipe_made_in_code_is_checked_too() -> None:
    with pytest.raises(RecipeError, match="fusion"):
        Recipe(retrieval=Retrieval(fusion="best"))
    with pytest.raises(RecipeError, match="no preset 'x'"):
        Recipe.preset("x")


def test_a_missing_or_garbled_file_says_which(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"nowhere\.toml"):
        load_recipe(tmp_path / "nowhere.toml")
    (tmp_path / "ragweft.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecipeError, match=r"ragweft\.toml"):
        load_recipe(tmp_path / "ragweft.toml")


def test_fingerprints_tell_recipes_apart() -> None:
    seen = {Recipe().fingerprint}
    for changed in (
        replace(Recipe(), chunking=Chunking(size=300)),
        replace(Recipe(), context=Context(kind="none")),
        replace(Recipe(), retrieval=Retrieval(k=7)),
    ):
        assert changed.fingerprint not in seen
        seen.add(changed.fingerprint)
    assert Recipe().fingerprint == Recipe().fingerprint


def test_the_weight_of_meaning_is_a_number_or_the_word() -> None:
    assert Recipe().retrieval.dense_weight == "auto"
    assert parse_recipe('[retrieval]\ndense_weight = "auto"').retrieval.dense_weight == "auto"
    whole = parse_recipe("[retrieval]\ndense_weight = 1").retrieval.dense_weight
    assert (whole, type(whole)) == (1.0, float), "TOML's whole number is the same recipe as its decimal"
    given = Recipe(retrieval=Retrieval(dense_weight=0.25))
    assert parse_recipe(write_recipe(given)) == given
    assert 'dense_weight = "auto"' in write_recipe(Recipe())
    assert given.fingerprint != Recipe().fingerprint


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('dense_weight = "automatic"', ("line 2", "must be a number", 'or "auto"')),
        ("dense_weight = true", ("line 2", "must be a number", 'or "auto"')),
        ("dense_weight = -0.1", ("line 2", "between 0.0 and 1.0")),
        ('late_weight = "auto"', ("line 2", "must be a number")),
        ("late_weight = 1.1", ("line 2", "between 0.0 and 1.0")),
        ("late_pool = 0", ("line 2", "between 1 and")),
        ("document_weight = -1", ("line 2", "between 0.0 and")),
    ],
)
def test_weights_out_of_reach_are_refused(text: str, says: tuple[str, ...]) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(f"[retrieval]\n{text}")
    for part in says:
        assert part in str(caught.value)
    assert ('or "auto"' in str(caught.value)) == ('or "auto"' in says)


def test_the_published_pipeline_takes_no_second_look() -> None:
    retrieval = Recipe.preset("contextual-retrieval").retrieval
    assert (retrieval.dense_weight, retrieval.late_weight, retrieval.document_weight) == (0.5, 0.0, 0.0)
