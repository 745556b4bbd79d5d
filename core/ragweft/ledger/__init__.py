"""The truth of an index: what is in it, since when, and what every follower must still apply."""

from __future__ import annotations
