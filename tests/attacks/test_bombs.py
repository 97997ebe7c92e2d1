"""ATTACKS 52: small files that claim or become gigabytes are refused before memory is taken for them.

All are read in one child process, one after the other; it says by which rule each was refused, and by how much its
peak of memory grew. The control reads each as a library would, with half as much memory again as a refusal may take.
"""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pyarrow as pa
import pytest
from onnx import TensorProto, helper
from pyarrow import ipc
from pyarrow import parquet as pq

from airlock.outputs import messages
from airlock.outputs.rules import OutputRule
from plans.artifacts import Form

ROOT = Path(__file__).resolve().parents[2]
MOST_MB, CONTROL_MB = 100, 150
ROWS = 250_000


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def picture() -> bytes:
    """A PNG file that claims 60,000 pixels a side."""
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    drawn = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1_000)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + drawn


def written(table: pa.Table, writer: Callable[..., object], **options: object) -> bytes:
    out = io.BytesIO()
    with writer(out, table.schema, options=ipc.IpcWriteOptions(**options)) as file:  # type: ignore[attr-defined]
        file.write_table(table)
    return out.getvalue()


def stored(table: pa.Table) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, compression="zstd", store_schema=False)
    return out.getvalue()


def one_text(length: int) -> pa.Table:
    """Each row holds the same text, which lies there once."""
    places = pa.array(np.zeros(ROWS, "i1"))
    return pa.table({"k": pa.DictionaryArray.from_arrays(places, pa.array(["x" * length]))})


def one_list() -> pa.Table:
    """One row, in which there are fifty million times the same number."""
    return pa.table({"k": pa.ListArray.from_arrays([0, 5 * 10**7], pa.array(np.zeros(5 * 10**7, "i4")))})


def long_message() -> bytes:
    """An Arrow stream whose first message claims two gigabytes."""
    return b"\xff\xff\xff\xff" + struct.pack("<i", 2**31 - 16) + b"\0" * 64


def operators() -> bytes:
    """An ONNX file with a tensor of 2^62 numbers, none of which is there."""
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2**31, 2**31], raw_data=b"")
    value = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    node = helper.make_node("Identity", ["w"], ["y"])
    graph = helper.make_graph([node], "g", [], [value], [tensor])
    return bytes(
        helper.make_model(graph, opset_imports=[onnx.OperatorSetIdProto(version=17)]).SerializeToString()
    )


def tensors(header: bytes, length: int) -> bytes:
    return struct.pack("<Q", length) + header


def claims() -> bytes:
    shape = {"w": {"dtype": "F32", "shape": [2**31, 2**31], "data_offsets": [0, 2**64 - 4]}}
    header = json.dumps(shape).encode()
    return tensors(header, len(header))


def bombs() -> dict[str, tuple[Form, bytes]]:
    numbers = pa.table({"k": pa.array(np.zeros(30_000_000, "i8"))})
    long_text, nested = pa.table({"k": pa.array(["x" * 250_000_000])}), b"[" * 100_000 + b"]" * 100_000
    objects = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
    return {
        "claims.png": (Form.FIGURE, picture()),
        "numbers.parquet": (Form.TABLE, stored(numbers)),
        "texts.parquet": (Form.TABLE, stored(one_text(4_000))),
        "list.parquet": (Form.TABLE, stored(one_list())),
        "file.arrow": (Form.TABLE, written(long_text, ipc.new_file, compression="zstd")),
        "stream.arrow": (Form.TABLE, written(long_text, ipc.new_stream, compression="lz4")),
        "texts.arrow": (Form.TABLE, written(one_text(4_000), ipc.new_file)),
        "length.arrow": (Form.TABLE, long_message()),
        "deep.json": (Form.METRICS, nested),
        "objects.json": (Form.MODEL, objects),
        "dims.onnx": (Form.MODEL, operators()),
        "claims.safetensors": (Form.MODEL, claims()),
        "length.safetensors": (Form.MODEL, tensors(b"{}", 2**62)),
    }


