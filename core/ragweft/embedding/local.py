"""A sentence-transformers model of this machine, whatever it is for: found at once, loaded at first use.

Importing torch takes seconds, so nothing is imported before there is something to compute. After that a model
works for one thread at a time: its tokenizer keeps the settings of the last call, and two passes side by side
are slower than one after the other.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ragweft.embedding.checkpoint import Checkpoint, find_checkpoint, name_of, window_of
from ragweft.errors import MissingExtra, ProviderError, RagweftError, RecipeError

if TYPE_CHECKING:
    from ragweft.types import Vectors

__all__ = [
    "LocalModel",
    "Turns",
    "allowed_in_a_program",
    "batches",
    "in_batches",
    "needed",
    "room_beside",
    "working",
]

_PACKAGE = "sentence_transformers"
_LOADING = threading.Lock()
"""transformers builds models under settings of the whole process, so they are loaded one at a time."""
_CLASSES = {
    "SentenceTransformer": ("SentenceTransformerEmbedder", "embedder"),
    "CrossEncoder": ("CrossEncoderReranker", "reranker"),
}
"""What is built of each, and as what `Index.open` takes it: a program may allow what a recipe must not."""
_LEAST_ROOM = 8
_WHOLE = {"text": {"truncation": False, "verbose": False}}


class Turns:
    """A lock given in the order it was asked for: between two batches of a sync a query has its turn."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[object] = deque()

    def __enter__(self) -> None:
        mine = object()
        with self._changed:
            self._waiting.append(mine)
            try:
                self._changed.wait_for(lambda: self._waiting[0] is mine)
            except BaseException:
                # Ctrl-C while waiting must not leave behind a turn that nobody takes.
                self._waiting.remove(mine)
                self._changed.notify_all()
                raise

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._waiting.popleft()
            self._changed.notify_all()


class LocalModel:
    """One model, its name, its window, and how to count with it."""

    def __init__(
        self,
        model: str | Path | object,
        *,
        kind: Literal["SentenceTransformer", "CrossEncoder"],
        name: str | None,
        device: str | None,
        dtype: str | None,
        window: int | None,
        trust_remote_code: bool,
        check: Callable[[Any, Checkpoint | None], None],
    ) -> None:
        """Find the model.

        *kind* is the class it is loaded as; *check* looks at what was loaded and raises what is wrong with it.

        Raises:
            MissingExtra: sentence-transformers is not installed.
            RecipeError: there is no such model here, or *window* is more than it has.
        """
        needed(_PACKAGE, extra="local")
        self._kind = kind
        self._device = device
        self._dtype = dtype
        self._window = window
        self._trusted = trust_remote_code
        self._check = check
        self._turns = Turns()
        self._once = threading.Lock()
        self.checkpoint: Checkpoint | None = None
        self._model: Any = None
        if isinstance(model, (str, Path)):
            organization = "cross-encoder" if kind == "CrossEncoder" else "sentence-transformers"
            self.checkpoint = find_checkpoint(model, organization=organization)
            self.name = name or self.checkpoint.name
            self._fits(self.checkpoint.positions)
        else:
            self.name = name or self._name_of(model)
            check(model, None)
            self._model = model
            self._fits(_window_of(model))

    @property
    def window(self) -> int | None:
        """Tokens it reads at once, prompt and special tokens among them; None: no limit."""
        model = self._model
        if model is None and self.checkpoint is not None:
            return self._window or self.checkpoint.window
        return min((n for n in (self._window, _window_of(model)) if n), default=None)

    @property
    def files(self) -> Checkpoint | None:
        """The folder it is loaded from, also of a model that was given loaded; None if that is not known."""
        if self.checkpoint is not None:
            return self.checkpoint
        saved = _saved_as(self._model)
        folder = Path(saved)
        if not saved or not _is_model(folder):
            return None
        return Checkpoint(name=name_of(folder.resolve()), folder=folder)

    @property
    def names(self) -> Sequence[str]:
        """What it is called here, and where it comes from."""
        files = self.files
        return [self.name, files.name if files is not None else _saved_as(self._model)]

    @property
    def digest(self) -> str:
        """Hex digits over what decides what it says, but for its window and prompts."""
        known = self.checkpoint.digest if self.checkpoint is not None else _digest_of(self._model)
        return f"{known}-{self._dtype}" if self._dtype else known

    def load(self) -> Any:
        """The model itself, its weights read now unless they were before.

        Raises:
            RecipeError: it cannot be loaded, or is not what it is used for.
        """
        if self._model is None and self.checkpoint is not None:
            with self._once:
                if self._model is None:
                    self._model = self._loaded(self.checkpoint)
        return self._model

    @contextmanager
    def turn(self) -> Iterator[Any]:
        """Have the loaded model to oneself within the block.

        Raises:
            RecipeError: it cannot be loaded.
            ProviderError: it failed.
        """
        model = self.load()
        with self._turns, working(self.name):
            yield model

    def count(self, text: str | tuple[str, str], *, prompt: str = "", task: str | None = None) -> int:
        """Tokens of a text or a pair as the model reads it, with prompt and special tokens, window or not."""
        with self.turn() as model:
            if hasattr(model[0], "processing_kwargs"):
                features = model.preprocess([text], prompt=prompt or None, task=task, processing_kwargs=_WHOLE)
                return int(features["input_ids"].shape[-1])
            # Modules a model brings itself cut what `preprocess` is asked about.
            first, *rest = (text,) if isinstance(text, str) else text
            return len(model.tokenizer(prompt + first, *rest, truncation=False, verbose=False)["input_ids"])

    def _loaded(self, checkpoint: Checkpoint) -> Any:
        with _loading(checkpoint, self._kind):
            model = getattr(importlib.import_module(_PACKAGE), self._kind)(
                str(checkpoint.folder),
                device=self._device,
                trust_remote_code=self._trusted,
                local_files_only=True,
                model_kwargs={"dtype": self._dtype} if self._dtype else None,
            )
            self._check(model, checkpoint)
            limit = _window_of(model)
            if self._window and limit is not None and limit < self._window:
                model.max_seq_length = self._window
        return model

    def _name_of(self, model: Any) -> str:
        saved = _saved_as(model)
        if not saved:
            made, _ = _CLASSES[self._kind]
            raise RecipeError(
                f"the model given does not say what it is called: give name, as in {made}(model, name='mine')"
            )
        folder = Path(saved)
        return name_of(folder.resolve()) if folder.is_absolute() or _is_model(folder) else saved

    def _fits(self, most: int | None) -> None:
        if self._window and most is not None and self._window > most:
            raise RecipeError(
                f"{self.name}: window = {self._window} is more than the {most} tokens it can read"
            )


