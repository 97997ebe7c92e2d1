"""Stories that `make demo-joint` does not tell, over two further registers: three servers without a helper, a product
of two owners' columns, and an owner whose figures leave with noise alone. Beside them are those on ciphertexts.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv

from darkroom.joint_task import Named
from examples.encrypted import data as encrypted
from examples.encrypted import stories
from examples.encrypted.__main__ import SCENERY as ON_CIPHERTEXTS
from examples.joint.data import Sizes, write
from examples.joint.region import PLAIN, Scenery
from examples.joint.stories import DIABETES, HELPER, Register, Story, Truth, registers_of

HERE = Path(__file__).parent / "registers"
WARDS, MOST_DAYS = ("surgery", "medicine", "burns"), 90
MOST_ROOMS = 10

STAYS = Register("nm/health", "stays", ("ward", "days"))
DWELLINGS = Register("nm/civil", "dwellings", ("rooms",))
YEARLY = next(each for each in DIABETES.registers if each.name == "yearly")

PRODUCT = Story(
    title="What do days in hospital cost those who earn? A product of two owners' columns, matched by no helper",
    project="days-lost",
    purpose="Income that is lost by stays in hospital, ward by ward",
    registers=(STAYS, YEARLY),
    named=Named(("nm/civil", "nm/health", "nm/tax")),
    statement=(
        "select h.ward, count(*) as persons, sum(h.days * t.income) as lost\n"
        "from health.stays h join tax.yearly t using (person)\n"
        "group by h.ward"
    ),
    truth=Truth(
        joined="stays JOIN yearly USING (id18)",
        keys=("ward",),
        figures=("count", "total"),
        value="days::INTEGER * income::DECIMAL(12, 2)",
        highest=MOST_DAYS * 1_000_000,
    ),
)
NOISED = Story(
    title="How do those live who earn? The owner of dwellings lets nothing leave without noise",
    project="dwellings",
    purpose="Rooms and income of taxpayers",
    registers=(DWELLINGS, YEARLY),
    named=Named(("nm/civil", "nm/health", "nm/tax"), helper=HELPER),
    statement=(
        "select count(*) as persons, sum(d.rooms) as rooms, sum(t.income) as total\n"
        "from civil.dwellings d join tax.yearly t using (person)"
    ),
    truth=Truth("dwellings JOIN yearly USING (id18)"),
)
OF_PERSONS = (stories.SCORES, stories.REGISTRATION)
"""The bureau is granted their columns, too: it is not for want of a grant that it is told nothing."""
SCALES = (1, MOST_ROOMS, 1_000_000)
"""Of the noise on each figure of `NOISED`, in its own unit: what one person can add at the most, at a rate of 1."""


def scenery(folder: Path) -> Scenery:
    """Lay the descriptions of both registers beside those of both demonstrations."""
    for source in (PLAIN.folder, ON_CIPHERTEXTS.folder, HERE):
        for path in (*source.glob("*.toml"), *source.glob("policies/*.toml")):
            laid = folder / path.relative_to(source)
            laid.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, laid)
    return Scenery({**ON_CIPHERTEXTS.titles, **PLAIN.titles}, folder)


def write_all(folder: Path, names: tuple[str, ...], sizes: Sizes, city: encrypted.Sizes) -> dict[str, Path]:
    """Write both demonstrations' files, and both of these about the persons in them."""
    own, seed = {STAYS.file: _stays, DWELLINGS.file: _dwellings}, 11
    others = {each.file for each in registers_of(tuple(stories.STORIES.values()))}
    paths = encrypted.write(folder, tuple(name for name in names if name in others), city, seed)
    paths |= write(
        folder, tuple(name for name in names if name not in own and name not in others), sizes, seed
    )
    for name, source in ((STAYS.file, "patients"), (DWELLINGS.file, "residents")):
        persons = pyarrow.csv.read_csv(paths[source]).select(["id18"])
        paths[name] = folder / f"{name}.csv"
        options = pyarrow.csv.WriteOptions(quoting_style="none", quoting_header="none")
        pyarrow.csv.write_csv(own[name](persons, np.random.default_rng([seed, 9])), paths[name], options)
    return paths


def _stays(persons: pa.Table, rng: np.random.Generator) -> pa.Table:
    wards = rng.choice(WARDS, persons.num_rows, p=(0.6, 0.39, 0.01))
    days = rng.integers(1, MOST_DAYS, persons.num_rows)
    return persons.append_column("ward", pa.array(wards)).append_column("days", pa.array(days))


def _dwellings(persons: pa.Table, rng: np.random.Generator) -> pa.Table:
    return persons.append_column("rooms", pa.array(rng.integers(1, MOST_ROOMS, persons.num_rows)))