READS = """
import sys
from pathlib import Path
from airlock.outputs.reading import read_outputs
from plans.artifacts import Artifact, Form

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) // 1024

for line in sys.stdin.read().split():
    form, path = Form(line.split(":")[0]), Path(line.split(":")[1])
    content = path.read_bytes()
    persons = "persons" if form is Form.TABLE else ""
    data = "t.csv" if form is Form.FIGURE else ""
    declared = [Artifact(path.name, form, persons=persons, data=data)]
    files = {f"files/{path.name}": content}
    Path("/proc/self/clear_refs").write_text("5")
    before = peak()
    read = read_outputs(files, tuple(declared), False, "5a" * 16)
    print(path.name, read.refused[0][0].value if read.refused else "read", peak() - before)
"""
LIBRARY = """
import resource, sys
import pyarrow as pa
from pyarrow import ipc, parquet
from PIL import Image
pa.set_memory_pool(pa.system_memory_pool())
pa.set_cpu_count(1)
pa.set_io_thread_count(1)
path = sys.argv[1]
Image.MAX_IMAGE_PIXELS = None
held = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (held + int(sys.argv[2]) * 2**20,) * 2)
try:
    if path.endswith(".png"):
        Image.open(path).load()
    elif path.endswith(".parquet"):
        parquet.ParquetFile(path).read(use_threads=False)
    else:
        calm = ipc.IpcReadOptions(use_threads=False)
        opened = ipc.open_file(path, options=calm) if "file" in path else ipc.open_stream(path, options=calm)
        opened.read_all()
except MemoryError:
    sys.exit(7)
"""


@pytest.fixture(scope="module")
def laid(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Form, Path]]:
    folder, found = tmp_path_factory.mktemp("bombs"), {}
    for name, (form, content) in bombs().items():
        assert len(content) < 2**21, name
        (folder / name).write_bytes(content)
        found[name] = form, folder / name
    return found


def test_52_what_unpacks_to_gigabytes_is_refused_in_little_memory(laid: dict[str, tuple[Form, Path]]) -> None:
    listed = "\n".join(f"{form.value}:{path}" for form, path in laid.values())
    done = subprocess.run(
        [sys.executable, "-c", READS], input=listed, cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    said = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()}
    assert set(said) == set(laid), done.stderr
    fine = {OutputRule.TOO_LARGE, OutputRule.UNREADABLE, OutputRule.FREE_TEXT, OutputRule.STRUCTURE}
    assert {name for name, (rule, _) in said.items() if rule not in fine} == set()
    assert {name: grown for name, (_, grown) in said.items() if int(grown) > MOST_MB} == {}


@pytest.mark.parametrize(
    "name", ["claims.png", "list.parquet", "texts.parquet", "file.arrow", "stream.arrow"]
)
def test_52_control_whoever_reads_it_as_it_is_runs_out_of_memory(
    laid: dict[str, tuple[Form, Path]], name: str
) -> None:
    words = [sys.executable, "-c", LIBRARY, str(laid[name][1]), str(CONTROL_MB)]
    assert subprocess.run(words, cwd=ROOT, timeout=300).returncode == 7


def test_a_message_that_is_damaged_anywhere_has_one_kind_of_refusal() -> None:
    """Offsets of a message are the attacker's: wherever they lead, nothing else than `ValueError` and Arrow's own."""
    table = pa.table({"a": ["x" * 50] * 20, "b": list(range(20))})
    good = written(table, ipc.new_stream, compression="zstd")
    assert sum(messages.unpacked_sizes(pa.BufferReader(good))) > 1_000, "the control"
    refused, rng = 0, np.random.default_rng(5)
    for _ in range(3_000):
        bad = bytearray(good)
        place = int(rng.integers(0, len(bad)))
        bad[place] = int(rng.integers(0, 256))
        try:
            list(messages.unpacked_sizes(pa.BufferReader(bytes(bad))))
        except (ValueError, pa.ArrowException, OSError):
            refused += 1
    assert refused > 100
