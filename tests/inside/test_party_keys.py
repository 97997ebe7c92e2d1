"""No message and no file of a joint computation on ciphertexts holds a piece of a secret key (ATTACKS 73).

All boxes of a run are threads of this process; what each makes of keys, writes, sends and leaves is looked through.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import zstandard

from keys import sealing as handing
from mpc.encrypted import crypto_box, envelope, sealing
from mpc.protocols import planning
from plans import canonical
from plans.handover import OPENED
from plans.joint import JointPlan
from tests.inside import party_persons as persons
from tests.inside.joint_cases import Files
from tests.inside.party_cases import Boxes
from tests.inside.party_forms import TAX
from tests.inside.test_cipher_boxes import ciphered
from tests.inside.test_party import recipient
from tests.inside.test_party_forms import go, parts
from tests.mpc import encrypted_attacks as bare

__all__ = ["parts", "recipient"]
PIECE, STEP, LARGEST = 32, 1024, 2**26
FRAME = zstandard.FRAME_HEADER

Run = Callable[..., tuple["Hunt", Boxes]]


@dataclass
class Hunt:
    """What was seen of a run: secret keys that its boxes made, and everything in which no piece of one may be."""

    keys: list[sealing.Opener] = field(default_factory=list)
    slates: list[bytes] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def follow(self, monkeypatch: pytest.MonkeyPatch, made: Callable[[sealing.Opener], None]) -> None:
        """Look on while a run is going, and do something with each key that is `made`."""
        begin, seal = sealing.Opener.__init__, envelope.seal

        def opener(new: sealing.Opener, parameters: Any) -> None:
            begin(new, parameters)
            self.keys.append(new)
            made(new)

        def sealed(bound: envelope.Front, body: bytes, secret: bytes) -> bytes:
            self.bodies.append(bytes(body))
            return seal(bound, body, secret)

        monkeypatch.setattr(sealing.Opener, "__init__", opener)
        monkeypatch.setattr(envelope, "seal", sealed)
        for name in ("written", "_read_into"):
            monkeypatch.setattr(sealing, name, self._looking(getattr(sealing, name)))

    def _looking(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def looking(*given: Any, **named: Any) -> Any:
            found = real(*given, **named)
            with sealing._turn:  # whoever writes a secret at this moment has not wiped it yet
                self.slates.append(Path(sealing._slate()._file.name).read_bytes())
            return found

        return looking

    def holds(self, contents: Iterable[bytes]) -> bool:
        """Whether a piece of a key is in one of these, as it is or in something packed that is in it."""
        raws = [sealing.written(each._secret, secret=True)[bare.SECRET_META :] for each in self.keys]
        pieces = {raw[at : at + PIECE] for raw in raws for at in range(0, len(raw) - PIECE, STEP)}
        assert len(pieces) > 50
        return any(piece in each for content in contents for each in unpacked(content) for piece in pieces)


def unpacked(content: bytes) -> Iterable[bytes]:
    """Yield bytes as they are, and whatever is packed in them, as SEAL packs what it saves."""
    yield content
    at = content.find(FRAME)
    while at >= 0:
        with contextlib.suppress(zstandard.ZstdError):  # four bytes that look like the beginning of something
            yield zstandard.ZstdDecompressor().decompressobj().decompress(content[at:])
        at = content.find(FRAME, at + 1)


def files(folder: Path) -> dict[str, bytes]:
    """All that boxes wrote, and whatever else this process has open."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    for descriptor in Path("/proc/self/fd").iterdir():
        target = Path(os.path.realpath(descriptor))
        if target.is_file() and target.stat().st_size < LARGEST and not str(target).startswith("/dev/null"):
            paths.append(target)
    return {str(path): path.read_bytes() for path in paths}


def wide(parts: dict[str, Files], key: handing.OpeningKey) -> JointPlan:
    """Totals of so many bits that they need several plain moduli; for each SEAL reads the key from its file."""
    joint = ciphered(parts, key)
    portions = tuple(
        replace(each, operands=tuple(replace(operand, high=10**13) for operand in each.operands))
        for each in joint.reading.portions
    )
    made = replace(joint, reading=replace(joint.reading, portions=portions))
    planned = planning.ciphertexts(made.task, made.reading)
    assert planned and len(planned.parameters.plain_moduli) > 1
    return made


@pytest.fixture
def run(
    parts: dict[str, Files], recipient: handing.OpeningKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Run:
    """Run a form to its end, or whatever end it has with a flaw; return what was seen, and the boxes."""
    monkeypatch.setattr(crypto_box, "_entered", [crypto_box.CryptoBox("a test")])
    monkeypatch.setattr(crypto_box, "enter", lambda _job: None)
    monkeypatch.setattr(sealing, "_slates", [])

    def go_on(form: str, made: Callable[[sealing.Opener], None] = lambda _key: None) -> tuple[Hunt, Boxes]:
        hunt = Hunt()
        hunt.follow(monkeypatch, made)
        if form == "sums":
            return hunt, go(wide(parts, recipient), tmp_path / "run", parts, recipient)
        owners = persons.score_files(tmp_path / "owners")
        return hunt, go(persons.scored(owners, recipient), tmp_path / "run", owners, recipient)

    return go_on


@pytest.mark.parametrize("form", ["sums", "scores"])
def test_no_message_and_no_file_of_a_run_holds_a_piece_of_the_secret_key(
    run: Run, tmp_path: Path, form: str
) -> None:
    """The file through which SEAL's objects go is looked at whenever one has gone; then all that boxes wrote, what is
    open in this process, what was in envelopes and on the wire, reports, and the table. Controls are below.
    """
    hunt, went = run(form)
    table = went.judged().canonical()
    left = files(tmp_path / "run")
    assert len(hunt.keys) == 1 and len(hunt.slates) > 10 and len(hunt.bodies) >= 3
    assert [Path(path).name for path in left].count(OPENED) == 1 and sealing._slate()._file.name in left
    reports = [canonical.encode(report) for report in went.reports.values()]
    carried = [bytes(content) for content in went.wire.values()]
    everything = [*hunt.slates, *hunt.bodies, *left.values(), *reports, *carried, table]
    assert not hunt.holds(everything)


def test_control_a_file_that_is_not_wiped_holds_the_key_and_is_found(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing._Slate, "wipe", lambda _slate: None)
    hunt, went = run("sums")
    assert went.failed == {} and hunt.holds(hunt.slates)
    assert not hunt.holds(hunt.bodies), "it is there and nowhere else"


@pytest.mark.parametrize("place", ["temp", TAX.replace("/", "-")], ids=["temp", "out"])
def test_control_a_key_that_a_box_saves_is_found(run: Run, tmp_path: Path, place: str) -> None:
    """As SEAL saves it, which is packed."""
    folder = tmp_path / "run" / place

    def saved(key: sealing.Opener) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        key._secret.save(str(folder / "kept"))

    hunt, went = run("sums", saved)
    assert went.failed == {} and hunt.holds(files(tmp_path / "run").values())
    assert not hunt.holds(hunt.slates)
