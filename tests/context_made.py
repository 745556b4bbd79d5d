"""Documents, chunks and generators for tests of contexts that a language model writes."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragweft.context import LLMContextualizer, OutlineContextualizer
from ragweft.embedding.static import StaticEmbedder
from ragweft.generation import Generation, Generator, resolve_generator
from ragweft.generation.models import find
from ragweft.generation.remote import GenerationConnection, RemoteGenerator
from ragweft.ledger.context_store import ContextStore
from ragweft.providers.keys import Secret
from ragweft.providers.policy import Caller
from ragweft.types import Chunk, Document, Span, chunk_id

if TYPE_CHECKING:
    from provider_double.chat import ChatDouble

KEY = "sk-double-right-3nTq8"
HAIKU = "anthropic:claude-haiku-5-5"
_WORDS = [
    "harbour",
    "crane",
    "cargo",
    "tide",
    "pilot",
    "rope",
    "anchor",
    "ledger",
    "freight",
    "customs",
    "lantern",
    "quay",
    "winch",
    "barge",
    "convoy",
    "signal",
    "mast",
    "hull",
    "ballast",
    "rigging",
    "compass",
    "chart",
    "sounding",
    "beacon",
    "fender",
    "hawser",
    "bollard",
    "dredger",
    "tug",
    "ferry",
    "manifest",
    "stowage",
]


@cache
def words() -> StaticEmbedder:
    """The tokenizer of every test."""
    return StaticEmbedder()


def paragraph(number: int, *, length: int = 90) -> str:
    """Some hundred words that no other paragraph has in this order."""
    chance = random.Random(number)
    body = " ".join(chance.choice(_WORDS) for _ in range(length))
    return f"Berth{number} reports: {body}."


def document(
    paragraphs: int | Sequence[str], *, name: str = "port", title: str | None = "Port log"
) -> Document:
    """A document of paragraphs."""
    texts = [paragraph(n) for n in range(paragraphs)] if isinstance(paragraphs, int) else list(paragraphs)
    return Document(id=name, text="\n\n".join(texts), title=title)


def cut(whole: Document) -> list[Chunk]:
    """One chunk for each paragraph."""
    chunks, start = [], 0
    for ordinal, text in enumerate(whole.text.split("\n\n")):
        span = Span(start=start, end=start + len(text))
        chunks.append(
            Chunk(
                id=chunk_id(whole.id, span, text), document_id=whole.id, text=text, ordinal=ordinal, span=span
            )
        )
        start += len(text) + 2
    return chunks


def generator(double: ChatDouble, model: str = HAIKU, **settings: Any) -> Generator:
    """A generator that reaches the double; OpenAI's marking models as if it were OpenAI."""
    provider, _, name = model.partition(":")
    listed = find(provider, name)
    if provider == "openai" and listed is not None:
        from ragweft.generation.wires.openai import OpenAIBatchWire

        def reach() -> GenerationConnection:
            wire = OpenAIBatchWire(
                name,
                key=Secret(KEY),
                base_url=double.base("openai"),
                own=True,
                marks=listed.keeps == "asked",
                parameters=listed.parameters,
            )
            return GenerationConnection(caller=Caller("openai", secrets=(KEY,)), wire=wire)

        window = settings.pop("window", listed.plain_window)
        return RemoteGenerator(reach, model=listed, window=window, at_once=4, batches=True, **settings)
    return resolve_generator(
        Generation(model=model, base_url=double.base(provider), **settings), key=settings.pop("key", KEY)
    )


def outline() -> OutlineContextualizer:
    """What stands in for a context that could not be had."""
    return OutlineContextualizer(tokenizer=words())


def contextualizer(
    asked: object, store: Path | ContextStore | None = None, **settings: Any
) -> LLMContextualizer:
    """A contextualizer over *asked*, which keeps what it gets in *store*."""
    memory = ContextStore(store) if isinstance(store, Path) else store
    return LLMContextualizer(asked, outline=outline(), tokenizer=words(), memory=memory, **settings)
