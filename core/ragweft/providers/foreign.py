"""Objects of other packages: what they are called, what they raise, and the numbers they answer with.

They are known by their methods and attributes alone; none of their packages is imported.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MemberDescriptorType
from typing import TYPE_CHECKING, Any

import numpy as np

from ragweft.errors import ProviderError, RagweftError
from ragweft.providers.failures import failure_of, scrubbed

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "as_numbers",
    "asking",
    "digest_of_settings",
    "is_async",
    "label",
    "method",
    "model_of",
    "packages",
    "prompts_of",
    "stable_name",
]

_MODEL_ATTRIBUTES = ("model", "model_name", "model_id")
_WRAPPED_ATTRIBUTES = ("embedding_function", "underlying_embeddings")
"""Where Chroma's bridge to LangChain and LangChain's cache keep the embedder that does the work."""
_NAMELESS = frozenset({"", "unknown", "default"})
"""LlamaIndex calls a model without a name "unknown"."""
_PROMPT_ATTRIBUTES = (
    "default_prompt_name",
    "embed_instruction",
    "encode_kwargs",
    "input_type",
    "prompts",
    "query_encode_kwargs",
    "query_instruction",
    "task",
    "task_type",
    "text_instruction",
)
"""Where embedders keep what they put before a text: other words, other vectors."""
_INCIDENTAL = frozenset({"api_key_env_var", "device", "preferred_providers"})
"""Settings that leave the vectors as they are."""
_SECRETS = (
    # Some clients put the key into the address, and the address into the message.
    (re.compile(r"(\bhttps?://[^\s?#]+)\?[^\s'\")]*"), r"\1"),
    (re.compile(r"(\bhttps?://)[^\s/@'\"]+@"), r"\1[key]@"),
    # Others repeat a request's headers, or what they were made with.
    (re.compile(r"\b(Bearer)\s+[^\s'\",;)}\]]+", re.IGNORECASE), r"\1 [key]"),
    (re.compile(r"\b(Basic)\s+[A-Za-z0-9+/=]{16,}", re.IGNORECASE), r"\1 [key]"),
    (
        re.compile(
            r"((?:api[-_ ]?key|token|secret|password|authorization)(?:['\"]?\s*=\s*['\"]?|['\"]\s*:\s*['\"]))"
            r"(?!Bearer\b|Basic\b)[^\s'\",;)}\]]{6,}",
            re.IGNORECASE,
        ),
        r"\1[key]",
    ),
    (re.compile(r"\bsk-[\w*.…-]{8,}|\bAIza[\w-]{8,}|\bhf_[A-Za-z]{20,}|\b[0-9a-fA-F]{32,}\b"), "[key]"),
)
"""What looks like a secret in a message, and what is said instead; which key an object holds nobody knows."""
_RUN = re.compile(r"[A-Za-z0-9+/=_-]{20,}")
_TURN = re.compile(r"(?<=[a-z])(?=[A-Z0-9])|(?<=[A-Z])(?=[a-z0-9])|(?<=[0-9])(?=[A-Za-z])")
"""Where one kind of sign follows another: at every second place of what is random, seldom in a name."""
_TURNS = 0.25
_READ = 4_000
"""Characters of a message that are looked through; a few hundred are repeated."""


@contextmanager
def asking(name: str) -> Iterator[None]:
    """Whatever an object's own code raises within the block becomes a `ProviderError` of one line.

    Raises:
        ProviderError: it failed; `retryable` if its error looks like a service's that may pass.
    """
    try:
        yield
    except RagweftError:
        raise
    except Exception as error:
        failure = failure_of(error)
        message = _without_secrets(failure.message if failure is not None else str(error))
        said = f"{type(error).__name__}: {scrubbed(message, ())}".removesuffix(": ")
        retryable = failure is not None and failure.retryable
        advice = "try again later" if retryable else "mend the object that was given"
        raise ProviderError(f"{name}: {said}; {advice}", retryable=retryable) from error


def _without_secrets(text: str) -> str:
    text = text[:_READ]
    for looks, instead in _SECRETS:
        text = looks.sub(instead, text)
    return _RUN.sub(lambda run: _hidden(run[0]), text)


def _hidden(run: str) -> str:
    """*run*, or the parts of a path, without what is random."""
    if _random(run):
        return "[key]"
    return "/".join("[key]" if len(part) >= 20 and _random(part) else part for part in run.split("/"))


def _random(run: str) -> bool:
    """Whether *run* is no name: long hexadecimal and base64 numbers, and most keys."""
    digits, letters = sum(map(str.isdigit, run)), sum(map(str.isalpha, run))
    return min(digits, letters) > 1 and sum(1 for _ in _TURN.finditer(run)) >= _TURNS * len(run)


def as_numbers(answer: object, name: str) -> NDArray[np.float64]:
    """Numbers in lists, arrays, tensors or a generator as one array.

    Raises:
        ProviderError: they are of different lengths, or are no numbers.
    """
    if inspect.iscoroutine(answer):
        answer.close()
    try:
        numbers = np.asarray(_plain(answer))
    except ValueError as error:
        said = "what came back differs in length from text to text"
        raise ProviderError(f"{name}: {said}; mend the object that was given", retryable=False) from error
    if numbers.dtype.kind not in "fiu":
        said = f"a {type(answer).__name__} came back that does not hold numbers alone"
        raise ProviderError(f"{name}: {said}; mend the object that was given", retryable=False)
    return numbers.astype(np.float64)


def method(thing: object, name: str) -> Callable[..., Any] | None:
    """The method of that name, if *thing* has it."""
    found = getattr(thing, name, None)
    return found if callable(found) else None


def is_async(call: object) -> bool:
    """Whether calling it gives something to wait for: a coroutine function, or an object that is one."""
    return inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(type(call).__call__)


def label(thing: object) -> str:
    """Package and class, as in "langchain_openai.OpenAIEmbeddings": stays when a package moves its modules."""
    kind = type(thing)
    return f"{kind.__module__.partition('.')[0]}.{kind.__name__}"


def packages(thing: object) -> dict[str, set[str]]:
    """The packages that *thing*'s classes are from, and of each the names of these classes."""
    found: dict[str, set[str]] = {}
    for kind in type(thing).__mro__:
        found.setdefault(kind.__module__.partition(".")[0], set()).add(kind.__name__)
    return found


