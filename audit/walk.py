"""One pass over all segments: hash every line, and note where lines, leaf hashes and claims part."""

from __future__ import annotations

from dataclasses import dataclass, field

from audit import events, files, merkle
from audit.claims import Claim
from audit.files import Layout
from audit.report import Finding, Kind
from plans.errors import Malformed


@dataclass(slots=True)
class Checked:
    """What the pass found.

    `differs` is the first event whose line does not have its stored leaf hash, `times` are those beside
    heads, `roots` the roots over the lines by size, as far as the lines go without a gap.
    """

    layout: Layout
    events: int = 0
    whole: bool = True
    differs: int | None = None
    last_time: int = 0
    peaks: list[merkle.Peak] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    times: dict[int, int] = field(default_factory=dict)
    roots: dict[int, bytes] = field(default_factory=dict)

    def holds(self, claim: Claim) -> bool:
        """Return whether the lines are what a claim says."""
        return self.roots.get(claim.size) == claim.root

    def at(self, kind: Kind, event: int, detail: str = "") -> Finding:
        """Return a finding about one event, with the place of its line."""
        segment = event // self.layout.segment_events
        path = self.layout.events(segment)
        lines = path.read_bytes().split(b"\n") if path.exists() else []
        before = lines[: event - segment * self.layout.segment_events]
        offset = sum(map(len, before)) + len(before) if path.exists() else -1
        return Finding(kind, event, event + 1, path.name, offset, detail)


def walk(layout: Layout, claimed: list[Claim]) -> Checked:
    """Read every segment once; memory is that of one segment."""
    checked, frontier = Checked(layout), merkle.Frontier()
    sizes = sorted({claim.size for claim in claimed})
    checked.roots[0] = merkle.EMPTY_ROOT
    for segment in range(layout.segments()):
        start = segment * layout.segment_events
        lines = _read(layout, segment, checked)
        rows = merkle.levels(merkle.leaf_hashes(lines))
        _compare_leaves(checked, segment, rows[0], len(lines))
        _check_ends(checked, lines, start)
        if checked.whole:
            for size in [size for size in sizes if start < size <= start + len(lines)]:
                checked.roots[size] = merkle.root_of_peaks(
                    [*frontier.peaks, *merkle.peaks(rows, size - start)]
                )
            _note_times(checked, lines, start, sizes)
            for height, subtree in merkle.peaks(rows, len(lines)):
                frontier.push(subtree, height)
            checked.events = start + len(lines)
            checked.whole = len(lines) == layout.segment_events
    checked.peaks = frontier.peaks
    return checked


def _read(layout: Layout, segment: int, checked: Checked) -> list[bytes]:
    """Return a segment's lines; say so when it is missing, torn or of the wrong length."""
    path, start = layout.events(segment), segment * layout.segment_events
    data = path.read_bytes() if path.exists() else b""
    lines, torn = files.whole_lines(data)
    last = segment == layout.segments() - 1
    if torn:
        detail = (
            "the last line is torn, after a crash or by a cut; it is not an acknowledged event"
            if last
            else ""
        )
        if not last or _leaf_count(layout, segment) > len(lines):
            checked.findings.append(checked.at(Kind.MISSING, start + len(lines), detail))
    if len(lines) > layout.segment_events:
        checked.findings.append(
            checked.at(Kind.OUT_OF_PLACE, start + layout.segment_events, "too many lines")
        )
        del lines[layout.segment_events :]
    elif len(lines) < layout.segment_events and not last:
        checked.findings.append(
            checked.at(Kind.MISSING, start + len(lines), "a segment before the last is not full")
        )
    return lines


def _leaf_count(layout: Layout, segment: int) -> int:
    path = layout.leaves(segment)
    return path.stat().st_size // merkle.HASH_BYTES if path.exists() else 0


def _compare_leaves(checked: Checked, segment: int, leaves: list[bytes], count: int) -> None:
    """Note the first event whose stored leaf hash is another one, or that only a leaf hash remembers."""
    path, start = checked.layout.leaves(segment), segment * checked.layout.segment_events
    stored = path.read_bytes() if path.exists() else b""
    if stored == b"".join(leaves):
        return
    pairs = zip(leaves, merkle.split_hashes(stored), strict=False)
    different = next((n for n, (ours, theirs) in enumerate(pairs) if ours != theirs), None)
    if different is not None and checked.differs is None:
        checked.differs = start + different
    if len(stored) // merkle.HASH_BYTES > count:
        checked.findings.append(checked.at(Kind.MISSING, start + count, "only their leaf hashes are there"))


def _check_ends(checked: Checked, lines: list[bytes], start: int) -> None:
    """Check number and time at the end of every line; note the first line where they are wrong."""
    last = b"%013d" % checked.last_time
    for number, line in enumerate(lines, start):
        time = line[-14:-1]
        if not events.is_numbered(line, number):
            checked.findings.append(checked.at(Kind.OUT_OF_PLACE, number))
            break
        if time < last or not time.isdigit():
            checked.findings.append(checked.at(Kind.CLOCK, number, "earlier than the event before it"))
            break
        last = time
    checked.last_time = int(last)


def _note_times(checked: Checked, lines: list[bytes], start: int, sizes: list[int]) -> None:
    """Remember the times of the events on both sides of each head."""
    for event in {beside for size in sizes for beside in (size - 1, size)}:
        if start <= event < start + len(lines):
            try:
                checked.times[event] = events.time_of(lines[event - start])
            except Malformed:
                continue  # `_check_ends` reports the line
