"""A saved model as its files describe it, read without torch: where it is and what it makes.

Importing torch takes seconds, so an index is opened by these files alone and weights are read at first use.
Nothing is ever downloaded: a name is looked up in this machine's Hugging Face cache, or it is an error that
says how to get the model there. A search must not wait for gigabytes, nor retry where there is no network.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragweft.errors import RecipeError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["Checkpoint", "find_checkpoint", "fingerprint", "name_of", "read_tokenizer", "window_of"]

_HUB_NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?", re.ASCII)
_OWN_CLASSES = "sentence_transformers."
_POOLING = "pooling_mode_"
_FLAT = frozenset({"Transformer", "Pooling", "Dense"})
"""Modules that keep what they need in their own folder."""
_PASSING = frozenset({"Normalize", "Dropout", "LayerNorm"})
"""Modules that leave the size of a vector alone."""
_SIZES = ("hidden_size", "d_model", "dim", "n_embd")
_OFFSET_POSITIONS = frozenset(
    {"camembert", "data2vec-text", "longformer", "luke", "mpnet", "roberta", "xlm-roberta", "xlm-roberta-xl"}
)
"""Model types whose position numbers begin after the padding token's, which costs that many tokens."""
_DESCRIBING = (
    "config.json",
    "config_sentence_transformers.json",
    "modules.json",
    "router_config.json",
    "sentence_*_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
    "*.model",
)
_SHORTER = ("matryoshka_dimensions", "matryoshka_dims")
"""Where models say to which sizes their vectors may be cut."""
_CARD_HEAD = re.compile(r"\s*---\n(.*?)\n---", re.DOTALL)
_CARD_BASE = re.compile(r"^base_model:(?:[ \t]*\n[ \t]*-)?[ \t]*[\"']?([\w./-]+)", re.MULTILINE)
_CARD_TRAINED = "generated_from_trainer"
"""A tag sentence-transformers gives every model its trainer has trained."""
_UNLIMITED = 10**9
_SAMPLES = 64
_SAMPLE_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A model's folder."""

    name: str
    """As on the hub ("BAAI/bge-m3"), or the folder's own."""
    folder: Path

    def read(self, *path: str) -> Any:
        """What a JSON file below the folder says; an empty mapping if there is no such file.

        Raises:
            RecipeError: it cannot be read or is not JSON.
        """
        file = self.folder.joinpath(*path)
        if not file.is_file():
            return {}
        try:
            return json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RecipeError(f"{file}: cannot be read as JSON ({error}); get the model again") from None

    @property
    def modules(self) -> list[Mapping[str, Any]]:
        """The chain sentence-transformers saved it as; empty for a plain transformers checkpoint."""
        return list(self.read("modules.json") or ())

    @property
    def kind(self) -> str:
        """What sentence-transformers saved it as, such as "SentenceTransformer" or "CrossEncoder"."""
        return str(self.read("config_sentence_transformers.json").get("model_type", "SentenceTransformer"))

    @property
    def prompts(self) -> Mapping[str, str | None]:
        """The prompts it was saved with, by their names."""
        return dict(self.read("config_sentence_transformers.json").get("prompts") or {})

    @property
    def vector_size(self) -> int | None:
        """Numbers in one of its vectors; None where only the loaded model can tell."""
        size: int | None = None
        for module in self.modules:
            kind = str(module.get("type", "")).rpartition(".")[2]
            if not str(module.get("type", "")).startswith(_OWN_CLASSES):
                return None
            if kind == "Transformer":
                config = self.read(str(module.get("path", "")), "config.json")
                size = next((int(config[key]) for key in _SIZES if isinstance(config.get(key), int)), None)
            elif kind == "Pooling":
                size = _pooled(self.read(str(module.get("path", "")), "config.json"))
            elif kind == "Dense":
                size = self.read(str(module.get("path", "")), "config.json").get("out_features")
            elif kind not in _PASSING:
                return None
            if size is None:
                return None
        cut = self.read("config_sentence_transformers.json").get("truncate_dim")
        return min(size, int(cut)) if size is not None and cut else size

    @property
    def shorter_sizes(self) -> frozenset[int]:
        """Sizes its files say its vectors may be cut to (Matryoshka); empty where they say nothing."""
        files = (self._config(), self.read("config_sentence_transformers.json"))
        said = [file.get(key) for file in files for key in _SHORTER]
        return frozenset(n for sizes in said if isinstance(sizes, list) for n in sizes if isinstance(n, int))

    @property
    def saved_from(self) -> str:
        """What it was loaded from before it was saved, a hub's name or a folder; "" if it does not say."""
        return str(self._config().get("_name_or_path") or "")

    @property
    def base(self) -> str:
        """The model its card says it was made from; "" if it does not say.

        Raises:
            RecipeError: the card cannot be read.
        """
        found = _CARD_BASE.search(self._card())
        return found[1] if found else ""

    @property
    def trained_further(self) -> bool:
        """Whether its card says that somebody trained it after it was loaded from elsewhere.

        Raises:
            RecipeError: the card cannot be read.
        """
        return _CARD_TRAINED in self._card()

    @property
    def positions(self) -> int | None:
        """The most tokens it has positions for; None if unlimited or not known."""
        return _positions(self.read("config.json"))

    @property
    def window(self) -> int | None:
        """Tokens of one text it was saved to read; None where only the loaded model can tell."""
        config = self.read("config.json")
        for file in sorted(self.folder.glob("sentence_*_config.json")):
            declared = self.read(file.name).get("max_seq_length")
            if isinstance(declared, int):
                return window_of(declared, config)
        limit = self.read("tokenizer_config.json").get("model_max_length")
        known = [n for n in (window_of(limit, {}), self.positions) if n]
        return min(known) if known else None

    @property
    def digest(self) -> str:
        """16 hex digits over what decides its vectors, whatever else lies in the folder."""
        folders = {self.folder, *(self.folder / str(module.get("path", "")) for module in self.modules)}
        kinds = {str(module.get("type", "")).rpartition(".")[2] for module in self.modules}
        if not kinds <= _FLAT | _PASSING:
            # Such a module may keep others below itself.
            folders.update(place for place in self.folder.rglob("*") if place.is_dir())
        files: list[Path] = []
        for folder in sorted(folders):
            weights = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("pytorch_model*.bin"))
            described = {file for pattern in _DESCRIBING for file in folder.glob(pattern)}
            files += [*sorted(described), *weights]
        return fingerprint(files)

    def _config(self) -> Mapping[str, Any]:
        """The description of its first module, which is the model but for its pooling."""
        first = next(iter(self.modules), {})
        found: Mapping[str, Any] = self.read(str(first.get("path", "")), "config.json")
        return found

    def _card(self) -> str:
        """The head of its README.md, which is written for machines; "" without one."""
        file = self.folder / "README.md"
        if not file.is_file():
            return ""
        try:
            text = file.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise RecipeError(f"{file}: cannot be read ({error.strerror}); check its permissions") from None
        head = _CARD_HEAD.match(text)
        return head[1] if head else ""

    def weight_names(self) -> frozenset[str]:
        """Names of the saved tensors; empty where they lie in another format than safetensors.

        Raises:
            RecipeError: a file of weights is damaged.
        """
        from safetensors import SafetensorError, safe_open

        names: set[str] = set()
        for file in self.folder.glob("*.safetensors"):
            try:
                with safe_open(file, framework="np") as tensors:
                    names.update(tensors.keys())
            except (OSError, SafetensorError) as error:
                raise RecipeError(f"{file}: damaged ({error}); get the model again") from None
        return frozenset(names)

    def tokenizer(self) -> Tokenizer | None:
        """Its tokenizer without padding and truncation; None where only the loaded model has the right one."""
        file = self.folder / "tokenizer.json"
        first = next(iter(self.modules), {})
        lowered = any(
            self.read(file.name).get("do_lower_case") for file in self.folder.glob("sentence_*_config.json")
        )
        plain = str(first.get("type", "")).startswith(_OWN_CLASSES) and not first.get("path")
        if lowered or not plain or not file.is_file():
            return None
        return read_tokenizer(file)


