"""Links with a bandwidth and a delay: every party has one line, and all that it sends or receives shares it.

A kernel's own shaping needs modules that a machine may lack. So bytes are carried by this process: a block leaves its
sender once the sender's line is free, and is delivered a delay after it has passed the receiver's.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time

BLOCK = 2**16


class _Line:
    """One direction of a party's line: who comes is served in order."""

    def __init__(self, bytes_per_s: float) -> None:
        self._speed, self._free, self._lock = bytes_per_s, 0.0, threading.Lock()

    def passed(self, size: int) -> float:
        """Return the moment at which so many bytes have passed, if they come now."""
        with self._lock:
            self._free = max(self._free, time.monotonic()) + size / self._speed
            return self._free


class Shaped:
    """Carries the bytes of all links; `carried` has the larger of sent and received bytes of each party."""

    def __init__(self, bytes_per_s: float, delay_s: float) -> None:
        self._speed, self._delay = bytes_per_s, delay_s
        self._out: dict[str, _Line] = {}
        self._in: dict[str, _Line] = {}
        self._sent: dict[str, int] = {}
        self._received: dict[str, int] = {}
        self._lock = threading.Lock()

    @property
    def carried(self) -> dict[str, int]:
        """Bytes of each party's busier direction."""
        return {name: max(self._sent[name], self._received[name]) for name in self._sent}

    def carry(self, links: list[tuple[str, str, socket.socket, socket.socket]]) -> None:
        """Begin to carry between the ends of links, each of two parties."""
        for one, other, near, far in links:
            for name in (one, other):
                self._out.setdefault(name, _Line(self._speed))
                self._in.setdefault(name, _Line(self._speed))
                self._sent.setdefault(name, 0)
                self._received.setdefault(name, 0)
            for ends in ((near, far, one, other), (far, near, other, one)):
                threading.Thread(target=self._copy, args=ends, daemon=True).start()

    def _copy(self, source: socket.socket, sink: socket.socket, sender: str, receiver: str) -> None:
        with contextlib.suppress(OSError):
            while block := source.recv(BLOCK):
                with self._lock:
                    self._sent[sender] += len(block)
                    self._received[receiver] += len(block)
                left = self._out[sender].passed(len(block))
                arrived = max(left, self._in[receiver].passed(len(block))) + self._delay
                time.sleep(max(0.0, arrived - self._delay - time.monotonic()))
                sink.sendall(block)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
