"""The house stays as it was drawn: arrows, file sizes, no stray prints of paths, modules that explain themselves."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "core").rglob("*.py"))


def test_import_contracts() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "core")))
def test_every_module_is_short_and_explains_itself(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 400
    assert ast.get_docstring(ast.parse(text)), "a module says what it is for"


def test_no_class_inherits_deeper_than_one() -> None:
    own: dict[str, list[str]] = {}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                own[node.name] = [base.id for base in node.bases if isinstance(base, ast.Name)]
    errors = {name for name, bases in own.items() if "RagweftError" in bases}
    for name, bases in own.items():
        for base in bases:
            deeper = [b for b in own.get(base, []) if b in own]
            assert not deeper or name in errors, f"{name} < {base} < {deeper}"


def test_no_function_takes_anything_by_any_name() -> None:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                kwarg = node.args.kwarg
                # What stands before another function takes exactly what that takes.
                passed_on = kwarg is not None and ast.unparse(kwarg.annotation or kwarg) == "P.kwargs"
                assert kwarg is None or passed_on, (
                    f"{path.name}:{node.lineno} {node.name} takes **{node.args.kwarg}"
                )
