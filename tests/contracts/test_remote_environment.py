"""What SDKs read from the environment: not all of it is meant for the service that a recipe names."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from provider_double.chat import ChatDouble
from ragweft.embedding.services import connect
from ragweft.generation import Generation, Prompt
from ragweft.generation.services import connect as connect_generator
from ragweft.recipe import Embedding, Rerank
from ragweft.reranking.services import connect as connect_reranker
from ragweft.types import Chunk, Citation, Hit

if TYPE_CHECKING:
    from provider_double import ProviderDouble
    from ragweft.embedding.remote import RemoteEmbedder

pytestmark = pytest.mark.filterwarnings("ignore:The 'warn' method is deprecated:DeprecationWarning")
KEY = "sk-test-0123456789abcdefghij"
MODELS = [
    ("cohere", "embed-v4.0"),
    ("voyage", "voyage-4"),
    ("voyage", "voyage-context-4"),
    ("openai", "text-embedding-3-small"),
    ("ollama", "all-minilm"),
    ("jina", "jina-embeddings-v3"),
    ("mistral", "mistral-embed"),
    ("nomic", "nomic-embed-text-v1.5"),
    ("google", "gemini-embedding-2"),
]
SDKS = ("cohere", "voyage", "openai", "nomic", "google")
"""One provider for each client library."""
SECRETS = {
    "OPENAI_ORG_ID": "org-SECRET",
    "OPENAI_PROJECT_ID": "proj-SECRET",
    "OPENAI_ADMIN_KEY": "sk-admin-SECRET",
    "OPENAI_CUSTOM_HEADERS": "X-Team: SECRET\nauthorization: Bearer SECRET",
    "OPENAI_WEBHOOK_SECRET": "whsec-SECRET",
    "GOOGLE_GENAI_USE_VERTEXAI": "true",
    "GOOGLE_GENAI_USE_ENTERPRISE": "true",
    "GOOGLE_GENAI_API_VERSION": "v1beta1",
    "GOOGLE_CLOUD_PROJECT": "project-SECRET",
    "GOOGLE_CLOUD_LOCATION": "location-SECRET",
    "GOOGLE_API_KEY": "google-SECRET",
    "GOOGLE_GEMINI_BASE_URL": "http://127.0.0.1:9/SECRET",
    "GOOGLE_VERTEX_BASE_URL": "http://127.0.0.1:9/SECRET",
    "OPENAI_BASE_URL": "http://127.0.0.1:9/SECRET",
    "CO_API_URL": "http://127.0.0.1:9/SECRET",
    "CO_API_KEY": "cohere-SECRET",
    "VOYAGE_API_KEY": "voyage-SECRET",
    "VOYAGE_API_KEY_PATH": "/nowhere/SECRET",
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    file = tmp_path / "netrc"
    file.write_text("default login SECRET password SECRET\n")
    file.chmod(0o600)
    monkeypatch.setenv("NETRC", str(file))


def embedder(double: ProviderDouble, provider: str, model: str) -> RemoteEmbedder:
    chosen = Embedding(model=f"{provider}:{model}", base_url=double.base(provider))
    return connect(provider, model, chosen, key=KEY)


def in_every_way(one: RemoteEmbedder) -> None:
    async def ask() -> None:
        await one.aembed_query("gamma")
        await one.aclose()

    one.embed_documents(["alpha"])
    one.embed_query("beta")
    asyncio.run(ask())
    one.close()


def key_of(headers: Mapping[str, str]) -> str:
    return headers.get("x-goog-api-key") or headers.get("authorization", "").removeprefix("Bearer ")


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize(("provider", "model"), MODELS)
def test_nothing_of_it_goes_to_the_service_a_recipe_names(
    double: ProviderDouble, provider: str, model: str
) -> None:
    in_every_way(embedder(double, provider, model))
    assert [request.status for request in double.requests] == [200, 200, 200]
    for request in double.requests:
        assert key_of(request.headers) == KEY
        assert "SECRET" not in f"{request.headers} {request.path} {request.body}"
        assert not [name for name in request.headers if name.startswith("openai-")]


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize(
    ("provider", "model"),
    [("cohere", "rerank-v3.5"), ("voyage", "rerank-2.5"), ("jina", "jina-reranker-v2-base-multilingual")],
)
def test_nor_to_a_reranker(double: ProviderDouble, provider: str, model: str) -> None:
    hit = Hit(
        chunk=Chunk(id="1", document_id="d", text="somebody", context=""),
        score=1.0,
        origins={},
        citation=Citation(source="d", uri="d"),
    )
    chosen = Rerank(model=f"{provider}:{model}", base_url=double.base(provider))
    one = connect_reranker(provider, model, chosen, key=KEY)
    one.rerank("who?", [hit, hit])
    one.close()
    (request,) = double.requests
    assert key_of(request.headers) == KEY
    assert "SECRET" not in f"{request.headers} {request.path} {request.body}"


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize(("provider", "model"), [("openai", "gpt-6-luna"), ("google", "gemini-3.5-flash-lite")])
def test_nor_to_what_generates(provider: str, model: str) -> None:
    with ChatDouble() as chat:
        chosen = Generation(model=f"{provider}:{model}", base_url=chat.base(provider))
        one = connect_generator(provider, model, chosen, key=KEY)
        one.generate(Prompt(prefix="Who was it? ", rest="somebody"), max_tokens=50)
        one.close()
    (request,) = chat.requests
    assert request.status == 200
    assert key_of(request.headers) == KEY
    assert "SECRET" not in f"{request.headers} {request.path} {request.body}"
    assert not [name for name in request.headers if name.startswith("openai-")]


def test_an_address_of_the_environment_gets_what_is_meant_for_it(
    double: ProviderDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who sets OPENAI_BASE_URL sets the rest for the gateway there."""
    monkeypatch.setenv("OPENAI_BASE_URL", double.base("openai"))
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-1")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Team: search")
    model = "text-embedding-3-small"
    one = connect("openai", model, Embedding(model=f"openai:{model}"), key=KEY)
    in_every_way(one)
    for request in double.requests:
        assert request.headers["openai-organization"] == "org-1"
        assert request.headers["openai-project"] == "proj-1"
        assert request.headers["x-team"] == "search"
        assert key_of(request.headers) == KEY


@pytest.mark.parametrize("way", ["documents", "query"])
@pytest.mark.parametrize("status", [505, 529])
@pytest.mark.parametrize(("provider", "model"), [case for case in MODELS if case[0] in SDKS])
def test_every_status_that_passes_is_tried_again(
    double: ProviderDouble, provider: str, model: str, status: int, way: str
) -> None:
    """Voyage's SDK takes those it does not know for answers."""
    double.fail(provider, status=status, headers={"retry-after": "0"})
    one = embedder(double, provider, model)
    found = one.embed_documents(["alpha"])[0] if way == "documents" else one.embed_query("alpha")
    one.close()
    assert found.shape == (one.space.dims,)
    assert [request.status for request in double.requests] == [status, 200]
