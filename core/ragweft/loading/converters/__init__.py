"""Files that are no text to Markdown: one module per kind of file, run in a process of its own (see `apart`).

`CONVERTERS` is the one table of what is read by which module, and of the packages needed for it. Modules and
packages are imported when a file of their kind is met.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias, cast

from ragweft.errors import LoadError, MissingExtra
from ragweft.loading.converters.writing import Converted, Limits
from ragweft.places import Place

if TYPE_CHECKING:
    from ragweft.loading.apart import Apart, Header

__all__ = ["CONVERTERS", "EXTRA", "TASK", "Converted", "Converter", "Limits", "ask", "missing_package", "task"]

TASK = "ragweft.loading.converters:task"
"""`task`, as `apart.Apart` wants to hear it."""
EXTRA = "files"
"""The extra with every package named below."""

_Read: TypeAlias = Callable[[bytes, Limits], Converted]


@dataclass(frozen=True, slots=True, kw_only=True)
class Converter:
    """How files of one kind are read."""

    module: str
    """Of this package; its `read(data, limits)` gives a Converted, or raises LoadError with a reason."""
    needs: str | None = None
    """The module it imports that is not always installed."""
    package: str = ""
    """What has that module, as package registries call it."""


CONVERTERS: Mapping[str, Converter] = MappingProxyType(
    {
        "pdf": Converter(module="pdf", needs="pypdfium2", package="pypdfium2"),
        "docx": Converter(module="docx", needs="mammoth", package="mammoth"),
        "slides": Converter(module="slides", needs="pptx", package="python-pptx"),
        "sheets": Converter(module="sheets", needs="python_calamine", package="python-calamine"),
        "epub": Converter(module="epub"),
        "mail": Converter(module="mail"),
        "mailbox": Converter(module="mailbox"),
        "notebook": Converter(module="notebook"),
    }
)
"""`FileFormat.format` to what reads it."""


def missing_package(kind: str) -> str | None:
    """The package that is needed for files of this kind and not installed; None if nothing is missing."""
    converter = CONVERTERS.get(kind)
    if converter is None or converter.needs is None or importlib.util.find_spec(converter.needs) is not None:
        return None
    return converter.package


def ask(apart: Apart, kind: str, data: bytes, limits: Limits) -> Converted:
    """Have the bytes of a file converted in another process.

    Raises:
        LoadError: they cannot be; the message is a reason, without the name of the file.
        MissingExtra: the package for it is not installed.
    """
    package = missing_package(kind)
    if package is not None:
        raise MissingExtra(package=package, extra=EXTRA)
    header, body = apart.ask({"kind": kind, "limits": asdict(limits)}, data)
    try:
        labels = [str(label) for label in header["labels"]]
        return Converted(
            text=body.decode("utf-8"),
            title=None if header["title"] is None else str(header["title"]),
            places=tuple(
                Place(start=int(start), label=labels[label], number=int(number))
                for start, label, number in header["places"]
            ),
            metadata=dict(header["metadata"]),
        )
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise LoadError("its reader gave no sensible answer; exclude it in .ragweftignore") from error


def task(header: Header, body: bytes) -> tuple[Header, bytes]:
    """Convert the *body*, a file's bytes; an `apart_child.Task`.

    Raises:
        LoadError: it cannot be read.
    """
    converter = CONVERTERS[header["kind"]]
    read = cast("_Read", importlib.import_module(f"{__name__}.{converter.module}").read)
    try:
        found = read(body, Limits(**header["limits"]))
    except ImportError as error:
        # It was found before this process was asked, so it is there and broken.
        raise LoadError(
            f"{converter.package or 'a package'} cannot be imported ({error}); reinstall it with  "
            f"pip install --force-reinstall 'ragweft[{EXTRA}]'"
        ) from error
    labels = list(dict.fromkeys(place.label for place in found.places))
    numbers = {label: number for number, label in enumerate(labels)}
    answer = {
        "title": found.title,
        "metadata": dict(found.metadata),
        "labels": labels,
        "places": [(place.start, numbers[place.label], place.number) for place in found.places],
    }
    return answer, found.text.encode("utf-8")
