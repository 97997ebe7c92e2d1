"""ATTACKS 64 and 85: every manipulation of the log is found and located; two views shown to two witnesses are
noticed.

The attacker of this file can write every file of the log. `recompute_leaves` is the one who also makes the
leaf hashes fit; `resign` is the one who holds the log's key, the centre itself. None has a witness's key.
"""

from __future__ import annotations

import copy
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from audit import api as audit
from audit import events, heads, merkle
from keys import api as keys
from plans.errors import LogBroken, Outdated, SignatureWrong
from plans.statements import Duty, Head, Signed

SEGMENT, COUNT, HEADS = 16, 60, (10, 25, 40, 50, 60)
COSIGNED = 40


class Scene:
    """A log of sixty events in four segments, five heads, one of them cosigned by a keeper."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.key, self.keeper = folder, keys.SigningKey.fresh(), keys.SigningKey.fresh()
        log = audit.Log.open(folder, self.key, segment=SEGMENT)
        for n in range(COUNT):
            log.append(audit.Draft("li@nm", "nm/tax", "grant.used", f"job-{n}", audit.Retention.GRANTS))
            if n + 1 in HEADS:
                self.newest = self.read(log.head())
                if n + 1 == COSIGNED:
                    log.add_cosignature(audit.cosign(self.newest, "nm/tax", self.keeper))
        log.close()

    def read(self, signed: Signed) -> Head:
        return heads.read_head(signed, self.key.public, Duty.CENTRE)

    def verify(self, *remembered: Head) -> audit.Report:
        return audit.verify(self.folder, self.key.public, {"nm/tax": self.keeper.public}, remembered)

    def lines(self) -> list[bytes]:
        return b"".join(path.read_bytes() for path in sorted(self.folder.glob("*.events"))).splitlines()

    def write(self, lines: list[bytes]) -> None:
        """Lay all lines into segments again, as the log itself would have."""
        for path in self.folder.glob("*.events"):
            path.unlink()
        for start in range(0, len(lines), SEGMENT):
            part = lines[start : start + SEGMENT]
            (self.folder / f"{start:020d}.events").write_bytes(b"".join(line + b"\n" for line in part))

    def recompute_leaves(self) -> None:
        for path in self.folder.glob("*.leaves"):
            path.unlink()
        for path in self.folder.glob("*.events"):
            leaves = merkle.leaf_hashes(path.read_bytes().splitlines())
            path.with_suffix(".leaves").write_bytes(b"".join(leaves))

    def resign(self, sizes: tuple[int, ...] = HEADS) -> None:
        rows = merkle.levels(merkle.leaf_hashes(self.lines()))
        made = []
        for size in (size for size in sizes if size <= len(rows[0])):
            root = merkle.root_of_peaks(merkle.peaks(rows, size)).hex()
            made.append(
                heads.sign_head(Head("centre", size, root, int(time.time())), self.key).canonical() + b"\n"
            )
        (self.folder / "heads").write_bytes(b"".join(made))


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene(tmp_path_factory.mktemp("audit") / "log")


@pytest.fixture
def scene(untouched: Scene, tmp_path: Path) -> Scene:
    """A copy of the scene for each attack; the log and its keys are the same."""
    copied = copy.copy(untouched)
    copied.folder = tmp_path / "log"
    shutil.copytree(untouched.folder, copied.folder)
    return copied


def renumber(lines: list[bytes]) -> list[bytes]:
    """Give every line the number that belongs to its place, and times that run forwards."""
    plain = [json.loads(line) for line in lines]
    for n, (each, moment) in enumerate(zip(plain, sorted(each["time"] for each in plain), strict=True)):
        each.update(sequence=n, time=moment)
    return [audit.Event.read(each).canonical() for each in plain]


def flip(lines: list[bytes], at: int) -> list[bytes]:
    return [*lines[:at], lines[at].replace(b"grant.used", b"grant.usee"), *lines[at + 1 :]]


def drop(lines: list[bytes], at: int) -> list[bytes]:
    return [*lines[:at], *lines[at + 1 :]]


def insert(lines: list[bytes], at: int) -> list[bytes]:
    return [*lines[:at], lines[at].replace(b"grant.used", b"grant.made"), *lines[at:]]


def reorder(lines: list[bytes], at: int) -> list[bytes]:
    return [*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]]


def break_line(lines: list[bytes], at: int) -> list[bytes]:
    return [*lines[:at], lines[at][:20], lines[at][20:], *lines[at + 1 :]]


def merge_lines(lines: list[bytes], at: int) -> list[bytes]:
    return [*lines[:at], lines[at] + b" " + lines[at + 1], *lines[at + 2 :]]


CHANGES = [flip, drop, insert, reorder, break_line, merge_lines]
PLACES = [0, 1, 9, 10, 15, 16, 31, 32, 45, 57]
Change = Callable[[list[bytes], int], list[bytes]]


def offset_of(lines: list[bytes], event: int) -> int:
    start = event // SEGMENT * SEGMENT
    return sum(len(line) + 1 for line in lines[start:event])


def test_control_an_untouched_log_and_an_untouched_copy_verify(scene: Scene, tmp_path: Path) -> None:
    shutil.copytree(scene.folder, tmp_path / "copy")
    for folder in (scene.folder, tmp_path / "copy"):
        report = audit.verify(folder, scene.key.public, {"nm/tax": scene.keeper.public}, (scene.newest,))
        assert report.ok and report.require() is report
        assert (report.events, report.heads, report.cosignatures) == (COUNT, len(HEADS), 1)
        assert (report.signed, report.cosigned) == (60, 60)
        assert report.root == scene.newest.root
    assert scene.verify().cosigned == COSIGNED


def test_control_laying_the_same_lines_again_changes_nothing(scene: Scene) -> None:
    """The attacker's own tools do not themselves cause a finding."""
    scene.write(renumber(scene.lines()))
    scene.recompute_leaves()
    scene.resign()
    assert scene.verify(scene.newest).ok


