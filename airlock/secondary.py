"""Secondary suppression: what else is kept back, so that margins do not give back what was (ATTACKS 27).

Pure. A table has keys; whoever knows its *margins* (the same figures grouped by fewer keys) and the cells that are
shown can subtract. So after some cells were withheld, further ones are, the smallest first, until

* in every margin, of every subset of the keys, the withheld cells together could be released as one (`safe`), or there
  is no other cell;
* no withheld cell is the only solution of the equations that all margins are (Hundepool and others, Statistical
  Disclosure Control, 2012, section 4.4): a cell is determined exactly if it is the same in all solutions.

Margins by all keys but one imply every other one, so these are the equations. They are solved modulo a large prime: a
solution that is one over the rationals is one there too. Who knows besides how large cells can be at the most and the
least may narrow them down further; that is not looked at.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from itertools import combinations

Key = tuple[Hashable, ...]
Safe = Callable[[Collection[int]], bool]

MOST_KEYS = 6
"""Keys of which every subset is a margin that is looked at; of more, those of one key fewer, of one, and of none."""

MOST_SOLVED = 120
"""Withheld cells that hang together by margins, whose equations are solved; of more, margins alone are looked at."""

_PRIME = 2**61 - 1


def complete(
    keys: Sequence[Key], withheld: Collection[int], safe: Safe, size: Callable[[int], float]
) -> frozenset[int]:
    """Return the positions of all cells that are withheld, those that were at first among them.

    Args:
        keys: of each cell the values of its keys.
        withheld: positions of cells that may not be shown, whatever else is.
        safe: whether some cells could be released as one.
        size: what of two cells is given up first: the smaller.
    """
    if not withheld or not keys or not keys[0]:
        return frozenset(withheld)
    lines = [_grouped(keys, subset) for subset in _margins(len(keys[0]))]
    equations = [_grouped(keys, subset) for subset in _largest_margins(len(keys[0]))]
    kept = set(withheld)
    while True:
        for line in lines:
            _grow(line, keys, kept, safe, size)
        further = _first_to_hide(equations, keys, kept, (withheld, size))
        if further is None:
            return frozenset(kept)
        kept.add(further)


Line = tuple[tuple[int, ...], dict[Key, list[int]]]
"""A margin: the positions of its keys, and the cells of each of its groups."""


def _margins(count: int) -> Iterator[tuple[int, ...]]:
    sizes: Iterable[int] = (
        range(count) if count <= MOST_KEYS else (size for size in range(count) if size in (0, 1, count - 1))
    )
    for size in sizes:
        yield from combinations(range(count), size)


def _largest_margins(count: int) -> Iterator[tuple[int, ...]]:
    return combinations(range(count), count - 1)


def _grouped(keys: Sequence[Key], subset: tuple[int, ...]) -> Line:
    groups: dict[Key, list[int]] = defaultdict(list)
    for place, key in enumerate(keys):
        groups[tuple(key[each] for each in subset)].append(place)
    return subset, groups


def _of(line: Line, key: Key) -> list[int]:
    subset, groups = line
    return groups[tuple(key[each] for each in subset)]


def _grow(line: Line, keys: Sequence[Key], kept: set[int], safe: Safe, size: Callable[[int], float]) -> None:
    """Withhold further cells of each group of a margin until what is withheld could be released together."""
    subset, _ = line
    touched = {tuple(keys[place][each] for each in subset) for place in kept}
    for key in sorted(touched, key=repr):
        group = line[1][key]
        hidden = [place for place in group if place in kept]
        shown = sorted(
            (place for place in group if place not in kept), key=lambda place: (size(place), place)
        )
        while shown and not safe(hidden):
            hidden.append(shown.pop(0))
        kept.update(hidden)


def _first_to_hide(
    equations: list[Line],
    keys: Sequence[Key],
    kept: set[int],
    first: tuple[Collection[int], Callable[[int], float]],
) -> int | None:
    """Return a cell to withhold as well, since a cell that must be hidden is determined; none if no such is."""
    primary, size = first
    for component in _components(equations, keys, kept):
        if len(component) > MOST_SOLVED:
            continue
        wanted = [place for place in component if place in primary]
        if not wanted or not _determined(equations, keys, component, wanted):
            continue
        beside = {
            other for place in component for line in equations for other in _of(line, keys[place])
        } - kept
        if beside:
            return min(beside, key=lambda place: (size(place), place))
    return None


def _components(equations: list[Line], keys: Sequence[Key], kept: set[int]) -> Iterator[list[int]]:
    """Yield the withheld cells that hang together by margins."""
    left = set(kept)
    while left:
        waiting, found = [min(left)], []
        left.discard(waiting[0])
        while waiting:
            place = waiting.pop()
            found.append(place)
            near = {other for line in equations for other in _of(line, keys[place])} & left
            left -= near
            waiting += near
        yield sorted(found)


def _determined(
    equations: list[Line], keys: Sequence[Key], component: list[int], wanted: Iterable[int]
) -> bool:
    """Return whether the margins leave one solution for any of the wanted cells.

    A cell is determined exactly if its unit vector is a combination of the equations' rows; so the rows are brought to
    reduced echelon form, and there it is if some row holds this cell alone.
    """
    column = {place: number for number, place in enumerate(component)}
    rows = []
    for line in equations:
        groups = {
            tuple(sorted(column[other] for other in _of(line, keys[p]) if other in column)) for p in component
        }
        rows += [dict.fromkeys(group, 1) for group in sorted(groups)]
    alone = {next(iter(row)) for row in _reduced(rows) if len(row) == 1}
    return any(column[place] in alone for place in wanted)


def _reduced(rows: list[dict[int, int]]) -> list[dict[int, int]]:
    """Return sparse rows in reduced echelon form, modulo the prime."""
    done: dict[int, dict[int, int]] = {}
    for row in rows:
        for pivot in sorted(set(row) & set(done)):
            if pivot in row:
                _subtract(row, done[pivot], row[pivot])
        if not row:
            continue
        pivot = min(row)
        inverse = pow(row[pivot], -1, _PRIME)
        row = {each: value * inverse % _PRIME for each, value in row.items()}
        for other in done.values():
            if pivot in other:
                _subtract(other, row, other[pivot])
        done[pivot] = row
    return list(done.values())


def _subtract(row: dict[int, int], other: dict[int, int], times: int) -> None:
    for each, value in other.items():
        rest = (row.get(each, 0) - times * value) % _PRIME
        if rest:
            row[each] = rest
        else:
            row.pop(each, None)
