"""Promise 1 and 4: no row, no data key and no engine's text is where it must not be (ATTACKS 20, 65, 86).

Each hunt has a control: the same patterns are found where they belong, so a hunter that finds nothing
anywhere would fail.
"""

from __future__ import annotations

import stat
from pathlib import Path

import duckdb
import pytest

from keeper.keyring import Keyring
from plans.errors import DarkroomError
from tests.e2e import hunt
from tests.e2e import town as towns

pytestmark = [pytest.mark.box, pytest.mark.ray]


FAILING = "select league, sum(income * 1000000000000) as s from tax.income group by league"
SMALL = "select league, sum(income) as s, avg(income) as a from tax.income group by league"
FIRST_ID = "999999199001010000"
SMALL_LEAGUE = "阿拉善"


@pytest.fixture(scope="module")
def busy_town(town):
    """A town in which jobs were released, refused and failed at the canary's rows."""
    for statement in (SMALL, FAILING, "select league, count(*) as n from tax.income group by league"):
        try:
            town.ask(statement).result()
        except DarkroomError:
            continue
    return town


def forbidden_folders(town):
    """Everything but the owner's own data, keyring and the test's own source file."""
    import tempfile

    ray = [path for path in Path(tempfile.gettempdir()).glob("dr-*") if (path / "r").exists()]
    return [town.site.centre, town.site.home / "nodes", town.site.run, *ray]


def rows(town):
    found = {}
    for name, patterns in (
        ("income", hunt.patterns_of_number(towns.CANARY)),
        ("identifier", hunt.patterns_of_text(FIRST_ID)),
        ("league", hunt.patterns_of_text(SMALL_LEAGUE)),
    ):
        found |= {f"{name} as {way}": pattern for way, pattern in patterns.items()}
    return found


def data_keys(town):
    keyring = Keyring(town.owner.folder / "keyring")
    found = {}
    for path in sorted((town.owner.folder / "keyring" / "data").iterdir()):
        found |= {
            f"{path.name} {way}": p for way, p in hunt.patterns_of_key(keyring.data_key(path.name)).items()
        }
    for name, secret in (("token", keyring.token_key), ("sign", keyring.signer.unsafe_secret())):
        found |= {f"{name} {way}": pattern for way, pattern in hunt.patterns_of_key(secret).items()}
    return found


def test_no_row_is_in_the_centres_the_launchers_or_rays_files(busy_town):
    assert hunt.in_files(forbidden_folders(busy_town), rows(busy_town)) == []


def test_no_row_is_readable_in_the_owners_own_data_folder(busy_town):
    assert hunt.in_files([busy_town.owner.data], rows(busy_town)) == []


def test_control_the_same_hunt_finds_the_rows_in_the_source(busy_town):
    found = hunt.in_files([busy_town.folder], rows(busy_town))
    assert any("incomes.csv" in hit and "income as decimal" in hit for hit in found)
    assert any("incomes.csv" in hit and "identifier" in hit for hit in found)
    assert any("incomes.csv" in hit and "league" in hit for hit in found)


def test_no_data_key_is_in_any_file_but_wrapped_in_the_keyring(busy_town):
    folders = [*forbidden_folders(busy_town), busy_town.owner.data, busy_town.owner.folder / "home"]
    assert hunt.in_files(folders, data_keys(busy_town)) == []
    wrapped = busy_town.owner.folder / "keyring" / "data"
    assert hunt.in_files([wrapped], data_keys(busy_town)) == []


def test_control_the_hunt_finds_a_key_that_was_written_down(busy_town, tmp_path):
    key = Keyring(busy_town.owner.folder / "keyring").token_key
    (tmp_path / "note.txt").write_text(f"token={key.hex()}")
    assert hunt.in_files([tmp_path], data_keys(busy_town)) == [f"{tmp_path / 'note.txt'}: token hex"]


def test_no_key_and_no_row_is_in_an_environment_or_command_line(busy_town):
    patterns = rows(busy_town) | data_keys(busy_town)
    pids = set(busy_town.supervisor.pids().values())
    pids |= {child for pid in list(pids) for child in hunt.descendants(pid)}
    assert len(pids) > 6, "API, dispatcher, keeper, launcher and Ray's processes"
    assert hunt.in_processes(pids, patterns) == []


def test_a_row_at_which_the_engine_would_fail_fails_nothing_and_tells_nothing(busy_town):
    result = busy_town.ask(FAILING).result()
    assert result.rows and str(towns.CANARY) not in str(result.texts())


def test_control_the_engine_itself_fails_at_that_row_and_tells_its_value():
    rows = f"(values (30000::BIGINT), ({towns.CANARY}::BIGINT)) as t(income)"
    with pytest.raises(duckdb.Error) as failure:
        duckdb.sql(f"select sum(income * 1000000000000) from {rows}").fetchall()
    assert str(towns.CANARY) in str(failure.value)


def test_engine_words_are_in_no_log(busy_town):
    words = {
        word: word.encode()
        for word in ("Conversion Error", "Out of Range Error", "Binder Error", "duckdb.duckdb")
    }
    assert hunt.in_files([busy_town.site.centre / "logs", busy_town.site.audit], words) == []


def test_every_private_file_is_private(busy_town):
    folders = [busy_town.site.centre, busy_town.owner.folder / "keyring", busy_town.owner.folder / "home"]
    modes = {path: mode for folder in folders for path in hunt.below(folder) if (mode := mode_of(path))}
    assert len(modes) > 20, "databases, logs, keys, results"
    assert [str(path) for path, mode in modes.items() if mode & 0o077] == []


def mode_of(path: Path) -> int:
    """Return the mode of a file; 0 of what is no file, or is gone by now, as journals of databases are."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return 0
    return status.st_mode if stat.S_ISREG(status.st_mode) else 0
