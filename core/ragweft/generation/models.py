"""What is known of generating models: windows, prices, what services keep. The facts are in `models.json`.

The table informs; it does not gate. A model that is not in it works all the same: its tokens are counted, its
price is not known. Every entry says where its facts come from, and when its price was read.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ragweft.generation.values import Keeps, Tokens

__all__ = ["GeneratingModel", "doubt_of", "find", "known_models"]

_MILLION = 1e6


def _nothing() -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratingModel:
    """One model. Prices are US dollars for a million tokens, None where they are not known."""

    provider: str
    """The word before the colon in a recipe."""
    name: str
    """The word after the colon."""
    window: int | None = None
    """Most tokens of question and answer together; None: not known."""
    input: float | None = None
    output: float | None = None
    write: float | None = None
    """Of a beginning the service keeps for minutes; None: as `input`."""
    write_hour: float | None = None
    """Of one it keeps for an hour; None: as `write`."""
    read: float | None = None
    """Of a beginning that was kept; None: as `input`."""
    batch: float | None = None
    """What share of every price is paid in a batch; None: there are none."""
    step: int | None = None
    """Tokens of a prompt above which the whole call costs more; None: no such step."""
    step_input: float = 1.0
    """How many times as much for what is read."""
    step_output: float = 1.0
    """How many times as much for what is written."""
    keeps: Keeps = "unasked"
    """Whether the service keeps equal beginnings: where it is asked to, of its own accord, or not."""
    least_kept: int = 1024
    """Tokens a beginning must have to be kept."""
    kept_step: int = 1
    """What is read again is a multiple of so many tokens."""
    density: float = 1.0
    """Tokens of four bytes of English, about."""
    thinks: bool = False
    """It cannot be told not to think: an answer needs room for thoughts, which are billed."""
    parameters: Mapping[str, Any] = field(default_factory=_nothing)
    """Sent with every request: what keeps the model from thinking at length, in its service's own words."""
    priced: str = ""
    """Year and month the price was read, as in "2026-11"."""
    notes: str = ""
    source: str = ""
    """Where these facts come from."""

    @property
    def label(self) -> str:
        """As a recipe names it: `anthropic:claude-haiku-5-5`."""
        return f"{self.provider}:{self.name}"

    @property
    def plain_window(self) -> int | None:
        """Most tokens of one call that are read, and billed without a surcharge."""
        sizes = [size for size in (self.window, self.step) if size is not None]
        return min(sizes, default=None)

    def usd(self, tokens: Tokens, *, batch: bool = False) -> float | None:
        """What one call is billed at: None without a price, or in a batch where there are none."""
        if self.input is None or self.output is None or (batch and self.batch is None):
            return None
        write = self.input if self.write is None else self.write
        hour = write if self.write_hour is None else self.write_hour
        read = self.input if self.read is None else self.read
        above = self.step is not None and tokens.prompt > self.step
        asked = (
            tokens.fresh * self.input
            + (tokens.written - tokens.lasting) * write
            + tokens.lasting * hour
            + tokens.cached * read
        ) * (self.step_input if above else 1.0)
        said = tokens.output * self.output * (self.step_output if above else 1.0)
        return (asked + said) / _MILLION * (self.batch if batch and self.batch is not None else 1.0)

    def at(self, *, input: float | None, output: float | None) -> GeneratingModel:  # noqa: A002
        """The model at other prices; what depends on `input` keeps its proportion to it."""
        changed = self
        if input is not None:
            share = 1.0 if not self.input else input / self.input
            changed = replace(
                self,
                input=input,
                write=_scaled(self.write, share),
                write_hour=_scaled(self.write_hour, share),
                read=_scaled(self.read, share),
            )
        return changed if output is None else replace(changed, output=output)


@cache
def known_models() -> Sequence[GeneratingModel]:
    """The models that ship with ragweft, read once."""
    text = files("ragweft.generation").joinpath("models.json").read_text(encoding="utf-8")
    return tuple(GeneratingModel(**entry) for entry in json.loads(text))


def find(provider: str, name: str) -> GeneratingModel | None:
    """The model called *name*, or whose dated version it is (`claude-haiku-4-5-20251001`); None: not known."""
    own = [model for model in known_models() if model.provider == provider]
    exact = [model for model in own if model.name == name]
    dated = [
        model for model in own if name.startswith(f"{model.name}-") and _is_date(name[len(model.name) + 1 :])
    ]
    return next(iter((*exact, *dated)), None)


def doubt_of(provider: str, name: str) -> str:
    """What to say of a model of *provider* that is not known: which one may be meant, or what is known."""
    own = [model.name for model in known_models() if model.provider == provider]
    if not own:
        return "set [context] usd_input and usd_output"
    close = difflib.get_close_matches(name, own, n=1)
    if close:
        return f"did you mean {provider}:{close[0]}?"
    return f"is the name right? known: {', '.join(f'{provider}:{known}' for known in own)}"


def _scaled(price: float | None, share: float) -> float | None:
    return None if price is None else price * share


def _is_date(text: str) -> bool:
    digits = text.replace("-", "")
    return len(digits) == 8 and digits.isdigit()
