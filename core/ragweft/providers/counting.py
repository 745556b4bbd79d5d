"""How many tokens a text may be billed as by a service whose tokenizer is not here."""

from __future__ import annotations

__all__ = ["bound_of"]

_BYTES_PER_TOKEN = 2.5
"""Less than byte-pair tokenizers average on prose, code or CJK text, so that a budget errs on the safe side;
what is charged in the end is what the service says it billed."""


def bound_of(text: str) -> int:
    """Rather more tokens than *text* has."""
    return int(len(text.encode()) / _BYTES_PER_TOKEN) + 4
