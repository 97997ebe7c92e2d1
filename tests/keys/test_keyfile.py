"""A member's key file gives nothing to a thief, and is never overwritten or half-believed."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from keys import keyfile
from keys.keyfile import MemberKeys, load_member_keys, read_public, save_member_keys
from plans.errors import Malformed, NotFound, StateConflict, WrongPassphrase

PASSPHRASE = "correct horse 电池"


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stretching takes 0.1 s on purpose; the tests need its form, not its price."""
    monkeypatch.setattr(keyfile, "_COST", 2**4)


@pytest.fixture
def keys() -> MemberKeys:
    return MemberKeys.fresh("lin@nm/uni")


@pytest.fixture
def path(tmp_path: Path, keys: MemberKeys) -> Path:
    save_member_keys(tmp_path / "lin.keys", keys, PASSPHRASE)
    return tmp_path / "lin.keys"


def test_keys_come_back_with_the_passphrase(path: Path, keys: MemberKeys) -> None:
    loaded = load_member_keys(path, PASSPHRASE)
    assert loaded.member == "lin@nm/uni"
    assert loaded.signing.unsafe_secret() == keys.signing.unsafe_secret()
    assert loaded.opening.unsafe_secret() == keys.opening.unsafe_secret()


def test_the_file_is_the_owners_alone_and_holds_no_secret_in_clear(path: Path, keys: MemberKeys) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    content = path.read_bytes()
    for secret in (keys.signing.unsafe_secret(), keys.opening.unsafe_secret()):
        assert secret not in content and secret.hex().encode() not in content
    assert PASSPHRASE.encode() not in content


def test_a_wide_open_umask_makes_no_difference(tmp_path: Path, keys: MemberKeys) -> None:
    before = os.umask(0)
    try:
        save_member_keys(tmp_path / "k", keys, PASSPHRASE)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "k").stat().st_mode) == 0o600


@pytest.mark.parametrize("wrong", ["", "correct horse", PASSPHRASE + " ", PASSPHRASE.upper()])
def test_a_wrong_passphrase_is_said_to_be_one(path: Path, wrong: str) -> None:
    with pytest.raises(WrongPassphrase):
        load_member_keys(path, wrong)


def test_a_short_passphrase_makes_no_file(tmp_path: Path, keys: MemberKeys) -> None:
    with pytest.raises(Malformed, match="8 characters"):
        save_member_keys(tmp_path / "k", keys, "1234567")
    assert not (tmp_path / "k").exists()


def test_a_key_file_is_never_overwritten_not_even_through_a_link(path: Path, keys: MemberKeys) -> None:
    before = path.read_bytes()
    link = path.with_name("link")
    link.symlink_to(path)
    dangling = path.with_name("dangling")
    dangling.symlink_to(path.with_name("elsewhere"))
    for target in (path, link, dangling):
        with pytest.raises(StateConflict, match="never overwritten"):
            save_member_keys(target, MemberKeys.fresh("lin@nm/uni"), PASSPHRASE)
    assert path.read_bytes() == before and not path.with_name("elsewhere").exists()


@pytest.mark.parametrize("member", ["member", "signing", "opening"])
def test_a_changed_public_part_does_not_open(path: Path, member: str) -> None:
    """Else a thief of a moment could make a member seal to, or enrol, the thief's own key."""
    other = MemberKeys.fresh("eve@nm/uni")
    swapped = {"member": other.member, "signing": other.signing.public, "opening": other.opening.public}
    rewrite(path, **{member: swapped[member]})
    with pytest.raises(WrongPassphrase):
        load_member_keys(path, PASSPHRASE)


def test_the_public_part_needs_no_passphrase(path: Path, keys: MemberKeys) -> None:
    public = read_public(path)
    assert (public["member"], public["signing"], public["opening"]) == (
        keys.member,
        keys.signing.public,
        keys.opening.public,
    )


def rewrite(path: Path, **changes: Any) -> None:
    content = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({name: value for name, value in content.items() if value is not None}))


@pytest.mark.parametrize(
    "changes",
    [
        {"salt": None}, {"secret": None}, {"salt": "xyz"}, {"secret": "00"}, {"secret": ""}, {"secret": 7},
        {"member": None}, {"member": 7}, {"signing": "ed25519:00"}, {"opening": []},
    ],
)  # fmt: skip
def test_a_damaged_file_is_said_to_be_one(path: Path, changes: dict[str, Any]) -> None:
    rewrite(path, **changes)
    with pytest.raises((Malformed, WrongPassphrase)):
        load_member_keys(path, PASSPHRASE)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"7", b"null", b'"x"', b"{}", b"\xff\xfe", b"-----BEGIN KEY-----", b"[" * 9_999]
)
def test_what_is_no_key_file_is_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "k").write_bytes(content)
    with pytest.raises(Malformed, match="not a key file"):
        load_member_keys(tmp_path / "k", PASSPHRASE)


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no key file") as refused:
        load_member_keys(tmp_path / "k", PASSPHRASE)
    assert "darkroom keys" in refused.value.next_step


def test_a_folder_in_its_place_is_said_to_be_unreadable(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="cannot be read"):
        load_member_keys(tmp_path, PASSPHRASE)


def test_no_secret_shows_in_any_representation(keys: MemberKeys) -> None:
    shown = repr(keys) + str(keys) + repr(keys.signing) + repr(keys.opening)
    assert keys.signing.unsafe_secret().hex() not in shown and keys.opening.unsafe_secret().hex() not in shown


@pytest.mark.parametrize("member", ["", "lin", "lin@", "@nm", "lin@nm,eve@nm", "lin@nm\n"])
def test_keys_belong_to_a_well_formed_member(member: str) -> None:
    with pytest.raises(Malformed):
        MemberKeys.fresh(member)
