"""Files, pages and other frameworks' documents to documents: what there is, what can be read, what it says."""

from __future__ import annotations

from ragweft.loading.converters import Limits
from ragweft.loading.files import MAX_BYTES, FileLoader
from ragweft.loading.formats import FILE_NAMES, SUFFIXES, FileFormat, file_format
from ragweft.loading.frameworks import documents_from
from ragweft.loading.walk import Discovery, Failed, Found, Skipped, discover
from ragweft.loading.web import UrlLoader, load_url
from ragweft.places import Place, cited, ends_of, place_of
from ragweft.uris import display_path, source_path, source_uri

__all__ = [
    "FILE_NAMES",
    "MAX_BYTES",
    "SUFFIXES",
    "Discovery",
    "Failed",
    "FileFormat",
    "FileLoader",
    "Found",
    "Limits",
    "Place",
    "Skipped",
    "UrlLoader",
    "cited",
    "discover",
    "display_path",
    "documents_from",
    "ends_of",
    "file_format",
    "load_url",
    "place_of",
    "source_path",
    "source_uri",
]
