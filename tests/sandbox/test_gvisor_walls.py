"""Tier T2: gVisor's walls as values."""

from __future__ import annotations

import dataclasses
import os
import socket
from pathlib import Path

from plans.box import BoxSpec, Entry, Limits, Link
from plans.decision import Tier
from sandbox import bubblewrap, runsc, syscalls
from sandbox.folders import BoxFolders

SPEC = BoxSpec(Entry.QUERY, "sha256:" + "0" * 64, (), Limits(256, 32, 16, 4, 10, 30, 16, 64, 2), Tier.T2)
LINKED = dataclasses.replace(SPEC, links=(Link("peer", "party:nm/tax"),))
_BOX = Path("/boxes/1")
WALLS = bubblewrap.Walls(
    Path("/images/1/root"), BoxFolders(_BOX, _BOX / "in", _BOX / "out", _BOX / "spill"), 60001, True
)
PROGRAM = ("/box", "query")


def mounts(spec: BoxSpec = SPEC) -> dict[str, dict]:
    return {mount["destination"]: mount for mount in runsc.bundle(spec, WALLS, PROGRAM)["mounts"]}


def command(spec: BoxSpec) -> list[str]:
    return runsc.command(spec, WALLS, runsc.Descriptors(7, 8, 9))


def test_a_box_can_write_only_its_outputs_its_spill_and_its_own_memory() -> None:
    assert runsc.bundle(SPEC, WALLS, PROGRAM)["root"]["readonly"] is True
    writable = {place for place, mount in mounts().items() if "ro" not in mount["options"]}
    assert writable == {"/proc", "/dev/shm", "/tmp", "/out", "/spill"}


def test_every_file_system_in_memory_has_a_size_and_nothing_written_can_be_run() -> None:
    for place, mount in mounts().items():
        assert {"nosuid", "nodev", "noexec"} <= set(mount["options"]), place
        if mount["type"] == "tmpfs":
            assert any(option.startswith("size=") for option in mount["options"]), place


def test_a_box_has_no_capability_and_only_the_runner_of_a_members_program_has_some() -> None:
    process = runsc.bundle(SPEC, WALLS, PROGRAM)["process"]
    assert not any(process["capabilities"].values()) and process["noNewPrivileges"] is True
    runner = runsc.bundle(dataclasses.replace(SPEC, entry=Entry.PYTHON), WALLS, PROGRAM)["process"]
    assert set(runner["capabilities"]["effective"]) == set(runsc.RUNNER_CAPABILITIES)
    assert not runner["capabilities"]["inheritable"] and not runner["capabilities"]["ambient"]


def test_the_user_id_is_changed_before_anything_of_gvisor_starts() -> None:
    line = command(SPEC)
    user = line.index("--reuid")
    assert (
        line[user + 1] == "60001"
        and user < line.index("/runsc")
        and line.index("--no-new-privs") < line.index("/runsc")
    )


def test_runsc_sees_the_image_and_the_boxs_folders_and_nothing_else_of_the_host() -> None:
    line = command(SPEC)
    seen = {line[n + 1] for n, word in enumerate(line) if word in ("--bind", "--ro-bind", "--dev-bind")}
    program = next(path for path in seen if path.endswith("/runsc"))
    assert seen == {"/images/1/root", "/boxes/1/in", "/boxes/1/out", "/boxes/1/spill", "/dev/null", program}
    written = {line[n + 1] for n, word in enumerate(line) if word == "--bind"}
    assert written == {"/boxes/1/out", "/boxes/1/spill"}


def test_nothing_is_logged() -> None:
    line = command(SPEC)
    assert not [
        word for word in line if "log" in word or "debug" in word or "strace" in word or "profile" in word
    ]


def test_the_filter_is_the_table_of_t1_but_for_one_call() -> None:
    rules = syscalls.oci_filter(links=False)["syscalls"]
    named = {(call, bool(rule["args"])) for rule in rules for call in rule["names"]}
    table = {(call, each.when is not None) for each in syscalls.DENIALS for call in each.calls}
    assert table - named == {(call, False) for call in ("clone3", *syscalls.NEWER)}
    assert named - table == {("symlink", False), ("symlinkat", False)}
    os.close(syscalls.kernel_filter_file())
    assert {call for call, _ in table} > syscalls.KERNEL_NEEDS, (
        "what gVisor needs is spared by name, and nothing that the table lacks"
    )


def test_only_a_box_with_links_may_make_sockets_and_only_of_one_family() -> None:
    alone, linked = (syscalls.oci_filter(links=links)["syscalls"] for links in (False, True))
    assert any("socket" in rule["names"] and not rule["args"] for rule in alone)
    (rule,) = [rule for rule in linked if "socket" in rule["names"]]
    assert rule["args"] == [{"index": 0, "value": int(socket.AF_UNIX), "op": "SCMP_CMP_NE"}]
    assert [rule for rule in alone if "socketpair" in rule["names"]][0]["args"] == rule["args"]
    assert "--host-uds=open" in command(LINKED)
    assert not any(word.startswith("--host") and word != "--hostname" for word in command(SPEC))
