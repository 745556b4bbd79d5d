"""What both readers of HTML share: which parts of a page they pass over, and what it is called."""

from __future__ import annotations

from abc import abstractmethod
from html.parser import HTMLParser
from typing import TYPE_CHECKING

from ragweft.loading.main_text import VOID
from ragweft.loading.titles import tidy_title

if TYPE_CHECKING:
    from ragweft.loading.main_text import Attributes, Regions

__all__ = ["BLOCKS", "HEADINGS", "PageReader"]

_BLOCK_NAMES = (
    "address article aside blockquote body br caption center dd details dialog dir div dl dt fieldset"
    " figcaption figure footer form frame h1 h2 h3 h4 h5 h6 head header hgroup hr html legend li main menu"
    " nav noscript ol optgroup option p pre search section"
    " select summary table tbody td tfoot th thead title tr ul"
)
BLOCKS = frozenset(_BLOCK_NAMES.split())
"""Elements that begin and end what is read together."""
HEADINGS = {f"h{level}": level for level in range(1, 7)}


class PageReader(HTMLParser):
    """Reads the main part of a page: `begin`, `end` and `say` hear of nothing else."""

    def __init__(self, regions: Regions) -> None:
        """Leave out what *regions* say; whoever inherits feeds it."""
        super().__init__(convert_charrefs=True)
        self._regions = regions
        self._count = 0
        self._until = 0
        self._titles: dict[str, list[str]] = {}
        self._title: str | None = None

    @property
    def title(self) -> str | None:
        """What `<title>` says, else the first `<h1>`."""
        said = (tidy_title("".join(self._titles.get(name, ()))) for name in ("title", "h1"))
        return next((title for title in said if title), None)

    @abstractmethod
    def begin(self, tag: str, attrs: Attributes) -> None:
        """A start tag."""

    @abstractmethod
    def end(self, tag: str) -> None:
        """An end tag."""

    @abstractmethod
    def say(self, data: str) -> None:
        """A stretch of text."""

    def handle_starttag(self, tag: str, attrs: Attributes) -> None:
        """Pass over what is left out, and see which text is the title."""
        self._count += 1
        if self._count <= self._until:
            return
        self._until = self._regions.dropped.get(self._count, 0)
        if self._until:
            return
        if tag in BLOCKS and self._title == "title":
            # It holds no elements: its end tag is missing.
            self._title = None
        if tag in ("title", "h1") and tag not in self._titles:
            self._title = tag
            self._titles[tag] = []
        self.begin(tag, attrs)

    def handle_startendtag(self, tag: str, attrs: Attributes) -> None:
        """`<br/>` is `<br>`; HTML does not know other elements without content, but XHTML writes them."""
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        """Pass over what is left out, and see where the title ends."""
        self._count += 1
        if self._count <= self._until:
            return
        if tag == self._title:
            self._title = None
        self.end(tag)

    def handle_data(self, data: str) -> None:
        """Pass over what is left out; `<title>` belongs to no text."""
        if self._count < self._until:
            return
        if self._title is not None:
            self._titles[self._title].append(data)
            if self._title == "title":
                return
        main = self._regions.main
        if main is None or main[0] <= self._count < main[1]:
            self.say(data)
