"""Connections to Chroma and what their failures mean. Only this module imports chromadb when it runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragweft.errors import IndexDamaged, IndexLocked, ProviderError, RagweftError
from ragweft.vectors.chroma_metadata import CLOUD, EMBEDDED, SERVER, Limits
from ragweft.vectors.chroma_seal import Seal

if TYPE_CHECKING:
    from chromadb.api import ClientAPI
    from chromadb.api.collection_configuration import CreateCollectionConfiguration
    from chromadb.api.models.Collection import Collection
    from chromadb.config import Settings

    from ragweft.vectors.chroma_metadata import ChromaScalar


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """A connected client and what it can bear."""

    client: ClientAPI
    place: str
    """For messages; never holds a credential."""
    limits: Limits
    configuration: CreateCollectionConfiguration
    """How a collection of ours is made."""
    seal: Seal | None = None
    """Guards the files of an embedded Chroma; None for a remote one."""

    @contextmanager
    def calling(self, action: str) -> Iterator[None]:
        """Turn what chromadb raises into an error of ours; *action* says what was being done."""
        with _translated(self.place, action, embedded=self.seal is not None):
            yield

    def find(self, collection: str) -> Collection | None:
        """The collection of that name, read anew; None if there is none."""
        from chromadb.errors import NotFoundError

        with self.calling("find the collection"):
            try:
                # Without `None` Chroma attaches an embedder that downloads a model when it is first used.
                return self.client.get_collection(collection, embedding_function=None)
            except NotFoundError:
                return None

    def create(self, collection: str, metadata: Mapping[str, ChromaScalar]) -> Collection:
        """A new collection of that name."""
        with self.calling("create the collection"):
            return self.client.create_collection(
                collection,
                embedding_function=None,
                # A copy, because Chroma adds to what it is given.
                configuration=self.configuration.copy(),
                metadata=dict(metadata),
            )

    def drop(self, collection: str, *, ledger: str) -> None:
        """Delete the collection of that name, if it follows *ledger*; nobody else's is touched."""
        found = self.find(collection)
        if found is not None and (found.metadata or {}).get("ragweft_ledger") == ledger:
            with self.calling("delete the collection"):
                self.client.delete_collection(collection)

    def close(self) -> None:
        """Let go of files and connections.

        `close` alone releases an embedded Chroma, once its last client in this process is closed. The
        class-wide `clear_system_cache` is left alone: it would orphan the clients other code has open, and a
        second Chroma could then be opened beside theirs. An HTTP client's sessions chromadb 1.5.9 never closes.
        """
        close: Callable[[], None] | None = getattr(self.client, "close", None)
        if close is not None:
            close()
        if self.seal is None:
            for holder in (self.client, getattr(self.client, "_admin_client", None)):
                session = getattr(getattr(holder, "_server", None), "_session", None)
                if session is not None:
                    session.close()


def embedded_backend(directory: Path, *, ef_search: int, sync_threshold: int) -> Backend:
    """Chroma in this process over the files in *directory*, once their seal has been found whole.

    Raises:
        IndexDamaged: the seal is broken, or Chroma cannot open the files.
        IndexLocked: *directory* is not ragweft's, or is open here already with other settings.
    """
    directory = directory.resolve()
    directory.mkdir(parents=True, exist_ok=True)
    seal = Seal(directory)
    seal.check()
    place = f"Chroma in {directory}"

    def connect() -> ClientAPI:
        import chromadb

        try:
            return chromadb.PersistentClient(directory, settings=_settings())
        except ValueError as error:
            if "already exists" not in str(error):
                raise
            raise IndexLocked(
                f"{place} is open in this process by another client, or was when the process was forked: "
                "close that client, or start the process by spawn"
            ) from error

    return Backend(
        client=_connected(connect, place, embedded=True),
        place=place,
        limits=EMBEDDED,
        configuration={"hnsw": {"space": "cosine", "ef_search": ef_search, "sync_threshold": sync_threshold}},
        seal=seal,
    )


