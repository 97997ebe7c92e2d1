"""Every attack: its number in docs/security.md, its section, and the walls without which it succeeds."""

from __future__ import annotations

from plans.decision import Tier
from sandbox.attacks import bombs, outputs, programs, scenarios, statements
from sandbox.attacks.attack import CHECKLIST, Attack
from sandbox.contract import Wall

_SHORT = {
    "S": Wall.SYSCALLS, "C": Wall.CAPABILITIES, "N": Wall.NETWORK, "L": Wall.LANDLOCK, "V": Wall.VIEW, "U": Wall.USER,
    "P": Wall.PROCESSES, "I": Wall.IPC, "H": Wall.HOSTNAME, "W": Wall.USER_NAMESPACES, "R": Wall.READ_ONLY,
    "K": Wall.PROC, "D": Wall.DEVICES, "E": Wall.ENVIRONMENT, "F": Wall.DESCRIPTORS, "T": Wall.SESSION,
    "O": Wall.CORE_DUMPS, "G": Wall.PROCESS_COUNT, "A": Wall.OPEN_FILES,
}  # fmt: skip
_WHY_NOT = {
    "-root": "needs a capability on the host itself, which no box can have, whatever is taken off",
    "-kernel": "this may be missing in a kernel; the attacks beside it on the same wall have controls",
    "-image": "what it looks for is not in the image; there is no wall that could be taken off",
    "-world": "needs something outside that no test machine has",
    "-always": "bubblewrap sets it itself, whatever its command line says",
    "-known": "it succeeds with all walls standing",
    "-limit": "the limit is set with others and cannot be taken off alone",
}  # fmt: skip

