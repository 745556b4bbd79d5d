"""`python -m ragweft`: the command line."""

from __future__ import annotations

from ragweft.cli import main

if __name__ == "__main__":
    main()
