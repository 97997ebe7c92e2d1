"""How every box starts: behind a gate, so that it is in its control group before it becomes anything.

The first process is a line of `sh`, which waits for a line on standard input. The launcher writes there where the
group's entrances are; the process enters by each, or ends, and becomes the rest of its command. What the shell's
`read` has taken is that line and no byte more (POSIX: it reads unseekable input byte by byte), so the conversation
follows on the same pipe. (A process that enters by itself is in at once; moving another can take the kernel 10 ms.)
What it becomes puts up walls with bubblewrap, at every tier; here is also how one knows that they are up.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
from collections.abc import Awaitable, Mapping, Sequence

from plans.errors import BoxFailed
from sandbox.cgroups import Cgroup

_ENTER = 'read -r doors && for door in $doors; do echo 0 > "$door" || exit 1; done && exec "$@"'
GATE = ("/bin/sh", "-c", _ENTER, "gate")
"""The first words of a box's command line."""

STARTING_S = 10.0
"""How long bubblewrap may take to have its walls up."""

Process = asyncio.subprocess.Process


async def launch(
    words: Sequence[str],
    group: Cgroup,
    passed: Sequence[int] = (),
    environment: Mapping[str, str] | None = None,
) -> Process:
    """Start a command that begins with `GATE`, in a group, from this thread; its end would be the box's end.

    Args:
        passed: open files that the process inherits, beside the launcher's pipes; no other.

    Raises:
        BoxFailed: it cannot be started; nothing runs then, nor when it cannot enter its group.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            pass_fds=tuple(passed),
            env=dict(environment or {}),
            cwd="/",
        )
    except OSError as problem:
        raise BoxFailed(f"the box's process could not be started ({problem.strerror})", "box.start") from None
    if process.stdin is not None:
        with contextlib.suppress(ConnectionError):
            process.stdin.write(" ".join(map(os.fspath, group.entrances)).encode() + b"\n")
            await process.stdin.drain()
    return process


async def bring_up(
    launching: Awaitable[Process], info_end: int, theirs: contextlib.ExitStack, most: int | None = None
) -> Process:
    """Wait for a launch until bubblewrap's walls are up.

    Args:
        info_end: where bubblewrap tells the id of the first process behind them; closed in any case.
        theirs: holds the box's ends of what it inherits, closed here once it has them.
        most: how many processes a box without a user id of its own may have; its user namespace counts them.

    Raises:
        BoxFailed: the walls did not come up; nothing runs.
    """
    try:
        process = await launching
    except BoxFailed:
        os.close(info_end)
        raise
    theirs.close()
    first = await _first_process(info_end)
    if first is None or not (most is None or _limited(first, most)):
        await _give_up(process)
        advice = "Run `darkroom-server doctor` on this node."
        raise BoxFailed("the box's walls did not come up", "box.start", advice)
    return process


def kept(stack: contextlib.ExitStack, descriptor: int) -> int:
    """Return an open file that is closed with the stack."""
    stack.callback(os.close, descriptor)
    return descriptor


async def ended(process: Process) -> int:
    """Wait until a process has ended, whatever it has left unread in its pipes, and return its code.

    `Process.wait` waits until its pipes are empty too, and they are read no further than their buffer while nobody
    asks. So a box that floods its launcher would be killed, and never be over.
    """
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            await _told_of(os.pidfd_open(process.pid))
    while process.returncode is None:  # the event loop hears of it in its own time, which is soon
        await asyncio.sleep(0.001)
    return process.returncode


async def emptied(process: Process) -> None:
    """Read and drop what an ended process has left in its pipe, so that the pipe is closed."""
    if process.stdout is None:
        return
    with contextlib.suppress(
        RuntimeError, TimeoutError
    ):  # somebody else reads it, or still holds its other end
        async with asyncio.timeout(1.0):
            while await process.stdout.read(1 << 16):
                pass


async def _first_process(info_end: int) -> int | None:
    """Read the process id of the box's first process from bubblewrap, or none if it ended before it had one."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(info_end, "rb")
    )
    try:
        told = await asyncio.wait_for(reader.read(), STARTING_S)
        return int(json.loads(told)["child-pid"])
    except (TimeoutError, ValueError, KeyError):
        return None
    finally:
        transport.close()


async def _give_up(process: Process) -> None:
    """Wait for a process whose walls are not up; end one that goes on."""
    try:
        await asyncio.wait_for(process.wait(), 1.0)
    except TimeoutError:
        process.kill()
        await process.wait()


def _limited(pid: int, most: int) -> bool:
    """Limit the processes of the user that a process runs as; return whether the kernel did."""
    try:
        resource.prlimit(pid, resource.RLIMIT_NPROC, (most, most))
    except (ProcessLookupError, PermissionError):
        return False
    return True


async def _told_of(descriptor: int) -> None:
    """Wait until a process descriptor can be read, which says that the process has ended (pidfd_open(2))."""
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, over.set)
    try:
        await over.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