def needed(package: str, *, extra: str) -> None:
    """Find out whether *package* is installed, without importing it.

    Raises:
        MissingExtra: it is not.
    """
    if importlib.util.find_spec(package) is None:
        raise MissingExtra(package=package.replace("_", "-"), extra=extra)


@contextmanager
def working(name: str) -> Iterator[None]:
    """Run a model called *name* within the block.

    Raises:
        ProviderError: it failed, for instance because memory ran out.
    """
    try:
        yield
    except RagweftError:
        raise
    # torch, onnxruntime and tokenizers have no class of errors in common.
    except Exception as error:
        short = "out of memory" in str(error).lower()
        advice = "use a smaller batch_size or window" if short else "check device, window and batch_size"
        raise ProviderError(f"{name}: the model failed ({_line(error)}); {advice}", retryable=False) from error


def batches(lengths: Sequence[int], size: int) -> Iterator[list[int]]:
    """Places in batches of *size*, longest first: texts of like length fill a batch with the least padding."""
    order = sorted(range(len(lengths)), key=lambda place: -lengths[place])
    for start in range(0, len(order), size):
        yield order[start : start + size]


def in_batches(
    embed: Callable[[Sequence[str]], Vectors], texts: Sequence[str], size: int
) -> Iterator[tuple[list[int], Vectors]]:
    """Places of *texts* and what *embed* makes of them, batch by batch."""
    for places in batches([len(text) for text in texts], size):
        yield places, embed([texts[place] for place in places])


def room_beside(spent: int, *, window: int, what: str, name: str) -> int:
    """Tokens of *window* that are left for a text beside the *spent* ones.

    Raises:
        ProviderError: too few.
    """
    if window - spent < _LEAST_ROOM:
        said = f"{name}: {what} takes {spent} of the {window} tokens of its window and leaves no room"
        raise ProviderError(f"{said}; shorten it", retryable=False)
    return window - spent


@contextmanager
def _loading(checkpoint: Checkpoint, kind: str) -> Iterator[None]:
    """Load a model within the block: without progress bars, and with errors that say what to do."""
    with _LOADING:
        bars = importlib.import_module("transformers.utils.logging")
        shown = bars.is_progress_bar_enabled()
        bars.disable_progress_bar()
        try:
            yield
        except RagweftError:
            raise
        # Damaged weights, unknown architectures and custom code raise whatever they like.
        except Exception as error:
            said = f"{checkpoint.name}: cannot be loaded from {checkpoint.folder} ({_line(error)})"
            raise RecipeError(f"{said}; {_remedy(error, checkpoint, kind)}") from error
        finally:
            if shown:
                bars.enable_progress_bar()


def _remedy(error: Exception, checkpoint: Checkpoint, kind: str) -> str:
    if "trust_remote_code" in str(error):
        how = allowed_in_a_program(checkpoint, kind, "trust_remote_code=True")
        return f"it runs code of its own: set trust_remote_code if you trust where it comes from, {how}"
    if isinstance(error, ImportError):
        return "install what it names"
    again = f"; run  hf download {checkpoint.name}  again" if "/" in checkpoint.name else ""
    return f"check that its files are complete{again}"


def _line(error: Exception) -> str:
    """The class and the first line of *error*."""
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "no reason given")
    return f"{type(error).__name__}: {first[:300]}"


def allowed_in_a_program(checkpoint: Checkpoint, kind: str, setting: str) -> str:
    """How a program allows what a recipe, which may come from anybody, must not."""
    made, role = _CLASSES[kind]
    model = checkpoint.name if "/" in checkpoint.name else str(checkpoint.folder)
    return f"in a program: Index.open(…, {role}={made}({model!r}, {setting}))"


def _saved_as(model: Any) -> str:
    """The name or folder a loaded *model* came from; "" if it does not say."""
    return str(getattr(getattr(model, "transformers_model", None), "name_or_path", "") or "")


def _is_model(folder: Path) -> bool:
    return (folder / "config.json").is_file() or (folder / "modules.json").is_file()


def _window_of(model: Any) -> int | None:
    inner = getattr(model, "transformers_model", None)
    config = inner.config.to_dict() if inner is not None else {}
    return window_of(getattr(model, "max_seq_length", None), config)


def _digest_of(model: Any) -> str:
    """What decides what a loaded *model* says: the first numbers of every tensor, and how they are pooled."""
    digest = hashlib.blake2b(digest_size=8)
    for module in model:
        digest.update(f"{type(module).__name__}:{getattr(module, 'pooling_mode', '')}".encode())
    for name, tensor in model.state_dict().items():
        digest.update(f"{name}:{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().flatten()[:16].float().cpu().numpy().tobytes())
    return digest.hexdigest()
