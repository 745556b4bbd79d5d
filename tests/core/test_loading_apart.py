from __future__ import annotations

import gc
import io
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragweft.errors import LoadError, MissingExtra
from ragweft.loading.apart import Apart, pack, unpack

TASKS = """
import os, sys, time
from ragweft.errors import LoadError, MissingExtra

def do(header, body):
    return globals()[header["what"]](header, body)

def echo(header, body):
    print("noise of a library")
    os.write(1, b"more of it")
    return {"pid": os.getpid(), "said": header.get("said")}, body[::-1]

def know(header, body):
    return {"environment": dict(os.environ), "hash": hash("text"), "path": sys.path}, b""

def hang(header, body):
    while True:
        pass

def sleep(header, body):
    time.sleep(60)

def eat(header, body):
    held = []
    while True:
        held.append(bytearray(10_000_000))

def crash(header, body):
    os.abort()

def leave(header, body):
    os._exit(3)

def quit(header, body):
    os._exit(0)

def recurse(header, body):
    return recurse(header, body)

def refuse(header, body):
    raise LoadError("is not to my taste; cook it")

def pass_by(header, body):
    raise LoadError("is gone for now; try again") from OSError("gone")

def miss(header, body):
    raise MissingExtra(package="thing", extra="files")

def surprise(header, body):
    raise ZeroDivisionError("over\\nnought")

def crash_when_used(header, body, count=[]):
    count.append(1)
    if len(count) > 1:
        os.abort()
    return {"count": len(count)}, b""

def grow(header, body, held=[]):
    held.append(bytearray(150_000_000))
    return {"pid": os.getpid()}, b""
"""


@pytest.fixture(scope="module", autouse=True)
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("tasks")
    (folder / "made_tasks.py").write_text(textwrap.dedent(TASKS))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield folder


@pytest.fixture(scope="module")
def apart(tasks: Path) -> Iterator[Apart]:
    made = Apart("made_tasks:do", seconds=20.0, memory=2**31)
    yield made
    made.close()


def ended(pid: int) -> bool:
    """Whether a process is gone, or soon."""
    for _ in range(200):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


def test_one_process_answers_one_after_the_other(apart: Apart) -> None:
    body = os.urandom(3_000_000)
    first, said = apart.ask({"what": "echo", "said": "größe \ud800"}, body)
    assert said == body[::-1]
    assert first["said"] == "größe \ud800"
    second, said = apart.ask({"what": "echo"}, b"")
    assert (second["pid"], said) == (first["pid"], b"")
    assert second["pid"] != os.getpid()


def test_the_child_gets_no_secrets_and_hashes_as_always(apart: Apart, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-hush")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "hush")
    known, _ = apart.ask({"what": "know"}, b"")
    assert "hush" not in str(known["environment"])
    assert "" not in known["path"]
    assert str(Path.cwd()) not in known["path"] or str(Path.cwd()) in sys.path
    apart.close()
    assert apart.ask({"what": "know"}, b"")[0]["hash"] == known["hash"]


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("refuse", "is not to my taste; cook it"),
        ("recurse", "is nested too deep to be read; flatten it"),
        ("surprise", r"is damaged or not what its name says \(ZeroDivisionError: over nought\); save it anew"),
        ("no such task", "is damaged or not what its name says"),
    ],
)
def test_what_the_task_says_comes_back(apart: Apart, what: str, reason: str) -> None:
    pid = apart.ask({"what": "echo"}, b"")[0]["pid"]
    with pytest.raises(LoadError, match=reason) as caught:
        apart.ask({"what": what}, b"")
    assert str(caught.value).isprintable()
    assert not isinstance(caught.value.__cause__, OSError)
    assert apart.ask({"what": "echo"}, b"")[0]["pid"] == pid


def test_what_may_pass_is_told_apart(apart: Apart) -> None:
    with pytest.raises(LoadError, match="gone for now") as caught:
        apart.ask({"what": "pass_by"}, b"")
    assert isinstance(caught.value.__cause__, OSError)


def test_a_missing_package_is_named(apart: Apart) -> None:
    with pytest.raises(MissingExtra, match=r"thing is not installed: run  pip install 'ragweft\[files\]'"):
        apart.ask({"what": "miss"}, b"")


@pytest.mark.parametrize("what", ["hang", "sleep"])
def test_what_never_ends_is_ended(what: str) -> None:
    apart = Apart("made_tasks:do", seconds=1.0, memory=2**31)
    pid = apart.ask({"what": "echo"}, b"")[0]["pid"]
    with pytest.raises(LoadError, match="takes longer than 1 seconds to be read; split it, or raise") as caught:
        apart.ask({"what": what}, b"")
    assert isinstance(caught.value.__cause__, TimeoutError)
    assert ended(pid)
    assert apart.ask({"what": "echo"}, b"abc")[1] == b"cba"
    apart.close()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows limits no address space")
def test_memory_is_limited() -> None:
    apart = Apart("made_tasks:do", seconds=20.0, memory=400 * 2**20)
    for _ in range(2):
        with pytest.raises(LoadError, match="needs more than 400 MB of memory to be read; split it") as caught:
            apart.ask({"what": "eat"}, b"")
        assert isinstance(caught.value.__cause__, OSError)
    assert apart.ask({"what": "echo"}, b"abc")[1] == b"cba"
    apart.close()


