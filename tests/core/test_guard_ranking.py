"""The exact ranking of a small collection: a change of quality is made on purpose, or not at all.

If this fails after a change of ranking that `benchmarks/quality.py` shows to be for the better, print the new
order with `ragweft`'s scores and write it down here; otherwise the change broke something.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest

from conftest import FLAT
from ragweft import Chunk, Index

PASSAGES = {
    "keys": [
        "Every service holds a signing key. The key is created when the service is registered with the vault.",
        "Run `vault rotate --now` to rotate a signing key. The old key stays valid for one hour.",
        "A key that was lost or stolen is revoked with `vault revoke`. Tell the owners of the service at once.",
        "Keys expire after ninety days; a warning is sent by mail two weeks before.",
        "The audit log lists who created, rotated or revoked each key, and from which address.",
    ],
    "server": [
        "class RequestHandler: answers requests of one connection and closes it when the peer falls silent.",
        "def parse_header(line): name, _, value = line.partition(':'); return name.strip(), value.strip()",
        "def handleTimeout(self, seconds): self.connection.settimeout(seconds)",
        "The listener accepts up to 512 connections; further clients wait in the backlog of the socket.",
        "Responses larger than 64 kB are compressed with gzip unless the client refuses the encoding.",
    ],
    "kitchen": [
        "Butter the bread, pour custard over it and bake the pudding for forty minutes.",
        "Simmer the rice in milk with a stick of cinnamon until it is soft, stirring now and then.",
        "Knead flour, water, salt and yeast for ten minutes; let the dough rise until it has doubled.",
        "Roast the vegetables in a hot oven with olive oil and rosemary; they should be brown at the edges.",
        "A sauce that has curdled can be saved by whisking in a spoon of cold water.",
    ],
    "sea": [
        "The moon and the sun raise the tides; when they pull in one line the tide is highest.",
        "A ship leaves harbour at high water, when there is enough depth over the bar.",
        "Barnacles and weed grow on the hull and slow a vessel; it is scraped and painted every other year.",
        "In fog a boat sounds its horn every two minutes and keeps a lookout at the bow.",
        "The anchor holds best in sand or mud; let out chain five times as long as the water is deep.",
    ],
    "garden": [
        "Prune roses in late winter, above a bud that faces outwards, with clean and sharp shears.",
        "Compost needs air: turn the heap once a month and mix green cuttings with dry leaves.",
        "Water young trees deeply once a week rather than a little every day.",
        "Slugs come out at night; collect them by torchlight or lay boards they hide under.",
        "Sow carrots where onions grew last year: the smell keeps the carrot fly away.",
    ],
    "database": [
        "A transaction is committed once its pages are in the write-ahead log and the log is on disk.",
        "A checkpoint copies pages from the log to the database file and starts the log afresh.",
        "An index on the column lets the planner find rows without reading the whole table.",
        "Two transactions that wait for one another are in deadlock; the younger one is rolled back.",
        "Backups are taken from a snapshot, so that writers are not held up while it is copied.",
    ],
}

EXPECTED = {
    "how do I rotate a signing key?": ["keys-2", "keys-1", "keys-5", "keys-3", "keys-4"],
    "what closes a connection when the client says nothing": [
        "server-1",
        "server-4",
        "server-5",
        "server-3",
        "server-2",
    ],
    "handleTimeout": ["server-3", "server-1", "server-4", "server-5", "server-2"],
    "how much water is needed": ["garden-2", "sea-2", "kitchen-5", "sea-5", "garden-3"],
    "what is written to the log": ["database-1", "database-2", "database-5", "keys-5", "database-4"],
    "cleaning the bottom of a vessel": ["sea-3", "garden-1", "kitchen-5", "sea-2", "sea-4"],
    "protect vegetables from insects in the garden": [
        "kitchen-4",
        "kitchen-5",
        "kitchen-2",
        "kitchen-1",
        "kitchen-3",
    ],
    "when is a transaction safe on disk": [
        "database-1",
        "database-4",
        "database-5",
        "database-3",
        "database-2",
    ],
}


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    with Index.open(tmp_path_factory.mktemp("guard") / "kb", recipe=FLAT) as index:
        index.add(
            Chunk(id=f"{document}-{number}", document_id=document, text=text)
            for document, texts in PASSAGES.items()
            for number, text in enumerate(texts, start=1)
        )
        yield index


@pytest.mark.parametrize("query", EXPECTED)
def test_the_ranking_is_the_one_written_down(collection: Index, query: str) -> None:
    results = collection.search(query, k=6)
    assert [hit.chunk.id for hit in results[:5]] == EXPECTED[query]
    # No two neighbours so near that another machine's rounding could change their places.
    assert all(above.score - below.score > 1e-4 for above, below in pairwise(results))
