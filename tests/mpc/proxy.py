"""A network between agents that misbehaves: it delays, drops, cuts, truncates, duplicates and corrupts what passes.

It stands before one party and copies bytes both ways. A fault is armed at some moment, and strikes once or for good.
"""

from __future__ import annotations

import asyncio
import contextlib
from enum import StrEnum


class Fault(StrEnum):
    """What happens to the next block of bytes, in either direction."""

    DELAY = "delay"
    DROP = "drop"
    CUT = "cut"
    TRUNCATE = "truncate"
    DUPLICATE = "duplicate"
    CORRUPT = "corrupt"
    SILENCE = "silence"


ONCE = (Fault.DELAY, Fault.DROP, Fault.CUT, Fault.TRUNCATE, Fault.DUPLICATE, Fault.CORRUPT)
"""Faults that strike a single block, after which the network is well again."""

DELAY_S = 0.5


class Proxy:
    """Listens at a free port and carries connections to `target`, once that is known."""

    def __init__(self) -> None:
        self.target: tuple[str, int] = ("127.0.0.1", 0)
        self.fault: Fault | None = None
        self.struck = 0
        self.rate: float = 0
        """Bytes a second of all connections together, each way; 0 for as many as there are."""
        self.latency_s: float = 0
        self.carried = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._free_at = [0.0, 0.0]

    async def start(self) -> int:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        if self._server:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            out_reader, out_writer = await asyncio.open_connection(*self.target)
        except OSError:
            writer.transport.abort()
            return
        ways = [
            asyncio.create_task(self._way(reader, out_writer, 0)),
            asyncio.create_task(self._way(out_reader, writer, 1)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            return  # the proxy is closed
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for each in (writer, out_writer):
                each.close()

    async def _way(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: int) -> None:
        """Copy one way. What is under way arrives in its order, each block after the latency."""
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(64)
        arriving = asyncio.create_task(self._arrive(queue, writer))
        try:
            with contextlib.suppress(OSError):
                while block := await reader.read(2**16):
                    self.carried += len(block)
                    await queue.put((await self._sent(len(block), way) + self.latency_s, block))
                    if arriving.done():
                        return
            await queue.put((0, b""))
            await arriving
        finally:
            arriving.cancel()
            await asyncio.gather(arriving, return_exceptions=True)

    async def _sent(self, size: int, way: int) -> float:
        """Wait until so many bytes have left at the rate that all connections share; return when."""
        now = asyncio.get_running_loop().time()
        if not self.rate:
            return now
        self._free_at[way] = max(now, self._free_at[way]) + size / self.rate
        await asyncio.sleep(self._free_at[way] - now)
        return self._free_at[way]

    async def _arrive(self, queue: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while True:
                at, block = await queue.get()
                if not block:
                    return
                await asyncio.sleep(max(0.0, at - asyncio.get_running_loop().time()))
                if not await self._pass(block, writer):
                    return

    async def _pass(self, block: bytes, writer: asyncio.StreamWriter) -> bool:
        """Write a block as the fault has it; return whether the connection goes on."""
        fault = self.fault
        if fault is None:
            writer.write(block)
            await writer.drain()
            return True
        self.struck += 1
        if fault in ONCE:
            self.fault = None
        if fault is Fault.DELAY:
            await asyncio.sleep(DELAY_S)
        if fault is Fault.CUT:
            writer.transport.abort()
            return False
        writer.write(_changed(block, fault))
        await writer.drain()
        return True


def _changed(block: bytes, fault: Fault) -> bytes:
    middle = len(block) // 2
    return {
        Fault.DELAY: block,
        Fault.DROP: b"",
        Fault.SILENCE: b"",
        Fault.TRUNCATE: block[:middle],
        Fault.DUPLICATE: block * 2,
        Fault.CORRUPT: block[:middle] + bytes([block[middle] ^ 1]) + block[middle + 1 :],
    }[fault]