def read_tokenizer(file: Path) -> Tokenizer:
    """The tokenizer of a `tokenizer.json`, without padding and truncation.

    Raises:
        RecipeError: the file holds none.
    """
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(file))
    # What the Rust side raises has no class of its own.
    except Exception as error:  # noqa: BLE001
        raise RecipeError(f"{file}: holds no tokenizer ({error}); get the model again") from None
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def find_checkpoint(model: str | Path, *, organization: str) -> Checkpoint:
    """The folder *model* names: a path, or a name on the hub whose files are in this machine's cache.

    A name without an owner is looked up under *organization*, as sentence-transformers does.

    Raises:
        RecipeError: it is neither.
    """
    folder = Path(model).expanduser()
    if str(model) and folder.is_dir():
        folder = folder.resolve()
        return Checkpoint(name=name_of(folder), folder=folder)
    if isinstance(model, Path) or folder.exists() or not _HUB_NAME.fullmatch(model):
        raise RecipeError(
            f"model {str(model)!r}: no such folder; give the folder of a saved model, or its name"
        )
    name = model if "/" in model else f"{organization}/{model}"
    cached = _in_cache(name)
    if cached is None:
        raise RecipeError(
            f"model {model!r} is not on this machine and is not downloaded while you wait: "
            f"run  hf download {name}  once, or give the path of its folder"
        )
    return Checkpoint(name=name, folder=cached)