@pytest.mark.parametrize(("what", "how"), [("crash", "SIGABRT"), ("leave", "status 3")])
def test_a_child_that_breaks_is_replaced(apart: Apart, what: str, how: str) -> None:
    if sys.platform == "win32":
        how = "status"
    for _ in range(2):
        with pytest.raises(LoadError, match=rf"its reader broke off \({how}") as caught:
            apart.ask({"what": what}, b"")
        assert not isinstance(caught.value.__cause__, OSError)
    assert apart.ask({"what": "echo"}, b"abc")[1] == b"cba"


def test_nobody_pays_for_what_was_read_before(apart: Apart) -> None:
    """A child that breaks at its second task is replaced, and the task done by the next one."""
    assert [apart.ask({"what": "crash_when_used"}, b"")[0]["count"] for _ in range(3)] == [1, 1, 1]


def test_a_child_that_leaves_without_an_answer_is_not_asked_for_ever(apart: Apart) -> None:
    with pytest.raises(LoadError, match="its reader broke off"):
        apart.ask({"what": "quit"}, b"")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="nobody counts memory here")
def test_a_child_that_has_grown_is_replaced() -> None:
    apart = Apart("made_tasks:do", seconds=20.0, memory=2**29)
    pids = [apart.ask({"what": "grow"}, b"")[0]["pid"] for _ in range(4)]
    assert 1 < len(set(pids)) < 4
    apart.close()


def test_closing_and_forgetting_end_the_child() -> None:
    apart = Apart("made_tasks:do", seconds=20.0, memory=2**31)
    pid = apart.ask({"what": "echo"}, b"")[0]["pid"]
    apart.close()
    assert ended(pid)
    apart.close()
    pid = apart.ask({"what": "echo"}, b"")[0]["pid"]
    del apart
    gc.collect()
    assert ended(pid)


def test_threads_take_turns(apart: Apart) -> None:
    said: list[bytes] = []

    def ask(number: int) -> None:
        said.extend(apart.ask({"what": "echo"}, bytes([number]) * 1_000)[1] for _ in range(20))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(said) == sorted(bytes([number]) * 1_000 for number in range(4) for _ in range(20))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_fork_has_a_child_of_its_own(apart: Apart) -> None:
    pid = apart.ask({"what": "echo"}, b"")[0]["pid"]
    reader, writer = os.pipe()
    forked = os.fork()
    if forked == 0:
        status = 1
        try:
            other = apart.ask({"what": "echo"}, b"")[0]["pid"]
            os.write(writer, str(other).encode())
            apart.close()
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    _, status = os.waitpid(forked, 0)
    assert status == 0
    with os.fdopen(reader, "rb") as pipe:
        assert int(pipe.read()) != pid
    assert apart.ask({"what": "echo"}, b"")[0]["pid"] == pid


PROGRAM = """
import sys
sys.path.insert(0, {tasks!r})
from ragweft.loading.apart import Apart
apart = Apart("made_tasks:do", seconds=50.0, memory=2**31)
print(apart.ask({{"what": "echo"}}, b"")[0]["pid"], flush=True)
apart.ask({{"what": {what!r}}}, b"")
"""


def program(tmp_path: Path, tasks: Path, what: str) -> tuple[subprocess.Popen[str], int]:
    """A script without a `__main__` guard that has a child at work, and that child."""
    script = tmp_path / "script.py"
    script.write_text(PROGRAM.format(tasks=str(tasks), what=what))
    running = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)},
        start_new_session=True,
    )
    assert running.stdout is not None
    return running, int(running.stdout.readline())


@pytest.mark.parametrize("what", ["hang", "sleep"])
def test_a_child_does_not_outlive_a_killed_parent(tmp_path: Path, tasks: Path, what: str) -> None:
    running, pid = program(tmp_path, tasks, what)
    running.kill()
    running.communicate()
    assert ended(pid)


@pytest.mark.skipif(sys.platform == "win32", reason="no process groups to interrupt")
def test_ctrl_c_ends_both_at_once(tmp_path: Path, tasks: Path) -> None:
    running, pid = program(tmp_path, tasks, "hang")
    time.sleep(0.3)
    os.killpg(running.pid, signal.SIGINT)
    _, errors = running.communicate(timeout=20)
    assert "KeyboardInterrupt" in errors
    assert ended(pid)


def test_an_idle_child_goes_and_is_not_missed() -> None:
    apart = Apart("made_tasks:do", seconds=20.0, memory=2**31, idle=0.1)
    pid = apart.ask({"what": "echo"}, b"")[0]["pid"]
    assert ended(pid)
    assert apart.ask({"what": "echo"}, b"abc")[1] == b"cba"
    apart.close()


def test_a_child_that_was_killed_meanwhile_is_not_missed(apart: Apart) -> None:
    psutil.Process(apart.ask({"what": "echo"}, b"")[0]["pid"]).kill()
    assert apart.ask({"what": "echo"}, b"abc")[1] == b"cba"


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.none()), st.binary())
def test_frames_come_out_as_they_went_in(header: dict[str, object], body: bytes) -> None:
    assert unpack(io.BytesIO(pack(header, body))) == (header, body)


@given(st.binary(max_size=64))
def test_what_is_no_frame_is_an_os_error(data: bytes) -> None:
    with pytest.raises(OSError, match=r"gone|frame"):
        unpack(io.BytesIO(data))


def test_repr() -> None:
    assert repr(Apart("a:b", seconds=1.5, memory=2)) == "Apart('a:b', seconds=1.5, memory=2)"
