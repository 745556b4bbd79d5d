"""A paid sync broken off again and again, and one that is let through."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import signal


def break_off(
    kb: Path, folder: Path, *, how: signal.Signals, moments: Iterable[float], requests: Callable[[], int]
) -> None:
    """Start a sync for each of *moments*, and send it the signal so many seconds after its first request."""
    for moment in moments:
        before = requests()
        process = subprocess.Popen(
            [sys.executable, "-m", "ragweft", "sync", str(folder), "--index", str(kb)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + 30
        while requests() == before and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(moment)
        process.send_signal(how)
        _, err = process.communicate(timeout=60)
        assert "Traceback" not in err
