"""The process `Apart` works in: `python -m ragweft.loading.apart_child TASK BYTES SECONDS`.

It has limits on its address space and on the time of each request, its environment holds no secrets, and it
ends when its input does, so that it never outlives the process it works for. It ends by itself when it is idle,
or has become large: its parent starts another.
"""

from __future__ import annotations

import importlib
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn, TypeAlias, cast

from ragweft.errors import LoadError, MissingExtra
from ragweft.loading.apart import OUT_OF_MEMORY, Header, pack, unpack

__all__ = ["Task", "main"]

Task: TypeAlias = Callable[[Header, bytes], tuple[Header, bytes]]
"""What is done: header and body of a request to those of an answer.

A LoadError is answered as such."""

_LOOK_SECONDS = 0.05


def main() -> NoReturn:
    """Answer until nobody asks any more."""
    # Ctrl-C reaches the whole group of processes; the parent hears it and ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Path(os.devnull).open("w+b") as nothing:
        orders, answers = os.fdopen(os.dup(0), "rb", buffering=0), os.fdopen(os.dup(1), "wb", buffering=0)
        # Whatever a library reads or prints must not get between the frames.
        os.dup2(nothing.fileno(), 0)
        os.dup2(nothing.fileno(), 1)
    name, memory, idle = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    _hold_memory(memory)
    asked: queue.SimpleQueue[tuple[Header, bytes]] = queue.SimpleQueue()

    def listen() -> None:
        while True:
            try:
                asked.put(unpack(orders))
            except MemoryError:
                os._exit(OUT_OF_MEMORY)
            except OSError:
                # Nobody is left to answer. The main thread may be in the middle of a file that never ends.
                os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    task: Task | None = None
    while True:
        try:
            header, body = asked.get(timeout=idle)
        except queue.Empty:
            os._exit(0)
        _allow(float(header.get("seconds", 0.0)))
        answer, task = _answer(name, task, header, body)
        _allow(0.0)
        rest = memoryview(answer)
        while rest:
            rest = rest[answers.write(rest) or 0 :]
        if _held() > memory // 2:
            os._exit(0)


def _answer(name: str, task: Task | None, header: Header, body: bytes) -> tuple[bytes, Task | None]:
    """The frame of an answer, and the task, which is imported for the first."""
    try:
        if task is None:
            module, _, function = name.partition(":")
            task = cast("Task", getattr(importlib.import_module(module), function))
        return pack(*task(header, body)), task
    except MissingExtra as error:
        return pack({"failed": "missing", "package": error.package, "extra": error.extra}, b""), task
    except LoadError as error:
        passing = isinstance(error.__cause__, OSError)
        return pack({"failed": "load", "reason": str(error), "passing": passing}, b""), task
    except MemoryError:
        return pack({"failed": "memory"}, b""), task
    except RecursionError:
        reason = "is nested too deep to be read; flatten it"
        return pack({"failed": "load", "reason": reason}, b""), task
    except Exception as error:  # noqa: BLE001 (what surprises a parser is the fault of the file)
        said = " ".join(str(error).split())[:200]
        what = f"{type(error).__name__}: {said}" if said else type(error).__name__
        reason = f"is damaged or not what its name says ({what}); save it anew"
        return pack({"failed": "load", "reason": reason}, b""), task


def _hold_memory(memory: int) -> None:
    """Have the system refuse more than *memory* bytes; watch them where it will not."""
    try:
        import resource
    except ImportError:  # Windows has none
        return
    with suppress(ValueError, OSError):
        # What people's files hold is not to be written to disk after a crash.
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "darwin":
        threading.Thread(target=_watch_memory, args=(memory,), daemon=True).start()
        return
    with suppress(ValueError, OSError):
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        limit = memory if most == resource.RLIM_INFINITY else min(memory, most)
        resource.setrlimit(resource.RLIMIT_AS, (limit, most))


def _watch_memory(memory: int) -> NoReturn:
    while _held() <= memory:
        time.sleep(_LOOK_SECONDS)
    os._exit(OUT_OF_MEMORY)


def _held() -> int:
    """About how many bytes of memory this process holds; 0 where that is not known."""
    try:
        # Not `ru_maxrss`: on Linux a child begins with the peak of the process it was started from.
        pages = Path("/proc/self/statm").read_bytes().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        pass
    if sys.platform != "darwin":
        return 0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _allow(seconds: float) -> None:
    """Have the system end this process after *seconds*, should its parent not; 0: let it live."""
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, seconds)


if __name__ == "__main__":
    main()
