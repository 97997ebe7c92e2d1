"""Starts a kernel, `python -m darkroom_lab.launch -f FILE`: ipykernel, without its one port of TCP.

What a forked child of a kernel prints comes to the kernel over a socket that ipykernel binds to TCP on loopback, also
where everything else is `ipc`. To bind there, libzmq asks for the names of interfaces over netlink, which the walls of
boxes deny, and where it is denied libzmq aborts. Here that socket is a file in the temporary folder as well, which
other users could not have reached either.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import zmq
from ipykernel import iostream
from ipykernel.kernelapp import IPKernelApp
from zmq.eventloop.zmqstream import ZMQStream


def setup_pipe_in(thread: Any) -> None:
    """Listen for what forked children print (`IOPubThread._setup_pipe_in`)."""
    thread._pipe_uuid = os.urandom(16)
    thread._pipe_place = f"ipc://{Path(tempfile.mkdtemp(prefix='kernel-')) / 'forked'}"
    listening = thread.socket.context.socket(zmq.PULL)
    listening.linger = 0
    listening.bind(thread._pipe_place)
    thread._pipe_in = ZMQStream(listening, thread.io_loop)
    thread._pipe_in.on_recv(thread._handle_pipe_msg)


def setup_pipe_out(thread: Any) -> tuple[zmq.Context[Any], zmq.Socket[Any]]:
    """Connect from a forked child (`IOPubThread._setup_pipe_out`)."""
    context: zmq.Context[Any] = zmq.Context()
    sending = context.socket(zmq.PUSH)
    sending.linger = 3000
    sending.connect(thread._pipe_place)
    return context, sending


def main() -> None:
    """Become a kernel."""
    iostream.IOPubThread._setup_pipe_in = setup_pipe_in
    iostream.IOPubThread._setup_pipe_out = setup_pipe_out
    IPKernelApp.launch_instance()


if __name__ == "__main__":
    main()
