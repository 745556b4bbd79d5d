"""The languages the gate knows words of, one file each. Others it reads by numbers, names and order alone."""

from __future__ import annotations

from ragweft.caching.reading.wordings.dutch import DUTCH
from ragweft.caching.reading.wordings.english import ENGLISH
from ragweft.caching.reading.wordings.french import FRENCH
from ragweft.caching.reading.wordings.german import GERMAN
from ragweft.caching.reading.wordings.italian import ITALIAN
from ragweft.caching.reading.wordings.portuguese import PORTUGUESE
from ragweft.caching.reading.wordings.spanish import SPANISH

__all__ = ["LANGUAGES"]

LANGUAGES = {
    wording.language: wording for wording in (ENGLISH, GERMAN, FRENCH, SPANISH, ITALIAN, PORTUGUESE, DUTCH)
}
"""By Snowball's name; English first, which stands in where no language can be told."""
