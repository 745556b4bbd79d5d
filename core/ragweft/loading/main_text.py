"""Which parts of an HTML page are the page, and which are around it on every page of the site.

Decided by what authors say (`<main>`, `role`, `<nav>`, `hidden`, usual class names) and by how much text an
element holds; never by how words look. In doubt text stays: a menu in a passage costs a little, a lost section
costs the answer.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import accumulate

__all__ = ["VOID", "Attributes", "Regions", "find_regions", "made_safe"]

Attributes = Sequence[tuple[str, str | None]]

_VOID_NAMES = "area base br col embed frame hr img input link meta param source track wbr"
VOID = frozenset(_VOID_NAMES.split())
"""Elements without content or end tag."""

_NEVER = frozenset(("noscript", "script", "style", "svg", "template"))
"""Elements that say nothing to a reader of a page."""
_PERMALINKS = frozenset(("anchor-link", "headerlink"))
"""Classes of the pilcrows that documentation generators put behind headings."""
_NOISE = frozenset(("dialog", "footer", "nav"))
_NOISE_ROLES = frozenset(
    ("banner", "complementary", "contentinfo", "dialog", "menu", "menubar", "navigation", "search")
)
_NOISE_CLASSES = (
    "advertisement advertisements breadcrumb breadcrumbs cookie-banner cookie-bar cookie-consent cookie-notice"
    " edit-page-link main-menu main-nav menu-toggle mw-editsection navbar navbox navigation navpath newsletter"
    " page-footer pagination prev-next prevnext printfooter related-articles related-posts share-buttons"
    " sharing sidebar sidenav site-footer site-header site-nav skip-link skiplink social-links social-share"
    " sphinxsidebar toc-sidebar"
)
_NOISE_NAMES = frozenset(_NOISE_CLASSES.split())
_MAIN_CLASSES = (
    "article-body article-content articlebody bodycontent content content-body documentwrapper entry-content"
    " main main-content maincontent markdown-body mw-content-text page-content post-body post-content"
    " rst-content"
)
_MAIN_NAMES = frozenset(_MAIN_CLASSES.split())
_HIDING = re.compile(r"(?:^|[;\s])(?:display\s*:\s*none|mso-hide\s*:\s*all)", re.IGNORECASE)

_FEWEST = 200
"""Characters an element holds at least that is taken for the main part by its name."""
_SAID = 0.15
"""Share of the page's text, noise apart, that an element must hold which says that it is the main part."""
_GUESSED = 0.5
_NEARLY = 0.9
"""Of elements inside each other that hold about as much the innermost is the main part."""
_MOST = 0.5
"""Share of the page's text above which an element is no noise, whatever it is called, `<nav>` apart."""

_DECLARATIONS = re.compile(r"\s*(?:<\?xml[^>]*>\s*)?<!DOCTYPE[^>\[]*\[.*?\]\s*>", re.IGNORECASE | re.DOTALL)
# The parsers of some Python versions refuse marked sections they do not know.
_MARKED_SECTION = re.compile(r"<!\[(?!CDATA\[)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Regions:
    """What to leave out. Tags are counted as `HTMLParser` reports them, start and end tags together, from 1."""

    dropped: Mapping[int, int] = field(default_factory=dict[int, int])
    """Start tag to end tag of elements to be left out, none of them inside another."""
    main: tuple[int, int] | None = None
    """Start and end tag of the element that holds the page; None: the page is all of it."""


def made_safe(source: str) -> str:
    """*source* without what makes Python's parser fail or read the rest of the page again and again."""
    declared = _DECLARATIONS.match(source)
    if declared is not None:
        # Entities that a page declares are not looked at. The lines stay where they are.
        source = "\n" * declared[0].count("\n") + source[declared.end() :]
    source = _MARKED_SECTION.sub("<?[", source)
    # No tag is complete after the last ">". The parser would look for its end again from every "<".
    last = source.rfind(">") + 1
    return source[:last] + source[last:].replace("<", "&lt;")


def find_regions(source: str, *, page: bool) -> Regions:
    """Look through HTML that was `made_safe`.

    Args:
        source: HTML.
        page: it is a page of a site: leave out what is around its main part. False: only what is not shown.
    """
    surveyor = _Surveyor(source, page=page)
    hidden = [element for element in surveyor.found if element.hidden]
    if not page:
        return Regions(dropped=_outermost(hidden))
    most = _MOST * surveyor.text
    noise = [each for each in surveyor.found if each.noise and (each.tag == "nav" or each.size <= most)]
    main = _main(surveyor, _Sizes(noise))
    # What is around the main part goes with it; a part of it may hold the main part.
    around = [each for each in noise if main is None or each.start > main.start]
    return Regions(
        dropped=_outermost([*hidden, *around]), main=None if main is None else (main.start, main.end)
    )


@dataclass(slots=True)
class _Element:
    tag: str
    start: int = 0
    before: int = 0
    """Characters of text before it."""
    end: int = 0
    after: int = 0
    says_main: bool = False
    may_be_main: bool = False
    noise: bool = False
    hidden: bool = False

    @property
    def size(self) -> int:
        return self.after - self.before


class _Surveyor(HTMLParser):
    """Lists the elements that may be noise or the main part, with how much text each holds."""

    def __init__(self, source: str, *, page: bool) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[_Element] = []
        self.text = 0
        self._page = page
        self._count = 0
        self._open: list[_Element] = []
        self._names: Counter[str] = Counter()
        self._silent = 0
        self.feed(source)
        self.close()
        while self._open:
            self._close(ended=False)

    def handle_starttag(self, tag: str, attrs: Attributes) -> None:
        self._count += 1
        if tag in VOID:
            return
        element = _Element(tag, self._count, self.text)
        if not self._silent:
            _judge(element, attrs, page=self._page, quoted=self._names["blockquote"] > 0)
        self._names[tag] += 1
        self._silent += element.hidden
        self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: Attributes) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        self._count += 1
        if self._names[tag]:
            while self._open[-1].tag != tag:
                self._close(ended=False)
            self._close(ended=True)

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.text += sum(map(len, data.split()))

    def _close(self, *, ended: bool) -> None:
        element = self._open.pop()
        self._names[element.tag] -= 1
        self._silent -= element.hidden
        # Nobody knows what an element without an end tag holds; script and style reach to the end.
        if ended or element.tag in ("script", "style"):
            element.end, element.after = self._count + (not ended), self.text
            if element.hidden or element.noise or element.says_main or element.may_be_main:
                self.found.append(element)


