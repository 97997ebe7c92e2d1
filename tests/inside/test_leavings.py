"""What a program leaves is looked at as somebody else's work, here without a box (ATTACKS 50 to 52)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from inside import leavings
from inside.session import BoxFailure
from plans.box import Outputs
from plans.errors import OutputRefused
from tests.inside.python_cases import CANARY


def test_links_fifos_sockets_and_loops_are_refused_without_following(tmp_path: Path) -> None:
    """50. In T1 the fence does not even let them be made; this is the second look. The control: a plain file."""
    (tmp_path / "secret").write_text(CANARY)
    makers = {
        "symlink": lambda out: (out / "a").symlink_to(tmp_path / "secret"),
        "folder link": lambda out: (out / "a").symlink_to(tmp_path),
        "loop": lambda out: (out / "a").symlink_to(out),
        "hard link": lambda out: (out / "a").hardlink_to(tmp_path / "secret"),
        "fifo": lambda out: os.mkfifo(out / "a"),
    }
    for name, make in makers.items():
        out = tmp_path / name.replace(" ", "")
        out.mkdir()
        make(out)
        with pytest.raises(BoxFailure) as refused:
            leavings.gather(str(out), Outputs(), 1000)
        assert refused.value.code == "python.outputs" and CANARY not in str(refused.value.facts)
    plain = tmp_path / "plain"
    plain.mkdir()
    (plain / "a").write_text("x")
    assert leavings.gather(str(plain), Outputs(), 1000) == {"a": b"x"}


def test_packed_files_are_unpacked_and_nothing_else_is() -> None:
    files = {"log.txt": b"", "files/a": b"12", "files/b/c": b"\0" * 9}
    packed = leavings.pack(files)
    assert leavings.unpack(packed) == files and leavings.packed_size(files) == len(packed)
    for bad in (
        b"",
        packed[:-1],
        packed + b"x",
        packed.replace(b"files/a", b"files/."),
        b"\0\0\0\x02[]x",
        b"\xff" * 9,
    ):
        with pytest.raises(OutputRefused):
            leavings.unpack(bad)


def test_names_and_sizes_of_packed_files_are_not_believed() -> None:
    """What packs is a box that ran a member's program; whoever unpacks checks every word of its list."""
    for listed in (
        '[{"name":"../x","size":1}]', '[{"name":"a","size":-1}]', '[{"name":"a","size":true}]', '[{"name":"a"}]',
        '[{"name":"a","size":1,"x":1}]', '[{"name":"a","size":1},{"name":"a","size":0}]', '{"a":1}', "[1]",
        '[{"name":"b","size":0},{"name":"a","size":1}]', '[ {"name":"a","size":1}]', '[{"name":"a","size":2}]',
    ):  # fmt: skip
        with pytest.raises(OutputRefused):
            leavings.unpack(len(listed).to_bytes(4, "big") + listed.encode() + b"x")
    good = '[{"name":"a","size":1}]'
    assert leavings.unpack(len(good).to_bytes(4, "big") + good.encode() + b"x") == {"a": b"x"}
