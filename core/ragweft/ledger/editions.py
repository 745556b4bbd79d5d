"""Editions of an index: made over by another recipe, its vector followers begin anew elsewhere.

So a process that still works by the recipe of before never meets a vector of the new one, nor the reverse.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

__all__ = ["named_for", "sweep"]

_OF_AN_EDITION = re.compile(r"(flat|chroma)(?:-(\d+))?(\.lock|\.stamp|\.damaged)?")


def named_for(name: str, edition: int) -> str:
    """*name* as it is called in that edition; the first one's names are plain."""
    return f"{name}-{edition}" if edition else name


def sweep(folder: Path, *, edition: int) -> None:
    """Delete what followers of editions before *edition* have left in *folder*, as far as that is possible.

    Files that are still mapped go on serving whoever has them, where the system allows it; on others they stay
    until the next sweep.
    """
    for path in folder.iterdir() if edition else ():
        found = _OF_AN_EDITION.fullmatch(path.name)
        if found is None or int(found[2] or 0) >= edition:
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
