"""Files to documents: what is in a folder, what of it is text, and what it says."""

from __future__ import annotations

from ragweft.loading.files import MAX_BYTES, FileLoader
from ragweft.loading.formats import FILE_NAMES, SUFFIXES, FileFormat, file_format
from ragweft.loading.uris import display_path, source_path, source_uri
from ragweft.loading.walk import Discovery, Failed, Found, Skipped, discover

__all__ = [
    "FILE_NAMES",
    "MAX_BYTES",
    "SUFFIXES",
    "Discovery",
    "Failed",
    "FileFormat",
    "FileLoader",
    "Found",
    "Skipped",
    "discover",
    "display_path",
    "file_format",
    "source_path",
    "source_uri",
]
