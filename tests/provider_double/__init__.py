"""A local double of the embedding and reranking providers: their wire formats, limits, prices and failures."""

from provider_double.server import BAD_KEY, ProviderDouble, Request

__all__ = ["BAD_KEY", "ProviderDouble", "Request"]
