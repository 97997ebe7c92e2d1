"""The made-up region: nobody's numbers, right check characters, files that fit their descriptions, groups too small."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow.csv
import pytest

from catalog.api import id18_is_right, read_folder, uscc_is_right
from examples.region import generate, published
from tests.inside.ingest_cases import Case

SCALE = 0.005


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("region")
    paths = generate.generate(folder, SCALE, seed=7)
    paths["wage"] = folder / "wage.csv"
    published.extract_wages(paths["wage"])
    return paths


def column(path: Path, name: str) -> list[object]:
    return pyarrow.csv.read_csv(
        path, convert_options=pyarrow.csv.ConvertOptions(column_types={"id18": "string"})
    )[name].to_pylist()


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(
    files: dict[str, Path], tmp_path: Path
) -> None:
    again = generate.generate(tmp_path / "a", SCALE, seed=7)
    other = generate.generate(tmp_path / "b", SCALE, seed=8)
    for name, path in again.items():
        assert path.read_bytes() == files[name].read_bytes() != other[name].read_bytes()


def test_numbers_are_distinct_right_and_of_a_region_that_is_none(files: dict[str, Path]) -> None:
    numbers = column(files["population"], "id18")
    assert len(set(numbers)) == len(numbers) == 5000
    assert all(id18_is_right(str(number)) and str(number).startswith("990") for number in numbers)
    assert all(uscc_is_right(str(code)) for code in column(files["income"], "employer") if code)


def test_everybody_in_the_other_files_is_in_the_register(files: dict[str, Path]) -> None:
    register = set(column(files["population"], "id18"))
    for name in ("income", "visits"):
        assert set(column(files[name], "id18")) <= register


def test_incomes_are_skewed_and_have_gaps_and_a_group_that_is_too_small(files: dict[str, Path]) -> None:
    incomes = sorted(value for value in column(files["income"], "income") if value is not None)
    assert sum(incomes) / len(incomes) > 1.1 * incomes[len(incomes) // 2], "the mean lies above the median"
    assert len(incomes) < 4000 and "" in column(files["income"], "employer")
    regions = Counter(column(files["income"], "region"))
    assert 0 < regions["区外"] <= 20 < regions["呼和浩特"]


def test_few_persons_have_many_visits(files: dict[str, Path]) -> None:
    visits = sorted(Counter(column(files["visits"], "id18")).values(), reverse=True)
    assert sum(visits[: len(visits) // 10]) > 0.3 * sum(visits)
    assert sum(str(code).startswith("E11") for code in column(files["visits"], "icd10")) > 0.03 * sum(visits)


def test_every_file_fits_its_description(files: dict[str, Path], tmp_path: Path) -> None:
    described = {found.dataset.rpartition("/")[2]: found for found in read_folder(generate.DESCRIPTIONS)}
    assert set(described) == set(files)
    for name, path in files.items():
        (tmp_path / name).mkdir()
        report = Case(tmp_path / name, described[name]).run(path.read_bytes())
        assert report["rows"] == sum(1 for _ in path.open(encoding="utf-8")) - 1
    assert report["persons"] == report["rows"] == 526


@pytest.mark.parametrize("scale", [0, -1, 11])
def test_a_scale_that_makes_no_sense_is_refused(tmp_path: Path, scale: float) -> None:
    with pytest.raises(ValueError, match="scale"):
        generate.generate(tmp_path, scale)
