"""Help for people: arguments are named by what they stand for, not by Python's types."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand

__all__ = ["Verb"]


class Verb(TyperCommand):
    """A verb whose help names its arguments as its usage line does: `PATH`, not `PATH <list[Path]>`."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, then the options."""
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is None:
                continue
            name, told = record
            if param.param_type_name == "argument":
                sections["Arguments"].append((name.partition(" <")[0], told))
            else:
                sections["Options"].append((name, told))
        for title, rows in sections.items():
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)