# number, section, walls of the control (or why there is none), tiers (1, 2, 12), name, title
_TEXTS = """
calls
35 C S     12 socket-inet              | socket: internet
35 C S     12 socket-inet6             | socket: internet, version 6
35 C S     12 socket-udp               | socket: datagrams
35 C -root 12 socket-icmp              | socket: ping
35 C SCW   12 socket-raw               | socket: raw
35 C S     12 socket-unix              | socket: unix
35 C S     12 socket-pair              | socket: pair of another family
36 C S     12 socket-vsock             | socket: virtual machine
36 C S     12 socket-netlink           | socket: netlink
36 C SCW   12 socket-packet            | socket: packets
36 C S     12 socket-alg               | socket: kernel cryptography
36 C SCW   12 socket-xdp               | socket: packets past the kernel
35 C SNL   12 tcp-of-host              | what listens on the host's loopback
35 C SN    12 udp-of-host              | datagrams to the host
35 C -world 12 name-service            | name service
35 C -world 12 metadata-address        | metadata address of a cloud
37 C SVL   12 unix-socket-of-host      | unix socket of the host
37 C SNL   12 abstract-socket-of-host  | abstract socket of the host
35 C SN    12 interfaces               | network interfaces
67 F SNL   12 ray-port                 | Ray: port of the head
67 F SVL   12 ray-object-store         | Ray: socket of the object store
67 F VL    12 ray-token                | Ray: token in its session folder
38 C SW    12 user-namespace           | new user namespace
38 C SW    12 user-namespace-by-clone  | new user namespace by clone
38 C SC    12 other-namespaces         | new mount namespace
38 C S     12 join-namespace           | joining a namespace
38 C -root 12 mount                    | mount
38 C SCW   12 mount-by-descriptor      | mount by descriptors
38 C SCW   12 move-mount               | moving a mount
38 C S     12 open-tree                | cloning a mount
38 C SCW   12 pivot-root               | pivot_root
38 C SC    12 chroot                   | chroot
39 C S     12 keyring-add              | kernel keyring: adding
39 C S     12 keyring-ask              | kernel keyring: asking
39 C S     12 keyring                  | kernel keyring: reading
39 C S     12 io-uring                 | io_uring
39 C S     12 userfaultfd              | userfaultfd
39 C S     12 kernel-programs          | programs in the kernel
39 C S     12 performance-counters     | performance counters
39 C S     12 tracing                  | ptrace
39 C S     12 memory-read              | reading another process's memory
39 C S     12 memory-write             | writing another process's memory
39 C S     12 compare-processes        | comparing processes
39 C S     12 process-descriptors      | process descriptors
39 C S     12 take-descriptors         | taking another's descriptors
46 C S     12 memory-files             | memory file
46 C S     12 secret-memory            | secret memory
46 C S     12 shared-memory            | System V memory
46 C S     12 semaphores               | System V semaphores
46 C S     12 message-queues           | System V queues
46 C S     12 named-queues             | POSIX queues
38 C S     12 files-by-handle          | files by handle
38 C S     12 handles-of-files         | handles of files
39 C S     12 clone3                   | clone3
39 C S     12 watch-files              | watching files
39 C -root 12 watch-mounts             | watching mounts
39 C -kernel 12 kernel-modules         | kernel modules
39 C -kernel 12 kernel-module-files    | kernel modules from files
39 C -kernel 12 other-kernel           | another kernel
39 C -root 12 kernel-log               | kernel log by call
39 C SCW   12 reboot                   | reboot
39 C -root 12 swap                     | swap
39 C -root 12 accounting               | process accounting
39 C S     12 clock                    | the host's clock
39 C SCW   12 rename-host              | renaming the host
39 C S     12 old-personality          | old personalities
39 C S     12 shared-pipe-pages        | vmsplice
39 C S     12 memory-placement         | placing memory
44 C S     12 terminal-injection       | pushing characters into a terminal
50 D -root 12 device-of-ones-own       | making a device
49 C S     1  lock-of-image            | locks of files that boxes share
49 C S     1  lock-of-device           | locks of devices that boxes share
49 C S     1  ask-for-locks            | who has locked a file that boxes share
49 C S     1  watch-folder             | watching a folder that boxes share
49 C S     1  look-into-cache          | what of a shared file is in memory
49 C S     1  requests-of-host         | a number of requests that the host shares
surroundings
40 C E     12 environment              | environment of the launcher
40 C E     12 first-environment        | environment with which process 1 began
43 C F     12 descriptors              | open files of the launcher
40 C P     12 other-processes          | other processes, by signals
40 C P     12 listed-processes         | other processes, by their list
40 C VL    12 root-of-first-process    | root of process 1
41 C VL    12 file-of-host             | file of the host
41 C V     12 places-of-host           | places of the host
41 C V     12 platforms-code           | code, keys and images of the platform
41 C H     12 name-of-host             | name of the host
49 C SI    12 queue-of-host            | System V queue of the host
49 C SI    12 memory-of-host           | System V memory of the host
40 C K     1  kernel-settings          | settings of the kernel
41 C D     1  devices                  | devices of the host
44 C T     1  launchers-session        | session of the launcher
43 C -image 12 working-folder          | working folder outside
42 C C     12 capabilities             | capabilities
42 C -always 12 new-privileges         | new privileges
39 C S     12 no-filter                | no filter of system calls
42 C VL    12 setuid-programs          | programs with set-user-id or capabilities
45 C LRU   12 write-image              | writing the image
45 C LRU   12 write-inputs             | writing the inputs
45 C R     1  writable-root            | image or inputs mounted writable
45 C LRU   12 change-image             | changing modes of the image
45 C L     1  run-what-it-wrote        | running what it wrote
50 D L     1  symbolic-link            | making a symbolic link
50 D SL    12 fifo                     | making a FIFO
45 C -image 12 preloaded-libraries     | preloaded libraries
45 C -image 12 start-files             | sitecustomize and .pth files
86 H O     12 core-files               | core dumps allowed
41 C -image 12 shells                  | shell or compiler
68 F -image 12 ray-itself              | Ray: the package in a box
44 C -world 12 terminal                | terminal of the launcher
checklist
0 checklist -world 12 control-sockets       | docker, containerd and other control sockets
0 checklist -world 12 cluster-tokens        | tokens of Kubernetes
0 checklist LKU   12 escape-files          | release_agent, core_pattern, sysrq writable
0 checklist V     12 escape-files-there    | release_agent, uevent_helper, debugfs there
0 checklist K     1  tells-of-host         | files that tell of the host
0 checklist -root 12 memory-device         | memory of the host as a device
0 checklist -root 12 disks                 | disks of the host
0 checklist -root 12 kernel-log-device     | kernel log as a device
0 checklist -root 12 magic-keys            | magic keys
0 checklist V     12 cgroup-files          | control groups
0 checklist -known 12 paths-of-host         | paths of the host among the mounts
0 checklist -image 1 root-in-box           | root in the box
0 checklist -image 12 groups               | groups beside one's own
0 checklist -known 1  user-on-host          | which user the box is on the host
0 checklist G     1  limit-of-processes    | no limit of processes
0 checklist A     12 limit-of-files        | no limit of open files
0 checklist -limit 12 limit-of-file-size   | no limit of sizes of files
0 checklist -limit 1 limit-of-processor    | no limit of processor time
0 checklist -root 12 raise-limits          | raising a limit
0 checklist -root 1  lock-memory           | locking memory
0 checklist -root 1  priority              | going first
0 checklist -root 12 set-groups            | other groups
0 checklist -root 1  become-root           | becoming root
0 checklist O     12 dumpable              | memory that a crash would show
"""
_KNOWN = {
    "paths-of-host": "a box can read where its folders lie on the host (/proc/self/mountinfo)",
    "user-on-host": "a box can read which user id it has on the host (/proc/self/uid_map)",
}
_TIERS = {"1": frozenset({Tier.T1}), "2": frozenset({Tier.T2}), "12": frozenset({Tier.T1, Tier.T2})}


