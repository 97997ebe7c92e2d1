"""The keyring shows nothing, opens only when nobody else can read it, and forgets what it erases."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from keeper.config import KeeperConfig
from keeper.keyring import Keyring
from keeper.stage_keys import stage_keys
from plans.errors import EvidenceBroken, Malformed, NotFound, SettingsWrong, StateConflict
from plans.statements import BoxStatement
from tests.keeper import house

FILE, OTHER = "income-v1-attributes.parquet", "income-v1-identifiers.parquet"
KEY = bytes(range(32))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Keyring.create(tmp_path / "keyring")
    return tmp_path / "keyring"


def every_byte_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


# --- permissions -----------------------------------------------------


def test_everything_in_a_new_keyring_is_private(folder: Path) -> None:
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o077 for path in folder.rglob("*")} == {0}


@pytest.mark.parametrize("mode", [0o750, 0o701, 0o777])
def test_a_keyring_that_others_can_enter_is_refused(folder: Path, mode: int) -> None:
    Keyring(folder)
    folder.chmod(mode)
    with pytest.raises(SettingsWrong, match="not private"):
        Keyring(folder)
    assert folder.stat().st_mode & 0o777 == mode, "it is not repaired in silence"


@pytest.mark.parametrize("name", ["kek", "sign", "token", "stage"])
@pytest.mark.parametrize("attack", ["readable", "short", "long", "missing", "link"])
def test_a_secret_that_is_readable_damaged_or_a_link_is_refused(folder: Path, name: str, attack: str) -> None:
    path = folder / name
    secret = path.read_bytes()
    if attack == "readable":
        path.chmod(0o640)
    elif attack in ("short", "long"):
        path.write_bytes(secret[:31] if attack == "short" else secret + b"x")
    else:
        path.unlink()
    if attack == "link":
        (folder / "elsewhere").write_bytes(secret)
        (folder / "elsewhere").chmod(0o600)
        path.symlink_to(folder / "elsewhere")
    with pytest.raises(SettingsWrong):
        Keyring(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_keyring_of_another_user_is_refused(folder: Path) -> None:
    os.chown(folder / "kek", 12_345, -1)
    with pytest.raises(SettingsWrong):
        Keyring(folder)
    os.chown(folder, 12_345, -1)
    with pytest.raises(SettingsWrong):
        Keyring(folder)


def test_a_keyring_is_never_overwritten(folder: Path) -> None:
    before = every_byte_of(folder)
    with pytest.raises(StateConflict):
        Keyring.create(folder)
    assert every_byte_of(folder) == before


def test_a_missing_keyring_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsWrong) as refused:
        Keyring(tmp_path / "nothing")
    assert "keeper init" in refused.value.next_step


# --- data keys -----------------------------------------------------


def test_a_data_key_is_given_back_and_lies_wrapped_only(folder: Path) -> None:
    Keyring(folder).store_data_key(FILE, KEY)
    assert Keyring(folder).data_key(FILE) == KEY
    assert KEY not in every_byte_of(folder), "a stolen copy of the wrapped keys alone is worth nothing"
    assert (folder / "data" / FILE).stat().st_mode & 0o077 == 0


def test_a_wrapped_key_serves_no_other_file(folder: Path) -> None:
    """ATTACKS 65: whoever swaps wrapped keys does not get the identifiers' key for the attributes."""
    keyring = Keyring(folder)
    keyring.store_data_key(FILE, KEY)
    keyring.store_data_key(OTHER, KEY[::-1])
    one, two = folder / "data" / FILE, folder / "data" / OTHER
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)
    for name in (FILE, OTHER):
        with pytest.raises(EvidenceBroken):
            keyring.data_key(name)


@pytest.mark.parametrize("position", [0, 11, 12, 40, -1])
def test_a_changed_wrapped_key_is_refused(folder: Path, position: int) -> None:
    keyring = Keyring(folder)
    keyring.store_data_key(FILE, KEY)
    path = folder / "data" / FILE
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(EvidenceBroken):
        keyring.data_key(FILE)


def test_another_keyring_cannot_unwrap(folder: Path, tmp_path: Path) -> None:
    Keyring(folder).store_data_key(FILE, KEY)
    other = Keyring.create(tmp_path / "other")
    (tmp_path / "other" / "data" / FILE).write_bytes((folder / "data" / FILE).read_bytes())
    with pytest.raises(EvidenceBroken):
        other.data_key(FILE)


def test_an_erased_key_is_gone_from_the_disk_and_for_every_keyring(folder: Path) -> None:
    keyring = Keyring(folder)
    keyring.store_data_key(FILE, KEY)
    wrapped = (folder / "data" / FILE).read_bytes()
    with (folder / "data" / FILE).open("rb") as still_open:
        keyring.erase_data_key(FILE)
        assert wrapped[12:44] not in still_open.read(), "the bytes themselves were overwritten"
    assert wrapped[12:44] not in every_byte_of(folder)
    for opened in (keyring, Keyring(folder)):
        with pytest.raises(NotFound, match="erased"):
            opened.data_key(FILE)
    keyring.erase_data_key(FILE)


@pytest.mark.parametrize("name", ["../kek", "kek/..", "", ".", "..", "A", "a/b", "a\0b", "a" * 101, "ａ"])
def test_a_file_name_does_not_lead_out_of_the_keyring(folder: Path, name: str) -> None:
    keyring = Keyring(folder)
    for attempt in (keyring.data_key, keyring.erase_data_key, lambda n: keyring.store_data_key(n, KEY)):
        with pytest.raises(Malformed):
            attempt(name)


def test_every_stage_attempt_and_plan_has_its_own_key(folder: Path) -> None:
    keyring = Keyring(folder)
    plans, names = (house.digest("a"), house.digest("b")), ("result.bin", "table.bin")
    made = {
        keyring.stage_key(plan, attempt, name) for plan in plans for attempt in (1, 2, 11) for name in names
    }
    assert len(made) == 12 and all(len(key) == 32 for key in made)
    assert Keyring(folder).stage_key(plans[0], 1, names[0]) in made, "the same after a restart"


def test_nothing_shows_a_secret_when_it_is_printed(settings: KeeperConfig) -> None:
    keeper = house.start(settings)
    house.believe(keeper, *house.house_statements(house.grant()))
    plan = house.plan(keeper.trusted)
    box = BoxStatement.read(house.box(plan, "7" * 32).statement.body)
    given = stage_keys(keeper.keyring, plan, box, keeper.trusted.current_manifests())
    secrets = [
        path.read_bytes()
        for path in settings.keyring.iterdir()
        if path.name in ("kek", "sign", "token", "stage")
    ]
    secrets += [bytes.fromhex(key) for key in (*given.inputs.values(), *given.outputs.values())]
    assert len(secrets) == 7
    things = (
        keeper,
        keeper.keyring,
        keeper.config,
        keeper.trusted,
        keeper.keyring.signer,
        given,
        keeper.leases,
    )
    shown = " ".join(f"{thing!r} {thing}" for thing in things) + str(keeper.status())
    for secret in secrets:
        assert secret.hex() not in shown and repr(secret) not in shown
