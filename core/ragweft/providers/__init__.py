"""What every network service has in common: what is known of its models, how it is called, what it costs."""

from __future__ import annotations