@pytest.mark.parametrize("at", PLACES)
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_found_and_located_to_the_event(scene: Scene, change: Change, at: int) -> None:
    before = scene.lines()
    scene.write(change(before, at))
    first = scene.verify().first
    assert first is not None and first.exact and first.first == at
    assert first.segment == f"{at // SEGMENT * SEGMENT:020d}.events"
    assert first.offset == offset_of(before, at)
    with pytest.raises(LogBroken, match="does not verify"):
        scene.verify().require()


@pytest.mark.parametrize("at", PLACES)
def test_a_single_flipped_bit_anywhere_in_a_line_is_found(scene: Scene, at: int) -> None:
    path = scene.folder / f"{at // SEGMENT * SEGMENT:020d}.events"
    whole, lines = path.read_bytes(), scene.lines()
    start = offset_of(lines, at)
    for place in (0, len(lines[at]) // 2, len(lines[at]) - 30, len(lines[at]) - 2, len(lines[at])):
        data = bytearray(whole)
        data[start + place] ^= 1
        path.write_bytes(data)
        first = scene.verify().first
        assert first is not None and first.exact and first.first == at, place


@pytest.mark.parametrize("change", [flip, drop, insert, reorder])
@pytest.mark.parametrize("at", PLACES)
def test_a_change_with_leaf_hashes_made_to_fit_lies_between_two_heads(
    scene: Scene, change: Change, at: int
) -> None:
    scene.write(renumber(change(scene.lines(), at)))
    scene.recompute_leaves()
    first = scene.verify().first
    assert first is not None
    below = max((size for size in HEADS if size <= at), default=0)
    above = min(size for size in HEADS if size > at)
    if (change, above) == (drop, COUNT):
        assert (first.kind, first.first) == (audit.Kind.MISSING, COUNT - 1)
        assert f"no signed head confirms those from {below} on" in first.detail
    else:
        assert (first.first, first.before) == (below, above), first


@pytest.mark.parametrize("at", [at for at in PLACES if at < COSIGNED])
def test_even_the_logs_own_key_cannot_rewrite_what_a_witness_signed(scene: Scene, at: int) -> None:
    scene.write(renumber(flip(scene.lines(), at)))
    scene.recompute_leaves()
    scene.resign()
    first = scene.verify().first
    assert first is not None and first.kind in (audit.Kind.REWRITTEN, audit.Kind.FORK)
    assert first.first <= at < first.before <= COSIGNED
    assert "nm/tax" in str(first)


def test_what_nobody_has_witnessed_can_be_rewritten_and_the_report_says_where_that_begins(
    scene: Scene,
) -> None:
    """No false promise: this is the limit of what files alone can show, and memory of a witness closes it."""
    scene.write(renumber(flip(scene.lines(), 45)))
    scene.recompute_leaves()
    scene.resign()
    assert scene.verify().ok and scene.verify().cosigned == COSIGNED
    assert not scene.verify(scene.newest).ok


def test_a_forger_without_the_key_signs_no_head(scene: Scene) -> None:
    scene.key, own = keys.SigningKey.fresh(), scene.key
    scene.resign()
    scene.key = own
    report = scene.verify()
    assert {each.kind for each in report.findings} == {audit.Kind.HEAD} and report.heads == 0


def test_a_forged_cosignature_is_found_and_a_strangers_is_counted_and_ignored(scene: Scene) -> None:
    path, stranger = scene.folder / "cosignatures", keys.SigningKey.fresh()
    path.write_bytes(audit.cosign(scene.newest, "nm/tax", stranger).canonical() + b"\n")
    assert {each.kind for each in scene.verify().findings} == {audit.Kind.COSIGNATURE}
    path.write_bytes(audit.cosign(scene.newest, "nm/health", stranger).canonical() + b"\n")
    report = scene.verify()
    assert (report.ok, report.ignored, report.cosigned) == (True, 1, 0)


def test_a_changed_signature_file_is_found(scene: Scene) -> None:
    for name in ("heads", "cosignatures"):
        path = scene.folder / name
        good = path.read_bytes()
        for place in range(0, len(good) - 1, 97):
            bad = bytearray(good)
            bad[place] ^= 1
            path.write_bytes(bad)
            report = scene.verify()
            assert not report.ok or report.ignored, place
        path.write_bytes(good)
    assert scene.verify().ok


# -------------------------------------------------------------------------------------------------- truncation


@pytest.mark.parametrize("kept", [0, 1, 15, 16, 17, 39, 48, 59])
def test_a_cut_end_is_found_with_the_first_missing_event(scene: Scene, kept: int) -> None:
    scene.write(scene.lines()[:kept])
    scene.recompute_leaves()
    first = scene.verify().first
    assert first is not None and first.kind is audit.Kind.MISSING and first.first == kept


def test_a_cut_behind_the_last_head_is_found_by_the_leaf_hashes(scene: Scene) -> None:
    log = audit.Log.open(scene.folder, scene.key)
    for n in range(3):
        log.append(audit.Draft("li@nm", "nm/tax", "grant.used", f"late-{n}", audit.Retention.GRANTS))
    log.close()
    scene.write(scene.lines()[:61])
    first = scene.verify().first
    assert first is not None and (first.kind, first.first) == (audit.Kind.MISSING, 61)


def test_a_cut_with_all_heads_behind_the_last_cosigned_one_is_found(scene: Scene) -> None:
    """Heads are re-signed to fit the shorter log; the witness's signature cannot be."""
    scene.write(scene.lines()[:30])
    scene.recompute_leaves()
    scene.resign((10, 25, 30))
    first = scene.verify().first
    assert first is not None and (first.kind, first.first) == (audit.Kind.MISSING, 30)
    assert "nm/tax" in first.detail


def test_a_cut_with_all_signatures_is_found_by_what_a_witness_remembers(scene: Scene) -> None:
    scene.write(scene.lines()[:30])
    scene.recompute_leaves()
    scene.resign((10, 25, 30))
    (scene.folder / "cosignatures").unlink()
    assert scene.verify().ok, "the control: files alone cannot show it"
    first = scene.verify(scene.newest).first
    assert first is not None and (first.kind, first.first) == (audit.Kind.MISSING, 30)


@pytest.mark.parametrize("start", [0, 16, 32])
def test_a_removed_segment_is_found(scene: Scene, start: int) -> None:
    for suffix in ("events", "leaves"):
        (scene.folder / f"{start:020d}.{suffix}").unlink()
    first = scene.verify().first
    assert first is not None and (first.kind, first.first) == (audit.Kind.MISSING, start)


def test_changed_leaf_hashes_do_not_accuse_the_events(scene: Scene) -> None:
    path = scene.folder / f"{16:020d}.leaves"
    data = bytearray(path.read_bytes())
    data[5 * 32] ^= 1
    path.write_bytes(data)
    assert [(each.kind, each.first) for each in scene.verify().findings] == [(audit.Kind.LEAVES, 21)]


def test_a_changed_description_of_the_log_is_refused(scene: Scene) -> None:
    path = scene.folder / "log.json"
    path.write_bytes(path.read_bytes().replace(b"16", b"32"))
    assert not scene.verify().ok
    path.write_bytes(path.read_bytes().replace(b"centre", b"another"))
    assert not scene.verify().ok
    path.write_bytes(b"{}")
    with pytest.raises(LogBroken):
        scene.verify()


# ------------------------------------------------------------------------------------------------------- clocks


def retime(lines: list[bytes], at: int, by: int) -> list[bytes]:
    plain = [json.loads(line) for line in lines]
    for each in plain[at:]:
        each["time"] += by
    return [audit.Event.read(each).canonical() for each in plain]


@pytest.mark.parametrize("by, located", [(-10_000, 45), (-3_600_000, 45), (3_600_000, 49)])
def test_events_with_a_skewed_clock_are_found(scene: Scene, by: int, located: int) -> None:
    """The centre's own clock lies, everything else fits: neighbours, or the heads around, contradict it."""
    scene.write(retime(scene.lines(), 45, by))
    scene.recompute_leaves()
    scene.resign()
    first = scene.verify().first
    assert first is not None and (first.kind, first.first) == (audit.Kind.CLOCK, located)


def test_a_witness_refuses_a_head_made_at_another_time_than_its_own(scene: Scene) -> None:
    signed = heads.sign_head(scene.newest, scene.key)
    now = scene.newest.made_at
    assert audit.witness(None, signed, (), scene.key.public, now + 300) == scene.newest
    for moment in (now + 301, now - 301):
        with pytest.raises(Outdated):
            audit.witness(None, signed, (), scene.key.public, moment)


# ------------------------------------------------------------------------------------------- 85: two views


class Witness:
    """A keeper that remembers the last head it signed."""

    def __init__(self, log_key: str) -> None:
        self.log_key, self.last = log_key, None

    def sees(self, log: audit.Log) -> Head:
        signed = log.head()
        size = int(signed.statement.body["size"])
        proof = log.consistency(self.last.size, size) if self.last and self.last.size <= size else ()
        self.last = audit.witness(self.last, signed, proof, self.log_key, int(time.time()))
        return self.last


def two_views(scene: Scene, tmp_path: Path) -> tuple[audit.Log, audit.Log]:
    """The centre keeps two logs with one past and one key, and lets them part at event 60."""
    shutil.copytree(scene.folder, tmp_path / "other")
    logs = tuple(audit.Log.open(folder, scene.key) for folder in (scene.folder, tmp_path / "other"))
    for n, log in enumerate(logs):
        log.append(audit.Draft("li@nm", "nm/tax", "grant.used", f"view-{n}", audit.Retention.GRANTS))
    return logs


def test_an_honest_log_satisfies_two_witnesses_at_any_pace(scene: Scene) -> None:
    log = audit.Log.open(scene.folder, scene.key)
    one, two = Witness(scene.key.public), Witness(scene.key.public)
    for n in range(40):
        log.append(audit.Draft("li@nm", "nm/tax", "grant.used", f"more-{n}", audit.Retention.GRANTS))
        one.sees(log)
        if n % 7 == 0:
            two.sees(log)
    assert (
        one.last
        and two.last
        and not audit.contradict(one.last, two.last, log.consistency(two.last.size, one.last.size))
    )


def test_two_views_shown_to_two_witnesses_are_noticed_when_they_compare(scene: Scene, tmp_path: Path) -> None:
    views = two_views(scene, tmp_path)
    seen = [Witness(scene.key.public).sees(view) for view in views]
    assert audit.find_fork(seen) == tuple(seen)
    assert audit.contradict(*seen)
    assert audit.find_fork([seen[0], seen[0], scene.newest]) is None


def test_two_views_of_different_sizes_have_no_proof_that_joins_them(scene: Scene, tmp_path: Path) -> None:
    views = two_views(scene, tmp_path)
    for n in range(9):
        views[1].append(audit.Draft("li@nm", "nm/tax", "grant.used", f"on-{n}", audit.Retention.GRANTS))
    small, large = (Witness(scene.key.public).sees(view) for view in views)
    assert audit.contradict(small, large, views[1].consistency(small.size, large.size))
    assert not audit.contradict(scene.newest, large, views[1].consistency(scene.newest.size, large.size))


def test_a_witness_that_is_led_from_one_view_to_the_other_refuses(scene: Scene, tmp_path: Path) -> None:
    views, witness = two_views(scene, tmp_path), Witness(scene.key.public)
    witness.sees(views[0])
    with pytest.raises(LogBroken):
        witness.sees(views[1])
    views[1].append(audit.Draft("li@nm", "nm/tax", "grant.used", "longer", audit.Retention.GRANTS))
    with pytest.raises(LogBroken):
        witness.sees(views[1])


def test_the_other_views_signature_does_not_fit_this_log(scene: Scene, tmp_path: Path) -> None:
    views = two_views(scene, tmp_path)
    other = audit.cosign(Witness(scene.key.public).sees(views[1]), "nm/tax", scene.keeper)
    views[0].head()
    with pytest.raises(LogBroken):
        views[0].add_cosignature(other)
    with (scene.folder / "cosignatures").open("ab") as file:
        file.write(other.canonical() + b"\n")
    assert audit.Kind.FORK in {each.kind for each in scene.verify().findings}


def test_a_witness_signs_neither_a_shorter_nor_a_strangers_nor_another_logs_head(scene: Scene) -> None:
    now = scene.newest.made_at
    offers = {
        LogBroken: [
            heads.sign_head(Head("centre", 50, scene.newest.root, now), scene.key),
            heads.sign_head(Head("nm/other", 60, scene.newest.root, now), scene.key),
            heads.sign_head(Head("centre", 60, "00" * 32, now), scene.key),
            heads.sign_head(Head("centre", 60, scene.newest.root, now - 1), scene.key),
        ],
        SignatureWrong: [
            heads.sign_head(scene.newest, keys.SigningKey.fresh()),
            audit.cosign(scene.newest, "nm/tax", scene.key),
        ],
    }
    for error, refused in offers.items():
        for signed in refused:
            with pytest.raises(error):
                audit.witness(scene.newest, signed, (), scene.key.public, now)
    assert audit.witness(scene.newest, heads.sign_head(scene.newest, scene.key), (), scene.key.public, now)


def test_numbers_at_the_ends_of_lines_are_what_they_seem(scene: Scene) -> None:
    """The control of the fast check: it says yes to every line at its own place, and no at the next."""
    for n, line in enumerate(scene.lines()):
        assert events.is_numbered(line, n) and not events.is_numbered(line, n + 1)
