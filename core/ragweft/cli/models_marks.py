"""Marks beside models that a recipe alone does not get to run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ragweft.providers.registry import Model

__all__ = ["OWN_CODE", "runs_own_code"]

OWN_CODE = "*"
"""Stands after the name of a model that runs code of its own."""
_NOTE = "runs remote code"


def runs_own_code(model: Model) -> bool:
    """Whether *model* brings code that has to be trusted before it can be loaded."""
    return _NOTE in model.notes.lower()
