"""Measuring: how well a recipe, or any retriever, answers the questions of a dataset.

`load_dataset` reads a folder of texts, questions and judgements; `evaluate` indexes it by a recipe and asks
every question; `compare.compare` says which differences between recipes are more than luck.
"""

from __future__ import annotations

from ragweft.evaluation.dataset import load_dataset
from ragweft.evaluation.running import evaluate, evaluate_retriever
from ragweft.evaluation.trec import save_run
from ragweft.evaluation.values import Dataset, Evaluation, Run

__all__ = ["Dataset", "Evaluation", "Run", "evaluate", "evaluate_retriever", "load_dataset", "save_run"]