def foreign_backend(directory: Path, *, called: str, tenant: str, database: str) -> Backend:
    """Somebody else's Chroma files, to be read; *called* in messages.

    Raises:
        IndexDamaged: Chroma cannot open them.
    """
    place = f"Chroma in {called}"

    def connect() -> ClientAPI:
        import chromadb

        return chromadb.PersistentClient(
            directory,
            settings=_settings(),
            tenant=tenant or "default_tenant",
            database=database or "default_database",
        )

    # Without a seal: that is for files of ours.
    return Backend(
        client=_connected(connect, place, embedded=True), place=place, limits=EMBEDDED, configuration={}
    )


def http_backend(
    host: str,
    *,
    port: int,
    ssl: bool,
    headers: Mapping[str, str],
    tenant: str,
    database: str,
    ef_search: int,
) -> Backend:
    """A Chroma server.

    Raises:
        ProviderError: it cannot be reached or refuses.
    """

    def connect() -> ClientAPI:
        import chromadb

        return chromadb.HttpClient(
            host=host,
            port=port,
            ssl=ssl,
            headers=dict(headers),
            settings=_settings(),
            tenant=tenant,
            database=database,
        )

    place = f"Chroma at {host}:{port}"
    return Backend(
        client=_connected(connect, place, embedded=False),
        place=place,
        limits=SERVER,
        configuration={"hnsw": {"space": "cosine", "ef_search": ef_search}},
    )


def cloud_backend(*, tenant: str | None, database: str | None, api_key: str | None) -> Backend:
    """Chroma Cloud; what is not given comes from CHROMA_TENANT, CHROMA_DATABASE and CHROMA_API_KEY.

    Raises:
        ProviderError: it cannot be reached or refuses, or there is no key.
    """

    def connect() -> ClientAPI:
        import chromadb

        return chromadb.CloudClient(
            tenant=tenant or None, database=database or None, api_key=api_key or None, settings=_settings()
        )

    place = "Chroma Cloud"
    if not (api_key or os.environ.get("CHROMA_API_KEY")):
        raise ProviderError(f"{place}: no api_key was given; set CHROMA_API_KEY", retryable=False)
    return Backend(
        client=_connected(connect, place, embedded=False),
        place=place,
        limits=CLOUD,
        configuration={"spann": {"space": "cosine"}},
    )


def _settings() -> Settings:
    """Settings that nothing but this process decides.

    Chroma shares one engine among the clients of a path whose settings are equal. The number of the process
    is in ours, so that a forked child is refused the engine it inherited, which hangs, instead of given it.
    A `.env` in the working directory is somebody else's and is not read.
    """
    from chromadb.config import Settings

    options: dict[str, Any] = {"_env_file": None}
    return Settings(anonymized_telemetry=False, chroma_otel_service_name=f"ragweft-{os.getpid()}", **options)


def _connected(connect: Callable[[], ClientAPI], place: str, *, embedded: bool) -> ClientAPI:
    with _translated(place, "connect", embedded=embedded):
        return connect()


@contextmanager
def _translated(place: str, action: str, *, embedded: bool) -> Iterator[None]:
    try:
        yield
    except (RagweftError, MemoryError):
        raise
    except Exception as error:
        raise _translation(error, place, action, embedded=embedded) from error
    except BaseException as error:
        # A panic in Chroma's Rust code passes by `except Exception`.
        if type(error).__name__ != "PanicException":
            raise
        raise _translation(error, place, action, embedded=embedded) from error


def _translation(error: BaseException, place: str, action: str, *, embedded: bool) -> RagweftError:
    text = " ".join(str(error).split())[:300]
    what = f"{place}: could not {action} ({type(error).__name__}: {text})"
    if embedded and "database is locked" in text:
        return IndexLocked(f"{what}: another program has its database open, close that")
    if embedded:
        return IndexDamaged(f"{what}: rebuild the Chroma index from the stored vectors")
    import httpx
    from chromadb.errors import ChromaError, InternalError, RateLimitError

    unreachable = isinstance(error, httpx.TransportError)
    # A plain ChromaError stands for a status without a name: a gateway's 502, 503, 504.
    busy = isinstance(error, (InternalError, RateLimitError)) or type(error) is ChromaError
    if "Could not connect" in text:
        # What chromadb says of it names no address, and its class of error means something else.
        return ProviderError(
            f"{place}: could not {action}; check the address and that a server runs there", retryable=True
        )
    if unreachable or busy:
        return ProviderError(f"{what}: check that it runs, and try again", retryable=True)
    return ProviderError(f"{what}: check address, credentials and quota", retryable=False)
