"""The way out: from a query to cited hits. See docs/architecture.md for the stages."""

from __future__ import annotations
