"""A closer look at few candidates."""

from __future__ import annotations

from ragweft.reranking.late_interaction import late_interaction, token_weights

__all__ = ["late_interaction", "token_weights"]
