"""How clients of the `openai` SDK are made for OpenAI and for servers that speak its protocol."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from ragweft.providers.keys import Secret

__all__ = ["client_options"]

_OPENAI = "api.openai.com"
"""And `eu.api.openai.com` and others like it."""
_OWN = ("OpenAI-Organization", "OpenAI-Project")
"""Headers the SDK makes of OPENAI_ORG_ID and OPENAI_PROJECT_ID."""


def client_options(key: Secret, address: str | None) -> dict[str, Any]:
    """What `OpenAI` and `AsyncOpenAI` are made with: no retries, and nothing that is not meant for *address*.

    None is OpenAI, or $OPENAI_BASE_URL: then the SDK takes what the environment holds beside it. What the
    environment holds for OpenAI is not for somebody else who is named by a recipe and speaks its protocol.
    """
    # Servers of one's own may need no key, but the SDK does.
    secret = key.reveal() or "none"
    options: dict[str, Any] = {"api_key": secret, "max_retries": 0}
    if address:
        options["base_url"] = address
        if not _of_openai(address):
            from openai import Omit

            headers: dict[str, Any] = dict.fromkeys((*_OWN, *_custom_headers()), Omit())
            options["default_headers"] = {**headers, "Authorization": f"Bearer {secret}"}
    return options


def _of_openai(address: str) -> bool:
    host = (urlsplit(address).hostname or "").lower()
    return host == _OPENAI or host.endswith(f".{_OPENAI}")


def _custom_headers() -> list[str]:
    """Names in OPENAI_CUSTOM_HEADERS, which the SDK reads as a header a line, but that which holds a key."""
    lines = os.environ.get("OPENAI_CUSTOM_HEADERS", "").split("\n")
    names = [name.strip() for name, colon, _ in (line.partition(":") for line in lines) if colon]
    return [name for name in names if name.lower() != "authorization"]
