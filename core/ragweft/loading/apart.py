"""Work on untrusted bytes in a process of its own, which can be ended at any moment.

An `Apart` starts `python -m ragweft.loading.apart_child` when it is first asked and keeps it for what is asked
next: a thousand files need one interpreter. It neither forks nor uses multiprocessing, so it works from
threads, notebooks and scripts without a `__main__` guard. What the child may and may not do stands in
`apart_child`.

A request and its answer are frames: the lengths of a JSON header and of a body, then both.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import struct
import subprocess
import sys
import threading
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from ragweft.errors import LoadError, MissingExtra

__all__ = ["OUT_OF_MEMORY", "Apart", "Header", "pack", "unpack"]

Header: TypeAlias = "Mapping[str, Any]"

OUT_OF_MEMORY = 75
"""Exit status of a child that watched its own memory."""
_LENGTHS = struct.Struct(">II")
_LARGEST = 2**30
"""Bytes of a frame: a child that claims more is not believed."""
_TRIES = 3
_IDLE_SECONDS = 60.0
_KEPT = frozenset(
    (
        "DYLD_FALLBACK_LIBRARY_PATH",
        "DYLD_LIBRARY_PATH",
        "HOME",
        "LANG",
        "LC_ALL",
        "LC_CTYPE",
        "LD_LIBRARY_PATH",
        "PATH",
        "PYTHONHOME",
        "SYSTEMROOT",
        "TEMP",
        "TMP",
        "TMPDIR",
        "VIRTUAL_ENV",
    )
)
"""What of the environment a child is given: enough to start, no keys or passwords."""


class Apart:
    """Does one task in a child process; safe to use from threads, which take turns.

    Args:
        task: `package.module:function`, an `apart_child.Task`.
        seconds: what one request may take, waiting included; the child is killed then.
        memory: bytes of address space the child may use, on systems that can hold it to that: Linux and other
            Unixes; on macOS what it really uses is watched; on Windows there is no limit.
        idle: seconds without a request after which the child ends by itself.
    """

    _asked: bool
    """Whether the child there is was asked something before."""

    def __init__(self, task: str, *, seconds: float, memory: int, idle: float = _IDLE_SECONDS) -> None:
        self._idle = idle
        self._task = task
        self._seconds = seconds
        self._memory = memory
        self._forget()

    def __repr__(self) -> str:
        return f"Apart({self._task!r}, seconds={self._seconds:g}, memory={self._memory})"

    def ask(self, header: Header, body: bytes) -> tuple[Header, bytes]:
        """Have the task done.

        Raises:
            LoadError: the task said so, or took too much time or memory, or broke the child. `__cause__` is an
                OSError if that may pass. The message is a reason, without the name of what was read.
            MissingExtra: a package the task needs cannot be imported in the child.
        """
        if len(body) > _LARGEST // 2:
            raise LoadError(
                f"larger than {_LARGEST // 2:,} bytes, which is more than any reader takes; split it"
            )
        frame = pack({**header, "seconds": self._seconds + 1.0}, body)
        if os.getpid() != self._owner:
            # Forked: the child belongs to the process that started it, and so does the lock.
            self._disown()
        with self._lock:
            lost = ""
            for _ in range(_TRIES):
                child = self._started()
                first = not self._asked
                self._asked = True
                try:
                    answer = _exchange(child, frame, self._seconds)
                except OSError as error:
                    if isinstance(error, TimeoutError):
                        self._stop()
                        raise LoadError(self._too_slow()) from error
                    lost = self._cause_of_death(child)
                except BaseException:
                    # Ctrl-C, above all: what the child says next would answer another question.
                    self._stop()
                    raise
                else:
                    lost = "memory" if answer[0].get("failed") == "memory" else ""
                    if not lost:
                        return _believed(*answer)
                self._stop()
                # Idle ones end by themselves. And nobody pays for what was read before in the same process.
                if first and lost != "idle":
                    break
            raise self._broken(lost)

    def close(self) -> None:
        """End the child. The next request starts another."""
        if os.getpid() != self._owner:
            self._disown()
        with self._lock:
            self._stop()

    def _forget(self) -> None:
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._ender: weakref.finalize[[subprocess.Popen[bytes], int], Apart] | None = None
        self._asked = False

    def _disown(self) -> None:
        child = self._child
        if child is not None:
            _shut(child)
            # It is not ours to wait for: nothing is left to be warned of.
            child.returncode = 0
        if self._ender is not None:
            self._ender.detach()
        self._forget()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._child is not None and self._child.poll() is None:
            return self._child
        self._stop()
        try:
            self._child = _start(self._task, self._memory, self._idle)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise LoadError(
                f"no process could be started to read it in ({reason}); free some memory and try again"
            ) from error
        self._asked = False
        self._ender = weakref.finalize(self, _end, self._child, self._owner)
        return self._child

    def _stop(self) -> None:
        self._child = None
        if self._ender is not None:
            self._ender()
            self._ender = None

    def _cause_of_death(self, child: subprocess.Popen[bytes]) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            # Its end of the pipe is closed: it is about to end, or does what no child of ours does.
            child.wait(timeout=5.0)
        status = child.returncode
        if status == 0:
            return "idle"
        if status == OUT_OF_MEMORY:
            return "memory"
        if status is not None and status == -getattr(signal, "SIGALRM", 0):
            return "time"
        if status is not None and status < 0:
            with contextlib.suppress(ValueError):
                return signal.Signals(-status).name
        return f"status {status}"

    def _broken(self, lost: str) -> LoadError:
        if lost == "time":
            error = LoadError(self._too_slow())
            error.__cause__ = TimeoutError()
            return error
        room = f"{self._memory // 2**20:,} MB of memory"
        if lost == "memory":
            error = LoadError(
                f"needs more than {room} to be read; split it, or raise max_memory under [loading] in "
                "ragweft.toml"
            )
            error.__cause__ = OSError(errno.ENOMEM, "out of memory")
            return error
        return LoadError(
            f"its reader broke off ({lost}): it is damaged, or needs more than {room}; save it anew, or "
            "exclude it in .ragweftignore"
        )

    def _too_slow(self) -> str:
        return (
            f"takes longer than {self._seconds:g} seconds to be read; split it, or raise max_seconds under "
            "[loading] in ragweft.toml"
        )


def pack(header: Header, body: bytes) -> bytes:
    """A frame."""
    head = json.dumps(header).encode("ascii")
    return b"".join((_LENGTHS.pack(len(head), len(body)), head, body))


def unpack(source: BinaryIO) -> tuple[Header, bytes]:
    """The next frame of *source*, which is unbuffered.

    Raises:
        OSError: it ends before, or is no frame.
    """
    head, body = _LENGTHS.unpack(_exactly(source, _LENGTHS.size))
    if head + body > _LARGEST:
        raise OSError(errno.EMSGSIZE, "a frame is too large")
    try:
        header = json.loads(_exactly(source, head))
    except (ValueError, RecursionError) as error:
        raise OSError(errno.EBADMSG, "a frame has no header") from error
    if not isinstance(header, dict):
        raise OSError(errno.EBADMSG, "a frame has no header")
    return header, _exactly(source, body)


def _exactly(source: BinaryIO, size: int) -> bytes:
    pieces: list[bytes] = []
    while size > 0:
        piece = source.read(min(size, 2**20))
        if not piece:
            raise OSError(errno.EPIPE, "the other end is gone")
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def _start(task: str, memory: int, idle: float) -> subprocess.Popen[bytes]:
    if not sys.executable or getattr(sys, "frozen", False):
        raise OSError(errno.ENOSYS, "this program has no Python interpreter beside it")
    own = str(Path(__file__).parents[2])
    path = os.pathsep.join(dict.fromkeys((*filter(None, sys.path), own)))
    kept = {name: value for name, value in os.environ.items() if name.upper() in _KEPT}
    return subprocess.Popen(
        # -P: a module of the working directory must not stand in for one of ours.
        [sys.executable, "-P", "-m", "ragweft.loading.apart_child", task, str(memory), str(idle)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        # The same bytes give the same text, also where a library goes through a set.
        env={**kept, "PYTHONPATH": path, "PYTHONHASHSEED": "0"},
    )


def _exchange(child: subprocess.Popen[bytes], frame: bytes, seconds: float) -> tuple[Header, bytes]:
    """Send a frame and wait for the answer.

    Raises:
        OSError: the child is gone; a TimeoutError if it was killed because time was up.
    """
    late = threading.Event()

    def kill() -> None:
        late.set()
        child.kill()

    if child.stdin is None or child.stdout is None:
        raise OSError(errno.EPIPE, "no pipes")
    timer = threading.Timer(seconds, kill)
    timer.daemon = True
    timer.start()
    try:
        rest = memoryview(frame)
        while rest:
            rest = rest[os.write(child.stdin.fileno(), rest) :]
        return unpack(child.stdout)  # type: ignore[arg-type]
    except OSError as error:
        if late.is_set():
            raise TimeoutError(errno.ETIMEDOUT, f"no answer within {seconds:g} s") from error
        raise
    finally:
        timer.cancel()


def _believed(header: Header, body: bytes) -> tuple[Header, bytes]:
    """An answer of the task, or what it failed of."""
    failed = header.get("failed")
    if failed == "missing":
        raise MissingExtra(package=str(header.get("package")), extra=str(header.get("extra")))
    if failed is not None:
        error = LoadError(str(header.get("reason")))
        error.__cause__ = OSError("may pass") if header.get("passing") else None
        raise error
    return header, body


def _end(child: subprocess.Popen[bytes], owner: int) -> None:
    """Kill a child and forget it, unless this is a fork of the process that started it."""
    if os.getpid() != owner:
        return
    child.kill()
    _shut(child)
    child.wait()


def _shut(child: subprocess.Popen[bytes]) -> None:
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
