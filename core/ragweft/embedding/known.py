"""What the registry knows of a model on this machine, whatever it is called here.

A folder is seldom named as its model is on the hub, and a model that was saved again may have lost the prompts
it does much worse without. So its description and its card are asked, too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ragweft.providers.registry import Model, load

if TYPE_CHECKING:
    from ragweft.embedding.checkpoint import Checkpoint

__all__ = ["Known", "prompts_in_words", "recognised"]

_PROVIDER = "sentence-transformers"
_SIZE = re.compile(r"\d+(\.\d+)?[mb]")
_INCIDENTAL = frozenset({"base", "en", "large", "multilingual", "small", "text"})
"""Words of a name that tell members of one family apart, as sizes do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a model was recognised as."""

    model: Model | None = None
    """The listed model it is."""
    kin: Model | None = None
    """Otherwise one it seems to be made from, or of the family of, that wants words before its texts."""


def recognised(*names: str, checkpoint: Checkpoint | None) -> Known:
    """A model by the *names* it goes by, and by what its files in *checkpoint* say."""
    origin = checkpoint.saved_from if checkpoint is not None else ""
    found = _listed(names)
    if found is None and checkpoint is not None and (copied := _listed([origin])) is not None:
        # Whoever trained it further may have done so without its prompts, or with others.
        found = None if checkpoint.trained_further else copied
    if found is not None:
        return Known(model=found)
    return Known(kin=_kin([*names, origin, checkpoint.base if checkpoint is not None else ""]))


def prompts_in_words(model: Model) -> str:
    """What it wants before its texts: `'query: ' before questions and 'passage: ' before texts`."""
    said = {"questions": model.query_prompt, "texts": model.document_prompt}
    return " and ".join(f"{prompt!r} before {what}" for what, prompt in said.items() if prompt)


def _listed(names: Sequence[str]) -> Model | None:
    found = (load().find(_PROVIDER, name, kind="embedder") for name in names if name)
    return next((model for model in found if model is not None), None)


def _kin(names: Sequence[str]) -> Model | None:
    """Of the models with prompts whose family one of *names* names, the one it shares most words with."""
    prompted = [
        model
        for model in load().embedders
        if model.provider == _PROVIDER and (model.query_prompt or model.document_prompt)
    ]
    best, most = None, 0
    for own in map(_words, names):
        for model in prompted:
            words = _words(model.name)
            family = frozenset(word for word in words - _INCIDENTAL if not _SIZE.fullmatch(word))
            if family <= own and len(words & own) > most:
                best, most = model, len(words & own)
    return best


def _words(name: str) -> frozenset[str]:
    # A path, or an organisation before the name, says nothing of the family.
    return frozenset(re.findall(r"[a-z0-9.]+", name.rstrip("/").rpartition("/")[2].lower()))