def fingerprint(files: Iterable[Path]) -> str:
    """16 hex digits over names, sizes and samples of *files*: a digest of whole weights would take seconds."""
    digest = hashlib.blake2b(digest_size=8)
    for path in files:
        size = path.stat().st_size
        digest.update(f"{path.name}:{size}\n".encode())
        with path.open("rb") as file:
            for place in range(0, size, max(_SAMPLE_BYTES, size // _SAMPLES)):
                file.seek(place)
                digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()


def window_of(limit: float | None, config: Mapping[str, Any]) -> int | None:
    """Tokens a model reads at once whose tokenizer ends at *limit*; None: no limit.

    Without a limit tokenizers say 10^30. Types that spend positions on padding may say more than they can read.
    """
    positions = _positions(config)
    if limit is None or not 0 < limit < _UNLIMITED:
        return positions
    if positions is not None and config.get("model_type") in _OFFSET_POSITIONS:
        return min(int(limit), positions)
    return int(limit)


def _positions(config: Mapping[str, Any]) -> int | None:
    most = config.get("max_position_embeddings")
    if not isinstance(most, int) or most <= 0:
        return None
    spent = int(config.get("pad_token_id") or 0) + 1 if config.get("model_type") in _OFFSET_POSITIONS else 0
    return most - spent


def _pooled(config: Mapping[str, Any]) -> int | None:
    """The size of what a pooling module gives: that of a token for each of its modes."""
    size = config.get("embedding_dimension", config.get("word_embedding_dimension"))
    mode = config.get("pooling_mode")
    older = sum(1 for key, on in config.items() if key.startswith(_POOLING) and on)
    modes = len(mode) if isinstance(mode, list) else 1 if mode else max(1, older)
    return int(size) * modes if isinstance(size, int) else None


def name_of(folder: Path) -> str:
    """The hub's name of a folder in its cache, models--owner--name/snapshots/commit, else the folder's own."""
    repository = folder.parent.parent.name
    if folder.parent.name == "snapshots" and repository.startswith("models--"):
        return repository.removeprefix("models--").replace("--", "/")
    return folder.name


def _in_cache(name: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    for file in ("modules.json", "config.json"):
        try:
            found = try_to_load_from_cache(name, file, cache_dir=os.environ.get("SENTENCE_TRANSFORMERS_HOME"))
        except ValueError:
            # Not a name the hub would give.
            return None
        if isinstance(found, str):
            return Path(found).parent
    return None
