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


def rendered(cli: Cli, file: str, *recipe: str) -> str:
    spec = ("--recipe", ",".join(recipe)) if recipe else ()
    assert cli("chunks", file, *spec, "--html", "out.html").code == 0
    return Path("out.html").read_text()


def test_every_piece_of_a_chunk_says_its_number_and_the_first_shows_it(cli: Cli) -> None:
    html = rendered(cli, "guide.md", "chunking.size=150", "chunking.strategy=sentence", "chunking.overlap=0.4")
    pieces = re.findall(r'<span class="(c[^"]*)"[^>]*? data-c="([^"]+)"( data-n="\d+")?', html)
    count = len(json.loads(cli("chunks", "guide.md", "--recipe", SENTENCES, "--json").out)["chunks"])
    several = [numbers.split() for kind, numbers, _ in pieces if "two" in kind.split()]
    assert several, "chunks overlap"
    assert all(len(numbers) > 1 for numbers in several)
    assert {int(n) for _, numbers, _ in pieces for n in numbers.split()} == set(range(count))
    shown = [re.sub(r"\D", "", label) for _, _, label in pieces if label]
    assert shown == [str(n) for n in range(1, count + 1)], "each number once, where its chunk begins"
    assert all(("line" in kind.split()) <= bool(label) for kind, _, label in pieces)
    assert html.count("<script>") == 1


SENTENCES = "chunking.size=150,chunking.strategy=sentence,chunking.overlap=0.4"


def test_the_page_goes_by_the_direction_of_what_it_shows(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "arabic.md").write_text("# مفاتيح التوقيع.\n\nتدور المفاتيح كل ثلاثين يوما.\n")
    html = rendered(cli, "arabic.md")
    assert '<h1 dir="auto">مفاتيح التوقيع.</h1>' in html
    assert "unicode-bidi: plaintext" in html[html.index("pre {") :].partition("}")[0]
    assert "<bdi>arabic.md</bdi>" in html
    assert '<i dir="auto">' in html


def test_how_it_is_cut_is_said_in_words(cli: Cli) -> None:
    fingerprint = json.loads(cli("chunks", "guide.md", "--json").out)["fingerprint"]
    words = "cut by structure, overlaps up to 15 %, contexts from title and headings (outline)"
    shown = cli("chunks", "guide.md").out
    assert shown.splitlines()[-1].endswith(f"(limit 480); {words}")
    assert fingerprint not in shown
    html = rendered(cli, "guide.md")
    assert f'<span title="{fingerprint}">{words}</span>' in html
    assert html.count(fingerprint) == 1
    plain = cli(
        "chunks", "guide.md", "--recipe", "chunking.strategy=fixed,chunking.overlap=0,context.kind=none"
    ).out
    assert plain.splitlines()[-1].endswith("; cut by number of tokens, no overlaps, without contexts")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("One line.\n", r"1 chunk of \d+ tokens with its context \(limit 480\)"),
        (
            "# A\n\n" + "Words and words. " * 150,
            r"2 chunks of \d+ to \d+ tokens with their contexts \(limit 480\)",
        ),
    ],
)
def test_the_summary_counts_as_people_do(cli: Cli, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "some.md").write_text(text)
    out = cli("chunks", "some.md").out
    assert re.match(said, out.splitlines()[-1]), out.splitlines()[-1]


def test_a_file_without_lines_or_pages_has_no_place(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "a.eml").write_text("From: a@b.org\nSubject: Keys\n\nTwo words.\n")
    shown = cli("chunks", "a.eml")
    assert re.match(r"\[1\] \d+ \+ \d+ tokens", shown.out), shown.out
    assert "somewhere" not in shown.out + rendered(cli, "a.eml")
    assert re.search(r"<b>Chunk 1: \d+ \+ \d+ tokens</b>", rendered(cli, "a.eml"))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("folder", None, "is a folder; name a file in it, or index all of it with  ragweft sync folder"),
        ("noext", b"Plain words.\n", "but it is text; give it a known suffix (.txt, .md)"),
        ("some.xyz", "Wörter.\n".encode("utf-16"), "but it is text; give it a known suffix (.txt, .md)"),
        ("large.xyz", "Wörter und Sätze.\n".encode() * 5_000, "but it is text; give it a known suffix"),
        ("binary.xyz", bytes(range(256)), "files of this type are not read; convert it to text"),
    ],
)
def test_what_is_no_file_of_a_known_type(
    cli: Cli, tmp_path: Path, name: str, content: bytes | None, said: str
) -> None:
    if content is None:
        (tmp_path / name).mkdir()
    else:
        (tmp_path / name).write_bytes(content)
    ran = cli("chunks", name)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith(f"error: {name}: ")
    assert said in ran.err
