"""A watched folder whose contexts a model writes: a real process, asked for what a change needs and no more."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cli_runner import command, environment
from context_index import asked, body, chunks_of, port_folder, spec, written
from context_made import KEY, paragraph
from provider_double.chat import ChatDouble

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals as Unix has them")


def test_a_watched_change_is_asked_for_and_nothing_else(tmp_path: Path) -> None:
    pytest.importorskip("watchfiles")
    port = port_folder(tmp_path)
    log = port / "more.txt"
    log.write_text(body(30, 6))
    with ChatDouble() as double:
        process = subprocess.Popen(
            command("sync", str(port), "--index", "kb", "--recipe", spec(double), "--watch", "--json"),
            cwd=tmp_path,
            env={**environment(), "ANTHROPIC_API_KEY": KEY},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            assert process.stderr is not None

            def report() -> dict[str, Any]:
                assert process.stdout is not None
                found: dict[str, Any] = json.loads(process.stdout.readline())
                return found

            first = report()
            whole = asked(double)
            assert first["usage"]["calls"] == whole > 4
            assert process.stderr.readline().startswith("watching 1 path")

            before = {chunk.text for chunk in chunks_of(tmp_path / "kb", str(log))}
            log.write_text(body(30, 6) + "\n" + paragraph(36, length=280) + "\n")
            second = report()
            assert second["updated"] == 1, second
            more = asked(double) - whole
            new = {chunk.text for chunk in chunks_of(tmp_path / "kb", str(log))} - before
            assert len(new) <= more <= len(new) + 1, (
                "what is new, and the chunk that now has something after it"
            )
            assert more < whole / 2
            assert second["usage"]["calls"] == more
            assert second["usage"]["usd"] + first["usage"]["usd"] == pytest.approx(double.usd)

            log.rename(port / "renamed.txt")
            assert report()["usage"]["calls"] == 0
            assert asked(double) == whole + more
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
            process.communicate()
    assert process.returncode == 0, err
    assert (out, KEY in err) == ("", False)
    assert all(written(chunks_of(tmp_path / "kb", str(port / "renamed.txt"))))
