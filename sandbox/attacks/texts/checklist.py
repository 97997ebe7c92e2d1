"""What container checklists look for (amicontained, deepce, CIS Docker), and this house's own additions."""

from __future__ import annotations

import ctypes
import os
import resource

from sandbox.attacks.texts.common import ROOTS, Attack, Refused, Where, carry_out, lies_somewhere, read

_CONTROL_SOCKETS = (
    "/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock", "/run/crio/crio.sock",
    "/run/podman/podman.sock", "/var/run/dbus/system_bus_socket", "/run/systemd/private",
)  # fmt: skip
_CLUSTER_TOKENS = ("/var/run/secrets/kubernetes.io", "/run/secrets", "/etc/kubernetes", "/.kube")
_ESCAPES = (
    "/sys/fs/cgroup/release_agent", "/sys/fs/cgroup/memory/release_agent", "/sys/fs/cgroup/rdma/release_agent",
    "/sys/fs/cgroup/cgroup.procs", "/sys/kernel/uevent_helper", "/sys/kernel/debug", "/sys/kernel/security",
    "/sys/firmware", "/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern", "/proc/sys/fs/binfmt_misc/register",
    "/proc/sys/kernel/modprobe", "/proc/sys/kernel/hotplug",
)  # fmt: skip
_TELL_OF_THE_HOST = (
    "/proc/cmdline", "/proc/kcore", "/proc/kmsg", "/proc/kallsyms", "/proc/modules", "/proc/keys", "/proc/key-users",
    "/proc/timer_list", "/proc/sched_debug", "/proc/interrupts", "/proc/loadavg", "/proc/stat", "/proc/diskstats",
    "/proc/partitions", "/proc/locks", "/proc/vmstat", "/proc/swaps", "/proc/config.gz", "/proc/kpagecount",
    "/proc/pressure/memory", "/proc/version_signature", "/proc/slabinfo", "/proc/zoneinfo", "/proc/latency_stats",
)  # fmt: skip


def there(*paths: str) -> Attack:
    """Return the attack that finds one of these."""
    return lambda _: lies_somewhere(*paths)


def opened(*paths: str) -> Attack:
    """Return the attack that reads at least a byte of one of these."""

    def attack(_: Where) -> bool:
        for path in _everywhere(paths):
            try:
                if read(path, 64):
                    return True
            except OSError:
                continue
        raise Refused("none can be read, or there is nothing in it")

    return attack


def writable(*paths: str) -> Attack:
    """Return the attack that opens one of these for writing, without writing."""

    def attack(_: Where) -> bool:
        for path in _everywhere(paths):
            try:
                os.close(os.open(path, os.O_WRONLY))
            except OSError:
                continue
            return True
        raise Refused("none can be written")

    return attack


def _everywhere(paths: tuple[str, ...]) -> list[str]:
    return [root + path for path in paths for root in ROOTS]


def kernel_log(_: Where) -> bool:
    """Read the kernel's log, which tells addresses and of neighbours."""
    os.close(os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK))
    return True


def paths_of_host(where: Where) -> bool:
    """Find the host's folders in the list of mounts."""
    text = b"".join(read(path) for path in ("/proc/self/mountinfo", "/proc/self/mounts"))
    return where["home"].encode() in text or where["images"].encode() in text


def inner_root(_: Where) -> bool:
    """Be root in the box."""
    return 0 in (os.getuid(), os.geteuid(), os.getgid(), os.getegid())


def groups(_: Where) -> bool:
    """Belong to a group beside one's own."""
    return bool(set(os.getgroups()) - {os.getgid(), 65534})


def identity_of_host(_: Where) -> bool:
    """Find out which user the box is on the host, or that it is root there."""
    inside, outside, _count = read("/proc/self/uid_map").split()[:3]
    return outside == b"0" or inside == outside


def beyond(name: str) -> Attack:
    """Return the attack that finds a resource with a higher limit than the box's specification gives."""
    number = getattr(resource, name)
    return lambda where: resource.getrlimit(number)[1] not in range(where["limits"][name] + 1)


def raised_limit(_: Where) -> bool:
    """Raise a limit that was set."""
    for number in (
        resource.RLIMIT_NOFILE,
        resource.RLIMIT_NPROC,
        resource.RLIMIT_CORE,
        resource.RLIMIT_FSIZE,
    ):
        soft, hard = resource.getrlimit(number)
        if hard == resource.RLIM_INFINITY:
            continue
        try:
            resource.setrlimit(number, (soft, hard + 1))
        except (OSError, ValueError):
            continue
        return True
    raise Refused("no limit can be raised")


def locked_memory(_: Where) -> bool:
    """Lock memory, which the host could then not take back."""
    library = ctypes.CDLL(None, use_errno=True)
    if library.mlockall(3) != 0:
        raise OSError(ctypes.get_errno(), "mlockall")
    return True


def first_priority(_: Where) -> bool:
    """Go before everybody else: a better nice value, or the real-time class."""
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -5)
    except OSError:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    return True


def others_groups(_: Where) -> bool:
    """Take another user id or group."""
    os.setgroups([0])
    return True


def becomes_root(_: Where) -> bool:
    """Take the user id 0."""
    os.setuid(0)
    return True


def dumps_memory(_: Where) -> bool:
    """Ask whether a crash, or a process of the same user, could see this memory."""
    return ctypes.CDLL(None).prctl(3, 0, 0, 0, 0) == 1 and resource.getrlimit(resource.RLIMIT_CORE)[
        1
    ] not in (0, 1)


CHECKLIST: dict[str, Attack] = {
    "control-sockets": there(*_CONTROL_SOCKETS),
    "cluster-tokens": there(*_CLUSTER_TOKENS),
    "escape-files": writable(*_ESCAPES),
    "escape-files-there": there(*_ESCAPES[:8]),
    "tells-of-host": opened(*_TELL_OF_THE_HOST),
    "memory-device": opened("/dev/mem", "/dev/kmem", "/dev/port", "/proc/kcore"),
    "disks": opened("/dev/sda", "/dev/vda", "/dev/nvme0n1", "/dev/dm-0", "/dev/loop0"),
    "kernel-log-device": kernel_log,
    "magic-keys": writable("/proc/sysrq-trigger"),
    "cgroup-files": there("/sys/fs/cgroup", "/cgroup"),
    "paths-of-host": paths_of_host,
    "root-in-box": inner_root,
    "groups": groups,
    "user-on-host": identity_of_host,
    "limit-of-processes": beyond("RLIMIT_NPROC"),
    "limit-of-files": beyond("RLIMIT_NOFILE"),
    "limit-of-file-size": beyond("RLIMIT_FSIZE"),
    "limit-of-processor": beyond("RLIMIT_CPU"),
    "raise-limits": raised_limit,
    "lock-memory": locked_memory,
    "priority": first_priority,
    "set-groups": others_groups,
    "become-root": becomes_root,
    "dumpable": dumps_memory,
}

if __name__ == "__main__":
    carry_out(CHECKLIST)
