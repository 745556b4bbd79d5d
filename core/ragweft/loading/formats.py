"""Which files are taken in, and how each is written: the one table of supported types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["FILE_NAMES", "SUFFIXES", "FileFormat", "file_format", "file_suffix"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFormat:
    """How a file is written."""

    format: str
    """"markdown", "rst", "python", "code", "table", "text"; "html", whose readable text is extracted; or a key
    of `converters.CONVERTERS`: files that are no text and are converted to Markdown."""
    language: str | None = None
    """The programming or markup language of code, lower case; None for prose and tables."""


_LANGUAGES: Mapping[str, str] = {
    "assembly": ".asm .s",
    "bash": ".bash .sh .zsh .fish .ksh",
    "batch": ".bat .cmd",
    "c": ".c .h",
    "clojure": ".clj .cljc .cljs .edn",
    "cmake": ".cmake",
    "cpp": ".cc .cpp .cxx .hh .hpp .hxx .ino",
    "crystal": ".cr",
    "csharp": ".cs",
    "css": ".css",
    "cuda": ".cu .cuh",
    "cython": ".pyx .pxd",
    "dart": ".dart",
    "elixir": ".ex .exs .heex",
    "elm": ".elm",
    "erlang": ".erl .hrl",
    "fortran": ".f .f90 .f95 .f03",
    "fsharp": ".fs .fsi .fsx",
    "go": ".go",
    "gradle": ".gradle",
    "graphql": ".graphql .gql",
    "groovy": ".groovy",
    "haskell": ".hs .lhs",
    "hcl": ".hcl .tf .tfvars",
    "ini": ".ini .cfg .conf .properties",
    "java": ".java",
    "javascript": ".js .cjs .mjs .jsx",
    "julia": ".jl",
    "kotlin": ".kt .kts",
    "less": ".less",
    "lisp": ".lisp .el .scm .rkt",
    "lua": ".lua",
    "make": ".mk .mak",
    "nim": ".nim",
    "nix": ".nix",
    "objective-c": ".m .mm",
    "ocaml": ".ml .mli",
    "pascal": ".pas",
    "perl": ".pl .pm",
    "php": ".php",
    "powershell": ".ps1 .psm1 .psd1",
    "prisma": ".prisma",
    "protobuf": ".proto",
    "r": ".r",
    "ruby": ".rb .rake .gemspec",
    "rust": ".rs",
    "scala": ".scala .sc .sbt",
    "scss": ".scss .sass",
    "shader": ".glsl .hlsl .wgsl .metal",
    "solidity": ".sol",
    "starlark": ".bzl .star",
    "sql": ".sql",
    "svelte": ".svelte",
    "swift": ".swift",
    "template": ".j2 .jinja .jinja2 .hbs .erb",
    "thrift": ".thrift",
    "toml": ".toml",
    "typescript": ".ts .cts .mts .tsx",
    "vbnet": ".vb",
    "verilog": ".v .sv .svh",
    "vhdl": ".vhd .vhdl",
    "vim": ".vim",
    "vue": ".vue",
    "xml": ".xml .xsd .xsl .xslt",
    "yaml": ".yaml .yml",
    "zig": ".zig",
}

_PROSE: Mapping[str, str] = {
    "markdown": ".md .markdown .mdx .mkd .mdown",
    "rst": ".rst .rest",
    "html": ".html .htm .xhtml",
    "table": ".csv .tsv",
    "text": ".txt .text .log .tex .org .adoc .asciidoc .json .jsonl .ndjson .json5 .jsonc .srt .vtt .po .pot",
}

_CONVERTED: Mapping[str, str] = {
    "pdf": ".pdf",
    "docx": ".docx .docm .dotx .dotm",
    "slides": ".pptx .pptm",
    "sheets": ".xlsx .xlsm .xlsb .xls .ods",
    "epub": ".epub",
    "mail": ".eml",
    "mailbox": ".mbox",
    "notebook": ".ipynb",
}

_KNOWN_NAMES: Mapping[str, str] = {
    "bash": "configure",
    "cmake": "CMakeLists.txt",
    "dockerfile": "Containerfile Dockerfile",
    "go": "go.mod",
    "groovy": "Jenkinsfile",
    "just": "justfile",
    "make": "GNUmakefile Makefile",
    "ruby": "Brewfile Gemfile Podfile Rakefile Vagrantfile",
    "starlark": "BUILD WORKSPACE",
}

_PROSE_NAMES = (
    "AUTHORS CHANGELOG CHANGES CITATION CODEOWNERS CONTRIBUTING CONTRIBUTORS COPYING COPYRIGHT CREDITS FAQ"
    " HISTORY INSTALL LICENCE LICENSE LICENSE-APACHE LICENSE-MIT MAINTAINERS MANIFEST NEWS NOTICE"
    " OWNERS Procfile README RELEASE ROADMAP SECURITY THANKS TODO UNLICENSE UPGRADING VERSION"
)


def _suffix_table() -> dict[str, FileFormat]:
    python = FileFormat(format="python", language="python")
    table: dict[str, FileFormat] = {".py": python, ".pyi": python, ".pyw": python}
    for written, suffixes in (*_PROSE.items(), *_CONVERTED.items()):
        table |= dict.fromkeys(suffixes.split(), FileFormat(format=written))
    for language, suffixes in _LANGUAGES.items():
        table |= dict.fromkeys(suffixes.split(), FileFormat(format="code", language=language))
    return table


def _name_table() -> dict[str, FileFormat]:
    table: dict[str, FileFormat] = {name: FileFormat(format="text") for name in _PROSE_NAMES.lower().split()}
    for language, names in _KNOWN_NAMES.items():
        table |= dict.fromkeys(names.lower().split(), FileFormat(format="code", language=language))
    return table


SUFFIXES: Mapping[str, FileFormat] = MappingProxyType(_suffix_table())
"""Lower-case suffix, dot included, to format."""
FILE_NAMES: Mapping[str, FileFormat] = MappingProxyType(_name_table())
"""Lower-case whole file name to format; looked at before the suffix."""


def file_suffix(name: str) -> str:
    """The lower-case suffix of a file name with its dot; "" if it has none (a leading dot begins no suffix)."""
    stem, dot, suffix = name.rpartition(".")
    return dot + suffix.lower() if stem.strip(".") else ""


def file_format(name: str) -> FileFormat | None:
    """The format of a file by its *name* (without directories), or None if its type is not supported."""
    return FILE_NAMES.get(name.lower()) or SUFFIXES.get(file_suffix(name))
