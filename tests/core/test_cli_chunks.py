"""`ragweft chunks`: what a file becomes, in words, as JSON and as a page."""

from __future__ import annotations

import json
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from cli_runner import Cli, settled
from conftest import GUIDE
from ragweft import Index
from ragweft.recipe import Chunking, Recipe

TEXT = GUIDE + "\n".join(f'\n## More <{n}> & "such"\n\n' + f"Line {n} goes on and on. " * 40 for n in range(6))


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    settled(monkeypatch, tmp_path)
    (tmp_path / "guide.md").write_text(TEXT)
    return Cli(capsys)


class Page(HTMLParser):
    """The text of the <pre>, without labels and tips."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.text, self.tips = "", 0
        self._aside, self._inside = 0, False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        kind = dict(attrs).get("class")
        self._inside = self._inside or tag == "pre"
        if self._aside or kind in ("n", "tip"):
            self._aside += 1
            self.tips += kind == "tip"

    def handle_endtag(self, tag: str) -> None:
        self._aside -= bool(self._aside)
        self._inside = self._inside and tag != "pre"

    def handle_data(self, data: str) -> None:
        if self._inside and not self._aside:
            self.text += data


def test_json_says_everything(cli: Cli) -> None:
    said = json.loads(cli("chunks", "guide.md", "--recipe", "chunking.size=200", "--json").out)
    assert said["size"] == 200
    assert said["format"] == "markdown"
    for chunk in said["chunks"]:
        start, end = chunk["span"]
        assert TEXT[start:end] == chunk["text"]
        assert chunk["tokens"] + chunk["context_tokens"] <= 200
        assert chunk["lines"][0] == TEXT.count("\n", 0, start) + 1
    assert any(chunk["context"] for chunk in said["chunks"])


def test_words_name_each_chunk(cli: Cli) -> None:
    shown = cli("chunks", "guide.md")
    assert shown.code == 0
    assert re.search(r"^\[1\] lines 1-\d+  \d+ \+ \d+ tokens", shown.out)
    assert "| " in shown.out
    assert re.search(r"\d+ chunks of \d+ to \d+ tokens with their contexts.*limit 480", shown.out)
    assert [path.name for path in Path(".ragweft").iterdir()] == ["ragweft.toml"], "nothing is stored"


def test_the_page_holds_the_text_as_it_is(cli: Cli) -> None:
    done = cli("chunks", "guide.md", "--recipe", "chunking.size=200", "--html", "out.html")
    assert (done.code, done.out) == (0, "")
    assert "written: out.html" in done.err
    html = Path("out.html").read_text()
    page = Page()
    page.feed(html)
    assert page.text == TEXT
    assert page.tips > 5
    assert "<0>" not in html
    assert "http" not in re.sub(r"xmlns=\S+", "", html), "nothing is loaded from elsewhere"
    assert unescape(html).count("Chunk 1:") == 1


def test_an_index_lends_its_recipe(cli: Cli) -> None:
    Index.open(".ragweft", recipe=Recipe(chunking=Chunking(size=222))).close()
    assert json.loads(cli("chunks", "guide.md", "--json").out)["size"] == 222


def test_empty_and_missing_files(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "empty.md").write_text("")
    empty = cli("chunks", "empty.md")
    assert (empty.code, empty.out) == (0, "")
    assert "no chunks" in empty.err
    assert cli("chunks", "none.md").code == 1
    assert cli("chunks", "guide.md", "--html", "no/such/place.html").code == 1
