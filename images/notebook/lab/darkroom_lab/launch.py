"""Starts a kernel: ipykernel's own, without what ends it where networks cannot be asked for.

Besides its sockets in files (`ipc`) a kernel opens a TCP port on the loopback, for what children that it forked print.
ZeroMQ asks the operating system for its networks first, and aborts the process unless that works or is "not supported".
Where it is neither (gVisor's kernel denies with another error), a kernel does without that port.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from typing import Any


def main() -> None:
    """Be `ipykernel_launcher`."""
    if sys.path and sys.path[0] in ("", os.getcwd()):
        del sys.path[0]  # the notebook's folder comes back when the kernel has started
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
