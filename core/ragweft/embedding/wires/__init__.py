"""One file for each wire format: a request out, a reply in."""

from __future__ import annotations
