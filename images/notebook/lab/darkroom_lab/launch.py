"""Starts a kernel: ipykernel's own, without what ends it where networks cannot be asked for.

Besides its sockets in files (`ipc`) a kernel opens a TCP port on the loopback, for what children that it forked print.
ZeroMQ asks the operating system for its networks first, and aborts the process unless that works or is "not supported".
Where it is neither (gVisor's kernel denies with another error), a kernel does without that port.

A kernel begins in the notebook's folder, which somebody else may have filled. It is started without that folder in its
path (python -P), and what is ours is imported before `darkroom_lab.kernel` puts the folder there: a `darkroom.py` or
`socket.py` that lies beside a notebook does not run because the notebook was opened. Jobs have the folder there too.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import socket
from typing import Any

OURS = ("darkroom", "darkroom_lab.kernel")
"""The extensions that the kernel's command names."""


def main() -> None:
    """Be `ipykernel_launcher`."""
    for name in OURS:
        with contextlib.suppress(Exception):  # which the kernel says when it loads it
            importlib.import_module(name)
    from ipykernel import iostream, kernelapp

    if not may_ask():
        iostream.IOPubThread._setup_pipe_in = without_port
    kernelapp.launch_new_instance()


def may_ask() -> bool:
    """Whether ZeroMQ survives asking for networks."""
    try:
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close()
    except OSError as problem:
        return problem.errno in (errno.EINVAL, errno.EOPNOTSUPP)
    return True


def without_port(thread: Any) -> None:
    """Take the place of what would open the port."""
    thread._pipe_flag = False


if __name__ == "__main__":
    main()
