"""What the disclosure ledger costs: a cell against everything that was ever released about a lineage.

airlock.ledger_ms_100k   one new cell, as it is and as the rest of the whole dataset, against 100,000 earlier cells,
                         each with its complement in its table's total and in the whole dataset: 300,000 vectors, of
                         the same number of persons as the new one and its rest, so that sizes tell none apart; and
                         against the pairs of the newest 1,024; median
                         peer: the same distances without sifting, all 300,000 x 64 of them in numpy
ledger.pairs_ms          one new cell against the pairs of 1,024 cells, half of which count twice as many persons, so
                         that sizes sift as few pairs as can be; median
                         peer: none
ledger.table_ms_1k       a table of 1,000 cells of that number of persons, its total and complements, against the
                         same; median
                         peer: none
ledger.start_s_100k      a keeper's start: 100 encrypted pages of 1,000 cells each are read and taken in
                         peer: none
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
# This file is named like a module of a room: run as a script, its own folder must not stand in the way.
sys.path[:] = [str(ROOT), *(each for each in sys.path if Path(each or ".").resolve() != ROOT / "benchmarks")]

from benchmarks import report  # noqa: E402
from benchmarks.report import Metric  # noqa: E402
from keeper.keyring import Keyring  # noqa: E402
from keeper.ledger import Ledger  # noqa: E402
from keeper.ledger_book import Book, Page  # noqa: E402
from keeper.ledger_nearness import Prints  # noqa: E402
from keeper.ledger_pairs import NEWEST, Newest, Pairs, sets_of  # noqa: E402
from keeper.ledger_rules import Apart, Lineage, withheld_rows  # noqa: E402
from plans.sets import SIGNS, Sets  # noqa: E402

CELLS, PERSONS, DIFFER = 100_000, 1_000, 10
WHOLE = 1_000_000


def metrics() -> Iterator[Metric]:
    """Measure all of it."""
    rng = np.random.default_rng(1)
    lineage = filled(rng)
    yield cell_ms(lineage, rng)
    yield Metric("ledger.pairs_ms", 1_000 * pairs_s(rng), "ms", at_most=20)
    yield Metric("ledger.table_ms_1k", 1_000 * table_s(lineage, rng), "ms")
    with tempfile.TemporaryDirectory() as folder:
        yield Metric("ledger.start_s_100k", start_s(Path(folder), rng), "s")


def cell() -> Metric:
    """Return what one cell costs."""
    rng = np.random.default_rng(1)
    return cell_ms(filled(rng), rng)


def cell_ms(lineage: Lineage, rng: np.random.Generator) -> Metric:
    """Return the cost of one cell, beside that of all distances."""
    offered = prints(rng, np.full(40, PERSONS))
    pairs, single = Pairs([lineage.people.newest], lineage.people.whole), sets_of(offered)

    def weighed(place: int) -> None:
        lineage.near(offered.take(np.asarray([place])), DIFFER)
        pairs.near(single[place], DIFFER)

    each = [median_s(partial(weighed, place)) for place in range(40)]
    signs = rng.standard_normal((len(lineage.people.known), SIGNS)).astype(np.float32)

    def plain() -> None:
        for vector in (offered.signs[0], WHOLE - offered.signs[0]):
            apart = signs - vector.astype(np.float32)
            np.einsum("ij,ij->i", apart, apart).min()

    return Metric(
        "airlock.ledger_ms_100k",
        1_000 * statistics.median(each),
        "ms",
        at_most=20,
        peer=1_000 * median_s(plain, 3),
        peer_is="all distances in numpy",
    )


def pairs_s(rng: np.random.Generator) -> float:
    """Return the seconds for one cell and the pairs that sizes sift least."""
    newest = Newest()
    newest.add(prints(rng, np.repeat([PERSONS, 2 * PERSONS], NEWEST // 2)))
    pairs, offered = Pairs([newest]), prints(rng, np.full(40, PERSONS))
    each = [median_s(partial(pairs.near, one, DIFFER)) for one in sets_of(offered)]
    return statistics.median(each)


def table_s(lineage: Lineage, rng: np.random.Generator) -> float:
    """Return the seconds for a table of 1,000 cells."""
    table = sets(prints(rng, np.full(1_000, PERSONS)))
    return median_s(lambda: withheld_rows(table, [lineage], Apart(DIFFER), DIFFER), 3)


def start_s(folder: Path, rng: np.random.Generator) -> float:
    """Return the seconds until a ledger of 100 pages is there again."""
    book, lines = Book(folder / "ledger", Keyring.create(folder / "keyring")), []
    for number in range(100):
        name = f"sha256:{number:064x}"
        table = sets(prints(rng, rng.integers(100, 10_000, CELLS // 100)))
        page = Page(
            name, 1, name, "m", ("nm/tax/income",), {}, DIFFER, (PERSONS,), "", False, ((),), (table,)
        )
        lines.append((name, book.write(page)))
    begun, started = time.perf_counter(), Ledger(book, lambda kind, line: None)
    for line in lines:
        started.take_in(*line, 0)
    return time.perf_counter() - begun


def filled(rng: np.random.Generator) -> Lineage:
    """Return a lineage of 100,000 cells in tables of 1,000, all of which count about as many persons."""
    lineage = Lineage()
    lineage.take_in([prints(rng, np.full(1, WHOLE))], [], WHOLE)
    for _ in range(CELLS // 1_000):
        cells = prints(rng, np.full(1_000, PERSONS))
        lineage.take_in([cells], [prints(rng, np.full(1_000, PERSONS))], 0)
    return lineage


def prints(rng: np.random.Generator, persons: np.ndarray) -> Prints:
    """Return fingerprints of sets of so many persons: sums of as many signs are nearly normal."""
    drawn = rng.standard_normal((len(persons), SIGNS)) * np.sqrt(persons)[:, None]
    return Prints(persons.astype(np.int64), 2 * np.rint(drawn / 2).astype(np.int64) + (persons % 2)[:, None])


def sets(cells: Prints) -> Sets:
    """Return a table of cells as a box hands it over."""
    return Sets(len(cells), 1, cells.persons.tolist(), cells.signs.ravel().tolist())


def median_s(work: Callable[[], object], rounds: int = 3) -> float:
    """Return the median of the seconds that some work takes."""
    found = []
    for _ in range(rounds):
        begun = time.perf_counter()
        work()
        found.append(time.perf_counter() - begun)
    return statistics.median(found)


if __name__ == "__main__":
    sys.exit(report.main("ledger", __doc__, metrics))
