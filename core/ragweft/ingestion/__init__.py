"""The way in: from documents to rows whose vectors are durable."""

from __future__ import annotations
