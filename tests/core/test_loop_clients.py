"""Clients of event loops: whoever is cut off takes the client along, and nobody else is disturbed."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from ragweft.providers.loop_clients import LoopClients


@dataclass(eq=False)
class Client:
    closed: bool = False

    async def aclose(self) -> None:
        await asyncio.sleep(0)
        self.closed = True


def clients() -> LoopClients[Client]:
    return LoopClients(Client, lambda client: client.aclose())


async def hanging(held: LoopClients[Client], entered: list[Client]) -> None:
    async with held.lent() as client:
        entered.append(client)
        await asyncio.Event().wait()


async def cut_off(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def test_a_client_serves_until_a_request_is_cut_off() -> None:
    async def main() -> None:
        held, entered = clients(), list[Client]()
        for _ in range(2):
            with suppress(ValueError):
                async with held.lent() as client:
                    entered.append(client)
                    raise ValueError
        first = asyncio.create_task(hanging(held, entered))
        second = asyncio.create_task(hanging(held, entered))
        await asyncio.sleep(0)
        old = entered[0]
        assert entered == [old] * 4, "a refusal is no reason"
        await cut_off(first)
        assert not old.closed, "the other's request is under way on it"
        async with held.lent() as new:
            assert new is not old
        await cut_off(second)
        assert old.closed
        async with held.lent() as client:
            assert client is new, "what was cut off was on another"
        assert not new.closed
        await held.aclose()
        await held.aclose()
        assert new.closed

    asyncio.run(main())


def test_who_is_cancelled_again_leaves_nothing_open() -> None:
    async def main() -> None:
        held, entered = clients(), list[Client]()
        task = asyncio.create_task(hanging(held, entered))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
        await cut_off(task)
        while not entered[0].closed:
            await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(main(), 10))


def test_a_client_that_cannot_be_closed_does_not_hide_that_a_request_was_cut_off(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def broken(_: Client) -> None:
        raise OSError("no such socket")

    async def main() -> None:
        held, entered = LoopClients(Client, broken), list[Client]()
        task = asyncio.create_task(hanging(held, entered))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert "could not be closed: no such socket" in caplog.text


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the library calls it so)
        pass


@pytest.fixture
def address() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answer) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_any_number_of_cut_off_requests_leave_room_for_the_next(address: str) -> None:
    """With one client for all, its four connections are lost after a few of them."""
    chance = random.Random(4)

    async def main() -> int:
        held = LoopClients(
            lambda: httpx.AsyncClient(limits=httpx.Limits(max_connections=4), timeout=5.0),
            lambda client: client.aclose(),
        )

        async def get() -> int:
            async with held.lent() as client:
                return (await client.get(address)).status_code

        for _ in range(60):
            tasks = [asyncio.create_task(get()) for _ in range(6)]
            for _ in range(chance.randrange(40)):
                await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        try:
            return await get()
        finally:
            await held.aclose()

    assert asyncio.run(main()) == 200
