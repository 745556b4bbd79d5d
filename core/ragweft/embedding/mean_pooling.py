"""Whether the vector a model gives a text is the mean of the vectors of its tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ragweft.errors import RecipeError

if TYPE_CHECKING:
    from ragweft.embedding.checkpoint import Checkpoint

__all__ = ["loaded", "refuse_other_pooling", "saved"]

_AFTER = frozenset({"Dense", "Dropout", "LayerNorm", "Normalize"})
"""Modules that work on one vector, wherever it was pooled from."""
_FLAG = "pooling_mode_"


def saved(checkpoint: Checkpoint) -> tuple[list[str], object]:
    """The kinds of the modules a model was saved as, and how it pools, read without its weights."""
    kinds: list[str] = []
    mode: object = None
    for module in checkpoint.modules:
        path, _, kind = str(module.get("type", "")).rpartition(".")
        kinds.append(kind if path.startswith("sentence_transformers.") else f"{path}.{kind}")
        if kind == "Pooling":
            mode = _mode(checkpoint.read(str(module.get("path", "")), "config.json"))
    return kinds, mode


def loaded(model: Any) -> tuple[list[str], object]:
    """The same of a loaded model."""
    modules = list(model)
    mode = getattr(modules[1], "pooling_mode", None) if len(modules) > 1 else None
    return [type(module).__name__ for module in modules], mode


def refuse_other_pooling(name: str, kinds: Sequence[str], mode: object) -> None:
    """See that a model made of *kinds* takes the mean of its tokens, and then works on that alone.

    Raises:
        RecipeError: it does not; the message says what it does instead.
    """
    if list(kinds[:2]) == ["Transformer", "Pooling"]:
        known = mode[0] if isinstance(mode, (list, tuple)) and len(mode) == 1 else mode
        others = [kind for kind in kinds[2:] if kind not in _AFTER]
        if known == "mean" and not others:
            return
        reason = f"it pools by {known!r}" if known != "mean" else f"{others[0]} follows its pooling"
    else:
        reason = f"it is made of {', '.join(kinds) or 'a checkpoint that was not trained to embed'}"
    raise RecipeError(
        f"{name}: late chunking takes the mean of a passage's tokens, but {reason}; choose a model that pools "
        "by the mean alone, or set late_chunking = false"
    )


def _mode(config: Mapping[str, Any]) -> object:
    """How a saved pooling module pools; older versions of the library wrote a flag for every mode."""
    if "pooling_mode" in config:
        return config["pooling_mode"]
    flags = [key.removeprefix(_FLAG) for key, on in config.items() if key.startswith(_FLAG) and on]
    return {"mean_tokens": "mean", "cls_token": "cls"}.get(flags[0], flags[0]) if len(flags) == 1 else flags
