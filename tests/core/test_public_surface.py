from __future__ import annotations

import subprocess
import sys

import ragweft

HEAVY = {
    "chromadb", "tantivy", "numpy", "sqlalchemy", "tokenizers", "safetensors", "typer", "rich", "wordllama",
    "langchain_core", "llama_index", "mcp", "pydantic", "asyncio",
}  # fmt: skip


def test_importing_ragweft_loads_nothing_heavy() -> None:
    code = "import ragweft, sys; print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {name.partition(".")[0] for name in out.stdout.split()} & HEAVY


def test_every_exported_name_resolves_and_the_list_is_sorted() -> None:
    assert list(ragweft.__all__) == sorted(ragweft.__all__)
    for name in ragweft.__all__:
        assert getattr(ragweft, name).__module__.startswith("ragweft.")
    assert set(ragweft.__all__) <= set(dir(ragweft))


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(ragweft, "no_such_name")
