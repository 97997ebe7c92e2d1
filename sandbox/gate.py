"""How every box starts: behind a gate, so that it is in its control group before it becomes anything.

The first process is two words of `sh`, which wait for a line on standard input. The launcher puts it into the
group, writes the line, and it becomes the rest of its command. What the shell's `read` has taken is that line
and no byte more (POSIX: it reads unseekable input byte by byte), so the conversation follows on the same pipe.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Mapping, Sequence

from plans.errors import BoxFailed, DarkroomError
from sandbox.cgroups import Cgroup

GATE = ("/bin/sh", "-c", 'read _ && exec "$@"', "gate")
"""The first words of a box's command line."""

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
        BoxFailed: it cannot be started, or not be put into its group; nothing runs then.
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
    try:
        group.add(process.pid)
    except DarkroomError:
        process.kill()
        await process.wait()
        raise
    if process.stdin is not None:
        with contextlib.suppress(ConnectionError):
            process.stdin.write(b"\n")
            await process.stdin.drain()
    return process


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


async def _told_of(descriptor: int) -> None:
    """Wait until a process descriptor can be read, which says that the process has ended (pidfd_open(2))."""
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, over.set)
    try:
        await over.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
