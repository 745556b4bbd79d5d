"""Every error ragweft raises, in one tree.

    RagweftError
    ├── MissingExtra          an optional package is not installed (also an ImportError)
    ├── RecipeError           ragweft.toml or a Recipe holds an unknown key or a bad value (also a ValueError)
    ├── SpaceMismatch         vectors of one embedding space met an index of another
    ├── InvalidFilter         a `where` filter is malformed (also a ValueError)
    ├── LoadError             a document cannot be read or taken in
    ├── ProviderError         a provider's service failed; `retryable` says whether waiting helps
    ├── BudgetExceeded        going on would cost more than the caller allowed
    ├── IndexDamaged          files of an index are unreadable or inconsistent
    └── IndexLocked           the index belongs to somebody else: another writer, owner or machine

A message is one line: what happened, where, and what to do next.
"""

from __future__ import annotations

__all__ = [
    "BudgetExceeded",
    "IndexDamaged",
    "IndexLocked",
    "InvalidFilter",
    "LoadError",
    "MissingExtra",
    "ProviderError",
    "RagweftError",
    "RecipeError",
    "SpaceMismatch",
]


class RagweftError(Exception):
    """The root of everything ragweft raises on purpose."""


class MissingExtra(RagweftError, ImportError):
    """An optional package is needed and absent; `extra` names what to install."""

    def __init__(self, *, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed: run  pip install 'ragweft[{extra}]'")
        self.package = package
        self.extra = extra


class RecipeError(RagweftError, ValueError):
    """A recipe holds an unknown key or a bad value; the message names line and allowed values."""


class SpaceMismatch(RagweftError):
    """An index filled by one embedder was opened with another."""


class InvalidFilter(RagweftError, ValueError):
    """A `where` filter is malformed; the message names the operator or key."""


class LoadError(RagweftError):
    """A document cannot be read or taken in; the message names it and the reason."""


class ProviderError(RagweftError):
    """A provider's service failed; `retryable` tells whether the same call may succeed later."""

    def __init__(self, message: str, *, retryable: bool) -> None:
        super().__init__(message)
        self.retryable = retryable


class BudgetExceeded(RagweftError):
    """Going on would cost more than the caller allowed; what was done so far is kept."""


class IndexDamaged(RagweftError):
    """Files of an index are unreadable or inconsistent.

    Users meet it for the ledger only: a damaged follower is set aside and rebuilt by whoever meets it.
    """


class IndexLocked(RagweftError):
    """The index is held by another writer, belongs to another ledger, or lies where it cannot be shared."""