def _judge(element: _Element, attrs: Attributes, *, page: bool, quoted: bool) -> None:
    """Fill in what an element says of itself; a *quoted* footer names the one who is quoted."""
    tag = element.tag
    said = {name: value or "" for name, value in attrs}
    if tag in _NEVER or (tag == "a" and not _PERMALINKS.isdisjoint(said.get("class", "").split())):
        element.hidden = True
        return
    if not page:
        # On a page it is shown by a click, like the second of two tabs. Mail cannot do that.
        element.hidden = bool(_HIDING.search(said.get("style", "")))
        return
    role = said.get("role", "").strip().lower()
    names = frozenset(f"{said.get('class', '')} {said.get('id', '')}".lower().split())
    element.says_main = tag == "main" or role == "main"
    element.may_be_main = (
        tag == "article" or said.get("itemprop") == "articleBody" or not names.isdisjoint(_MAIN_NAMES)
    )
    noise = tag in _NOISE or role in _NOISE_ROLES or not names.isdisjoint(_NOISE_NAMES)
    element.noise = (
        noise and not element.says_main and tag not in ("html", "body") and not (tag == "footer" and quoted)
    )


class _Sizes:
    """How much of an element is not noise."""

    def __init__(self, noise: Sequence[_Element]) -> None:
        outer: list[_Element] = []
        for element in sorted(noise, key=lambda each: each.start):
            if not outer or element.start > outer[-1].end:
                outer.append(element)
        self._starts = [element.start for element in outer]
        self._sums = [0, *accumulate(element.size for element in outer)]
        self.total = self._sums[-1]

    def of(self, element: _Element) -> int:
        """Characters of text, noise inside it apart."""
        first, last = (bisect_right(self._starts, place) for place in (element.start, element.end))
        return element.size - (self._sums[last] - self._sums[first])


def _main(surveyor: _Surveyor, sizes: _Sizes) -> _Element | None:
    """The element that holds the page, if one of those that may does."""
    text = surveyor.text - sizes.total
    said = [each for each in surveyor.found if each.says_main and sizes.of(each) >= _SAID * text]
    if said:
        return max(said, key=sizes.of)
    least = max(_GUESSED * text, _FEWEST)
    guessed = [each for each in surveyor.found if each.may_be_main and sizes.of(each) >= least]
    if not guessed:
        return None
    largest = max(map(sizes.of, guessed))
    return min((each for each in guessed if sizes.of(each) >= _NEARLY * largest), key=lambda each: each.size)


def _outermost(elements: Sequence[_Element]) -> dict[int, int]:
    found: dict[int, int] = {}
    end = 0
    for element in sorted(elements, key=lambda each: each.start):
        if element.start > end:
            end = element.end
            found[element.start] = end
    return found