def model_of(thing: object) -> str:
    """The name in *thing*'s attribute `model`, `model_name` or `model_id`; "" if there is none."""
    for attribute in _MODEL_ATTRIBUTES:
        # Looked up without running code: behind `model` some classes load one.
        held = inspect.getattr_static(thing, attribute, None)
        if isinstance(held, MemberDescriptorType) or (isinstance(held, property) and attribute != "model"):
            held = getattr(thing, attribute, None)
        if isinstance(held, str) and held.strip().lower() not in _NAMELESS:
            return " ".join(held.split())
    return ""


def stable_name(thing: object) -> str:
    """A name that holds in every process and tells *thing* from one with another model; "" if there is none.

    Class and model; of a wrapper the name of what it wraps; of a Chroma embedding function without a model its
    `name()` and a digest of its settings.
    """
    model = model_of(thing)
    if model:
        return "" if _is_folder(model) else f"{label(thing)}:{model}"
    for attribute in _WRAPPED_ATTRIBUTES:
        if (wrapped := inspect.getattr_static(thing, attribute, None)) is not None:
            return stable_name(wrapped)
    name, config = method(thing, "name"), method(thing, "get_config")
    if name is None or config is None:
        return ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Chroma's, at functions from before they had names
        said, held = name(), config()
    if not isinstance(said, str):
        return ""
    kept = (
        {key: value for key, value in held.items() if key not in _INCIDENTAL} if isinstance(held, dict) else {}
    )
    return f"chroma.{said}:{digest_of_settings(kept)}".removesuffix(":")


def prompts_of(thing: object) -> dict[str, object]:
    """The words *thing* itself puts before texts, as far as it shows them."""
    said: dict[str, object] = {}
    for attribute in _PROMPT_ATTRIBUTES:
        held = inspect.getattr_static(thing, attribute, None)
        if isinstance(held, Mapping):
            words = {str(key): value for key, value in held.items() if isinstance(value, str) and value}
            held = {key: value for key, value in words.items() if key not in _INCIDENTAL}
        if held and isinstance(held, (str, dict)):
            said[attribute] = held
    return said


def digest_of_settings(settings: Mapping[str, object]) -> str:
    """12 hex digits that change with *settings*; "" if there are none."""
    if not settings:
        return ""
    # The name of a type in the place of what JSON cannot hold: a repr may change from process to process.
    text = json.dumps(settings, sort_keys=True, default=lambda value: type(value).__name__)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def _is_folder(model: str) -> bool:
    # A folder holds one model on this machine and another on the next.
    path = Path(model)
    return path.is_absolute() or model.startswith((".", "~")) or (len(path.parts) > 1 and path.is_dir())


def _plain(answer: Any) -> Any:
    if hasattr(answer, "detach"):  # a tensor, perhaps on another device or of a type NumPy does not know
        return answer.detach().cpu().float().numpy()
    if isinstance(answer, (list, tuple, Iterator)):
        return [_plain(row) if hasattr(row, "detach") else row for row in answer]
    return answer