def _texts() -> tuple[Attack, ...]:
    found, text = [], ""
    for line in _TEXTS.strip().splitlines():
        if "|" not in line:
            text = line
            continue
        head, _, title = line.partition("|")
        number, section, walls, tiers, name = head.split()
        known = walls in _WHY_NOT
        found.append(
            Attack(
                name=name,
                number=int(number),
                section=CHECKLIST if section == CHECKLIST else section,
                title=title.strip(),
                text=text,
                walls=frozenset() if known else frozenset(_SHORT[letter] for letter in walls),
                tiers=_TIERS[tiers],
                no_control=_WHY_NOT.get(walls, ""),
                known=_KNOWN.get(name, ""),
                sample=True,
            )
        )
    return tuple(found)


TEXTS = _texts()
"""Attacks that share one box per text: what `darkroom-server doctor` tries in seconds."""

ATTACKS = (
    *TEXTS, *statements.ATTACKS, *programs.ATTACKS, *bombs.ATTACKS, *scenarios.ATTACKS, *outputs.ATTACKS,
)  # fmt: skip

PROOFS: dict[Wall, str] = {
    Wall.USER: "memory-from-outside",
    Wall.SESSION: "launchers-session",
    Wall.ENVIRONMENT: "environment",
    Wall.DESCRIPTORS: "descriptors",
    Wall.CAPABILITIES: "capabilities",
    Wall.NETWORK: "udp-of-host",
    Wall.PROCESSES: "other-processes",
    Wall.IPC: "memory-of-host",
    Wall.HOSTNAME: "name-of-host",
    Wall.USER_NAMESPACES: "user-namespace",
    Wall.VIEW: "file-of-host",
    Wall.READ_ONLY: "write-inputs",
    Wall.PROC: "kernel-settings",
    Wall.DEVICES: "devices",
    Wall.SYSCALLS: "keyring-add",
    Wall.LANDLOCK: "run-what-it-wrote",
    Wall.MEMORY: "memory-bytes",
    Wall.PROCESS_COUNT: "fork-count",
    Wall.OPEN_FILES: "file-count",
    Wall.CORE_DUMPS: "core-files",
    Wall.TEMP_SIZE: "fill-tmp",
    Wall.PARENT: "outlive-the-launcher",
}
"""For each wall an attack that it stops and that nothing else stops: with the attack's other walls off it is still
refused, with this one off too it succeeds."""


def by_name(name: str) -> Attack:
    """Return an attack; raises `KeyError` if there is none."""
    return {attack.name: attack for attack in ATTACKS}[name]
