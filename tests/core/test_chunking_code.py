"""Code of other languages, cut by indentation and blank lines, named by a light look at definitions."""

from __future__ import annotations

import pytest

from doubles_chunking import cut, outline

BODY = "\n".join(f"        value{n} = compute(value{n}, {n});" for n in range(12))

FIRST = "other(thing);\n" * 20


@pytest.mark.parametrize(
    ("head", "close", "name"),
    [
        ("export default class Store extends Base {", "}", "export default class Store extends Base"),
        ("async function load(path) {", "}", "async function load(path)"),
        ("const handler = async (event) => {", "};", "const handler = async (event)"),
        (
            "pub(crate) fn run<'a>(args: &'a str) -> Result<()> {",
            "}",
            "pub(crate) fn run<'a>(args: &'a str) -> Result<()>",
        ),
        ("impl<T> Display for Wrapper<T> {", "}", "impl<T> Display for Wrapper<T>"),
        (
            "func (s *Server) Close(ctx context.Context) error {",
            "}",
            "func (s *Server) Close(ctx context.Context) error",
        ),
        ("public static List<String> names(int limit) {", "}", "public static List<String> names(int limit)"),
        ("static int\nread_all(int fd,\n         char *out)\n{", "}", "read_all(int fd, char *out)"),
        ("namespace Company.Product\n{", "}", "namespace Company.Product"),
        ("defmodule Some.Module do", "end", "defmodule Some.Module"),
        ("def each(&block)", "end", "def each(&block)"),
        ("deploy() {", "}", "deploy()"),
        ("add <- function(a, b) {", "}", "add <- function(a, b)"),
        ("interface Shape {", "}", "interface Shape"),
    ],
)
def test_definitions_are_named(head: str, close: str, name: str) -> None:
    text = f"{FIRST}\n\n{head}\n{BODY}\n{close}\n\n{FIRST}\n"
    assert (name, head.splitlines()[0]) in outline(text, "code", size=130)


@pytest.mark.parametrize(
    "head", ["if (ready) {", "for object in items {", "while (true) {", "return wrap({", "key:", "})();"]
)
def test_control_flow_is_not_a_definition(head: str) -> None:
    text = f"{FIRST}\n\n{head}\n{BODY}\n\n{FIRST}\n"
    assert {path for path, _ in outline(text, "code", size=130)} == {""}


def test_methods_of_a_large_class() -> None:
    methods = "\n\n".join(
        f"    // About {name}.\n    @Override\n    public int {name}(int a) {{\n{BODY}\n    }}"
        for name in ("one", "two")
    )
    text = f"package demo;\n\nimport java.util.List;\n\npublic class Demo {{\n    private int field;\n\n{methods}\n}}\n"
    assert outline(text, "code", size=120) == [
        ("public class Demo", "package demo;"),
        ("public class Demo > public int one(int a)", "// About one."),
        ("public class Demo > public int two(int a)", "// About two."),
    ]


@pytest.mark.parametrize("written", ["code", "python"])
def test_what_is_small_beside_a_large_definition_shares_a_chunk(written: str) -> None:
    """Less than a quarter of a chunk: alone, imports are found for what others say."""
    body = "\n".join(f"    value{n} = compute(value{n}, {n})" for n in range(40))
    for imports, alone in ((3, False), (15, True)):
        text = "".join(f"import part{n}\n" for n in range(imports)) + f"\n\ndef large(a):\n{body}\n"
        first, second, *_ = cut(text, written, size=100)
        assert (first.text.splitlines()[-1] == f"import part{imports - 1}") is alone
        assert second.headings == ("def large(a)",)


def test_closing_lines_and_else_stay_with_what_they_close() -> None:
    text = "\n".join(f"if (a{n}) {{\n    call({n});\n}} else {{\n    other({n});\n}}" for n in range(40))
    chunks = cut(text, "code", size=40)
    assert len(chunks) > 5
    assert all(chunk.text.startswith("if (") and chunk.text.endswith("}") for chunk in chunks)


def test_margin_lines_do_not_end_a_body() -> None:
    inside = "\n".join(f"    call({n});\n#ifdef X{n}\n    other({n});\n#endif" for n in range(12))
    text = f"int main(void)\n{{\n{inside}\n}}\n\nint other(void)\n{{\n    return 0;\n}}\n"
    assert {path for path, _ in outline(text, "code", size=60)} <= {"int main(void)", "int other(void)"}


def test_comment_set_off_by_a_blank_line_goes_with_what_follows() -> None:
    blocks = "\n\n".join(f"// ---- Part {n} ----\n\nint f{n}(int a) {{\n{BODY}\n}}" for n in range(3))
    assert [first for _, first in outline(blocks, "code", size=130)] == [
        f"// ---- Part {n} ----" for n in range(3)
    ]


def test_tabs_count_as_indentation() -> None:
    text = "func Big() {\n" + "\n".join(f"\tif a{n} {{\n\t\tcall({n})\n\t}}" for n in range(30)) + "\n}\n"
    chunks = cut(text, "code", size=40)
    assert {chunk.headings for chunk in chunks} == {("func Big()",)}
    assert all(chunk.text.startswith(("func Big", "\tif a")) for chunk in chunks)


def test_one_line_of_code_is_cut_between_words() -> None:
    chunks = cut("a=1; " * 500, "code", size=30)
    assert all(set(chunk.text.split()) == {"a=1;"} for chunk in chunks)
