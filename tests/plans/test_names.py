"""Names are matched whole, in one place, by one form each (ATTACKS 60)."""

from __future__ import annotations

import pytest

from plans import names
from plans.errors import Malformed

GOOD = {
    "domain": ["nm", "nm/tax", "nm/hohhot/xincheng_2"],
    "dataset": ["nm/tax/income", "nm/income"],
    "column": ["income", "id_number2"],
    "member": ["lin@nm", "lin.x-y_z@nm/tax"],
    "project": ["poverty-2024"],
    "digest": ["sha256:" + "0a" * 32],
    "signing key": ["ed25519:" + "0a" * 32],
    "opening key": ["x25519:" + "0a" * 32],
    "signature": ["0a" * 64],
    "nonce": ["0a" * 16],
    "file": ["income-1.attributes", "result.bin"],
}
TRICKS = [
    "", " ", "*", "nm/*", "nm//tax", "/nm", "nm/", "nm/../tax", "..", ".", "nm/tax\n", "\nnm", "nm\0", "nm%2ftax",
    "NM/tax",
    "nm/tax,nm/health", "nm/tax ", "nm.tax", "nm|tax", "(nm)", "n̈m", "ｎｍ", "nm/税", "nm\u202etax",
    "a" * 4_096, "nm/tax;--",
]  # fmt: skip


@pytest.mark.parametrize(("form", "name"), [(form, name) for form, good in GOOD.items() for name in good])
def test_a_well_formed_name_is_accepted(form: str, name: str) -> None:
    assert names.require(form, name) == name


@pytest.mark.parametrize("form", GOOD)
@pytest.mark.parametrize("trick", TRICKS)
def test_anything_that_a_pattern_or_a_path_could_stumble_over_is_refused(form: str, trick: str) -> None:
    if trick == "nm.tax" and form == "file":
        return
    with pytest.raises(Malformed):
        names.require(form, trick)


@pytest.mark.parametrize(
    ("form", "name"),
    [("domain", "any"), ("domain", "any/tax"), ("dataset", "any/tax"), ("member", "lin@any")],
)
def test_no_domain_is_called_as_everybody_is(form: str, name: str) -> None:
    with pytest.raises(Malformed):
        names.require(form, name)
    assert names.require(form, name.replace("any", "anyang")), "control: a longer name is one like others"


@pytest.mark.parametrize("form", ["digest", "signing key", "opening key", "signature", "nonce"])
def test_keys_and_digests_have_one_spelling_and_no_other_prefix(form: str) -> None:
    good = GOOD[form][0]
    for other in (good.upper(), good[:-1], good + "0", " " + good, good[-64:] + "x", "sha1:" + good[-64:]):
        with pytest.raises(Malformed):
            names.require(form, other)


def test_a_long_name_is_not_repeated_in_full() -> None:
    with pytest.raises(Malformed) as refused:
        names.require("domain", "X" * 10_000)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    ("domain", "ancestor", "inside"),
    [
        ("nm/tax", "nm", True), ("nm/tax", "nm/tax", True), ("nm", "nm/tax", False), ("nm/taxes", "nm/tax", False),
        ("nm/tax/a", "nm/tax", True), ("nmx/tax", "nm", False),
    ],
)  # fmt: skip
def test_a_domain_lies_within_itself_and_its_ancestors_only(domain: str, ancestor: str, inside: bool) -> None:
    assert names.within(domain, ancestor) is inside


def test_a_dataset_has_an_owner_and_a_name_in_sql() -> None:
    assert names.domain_of("nm/hohhot/tax/income") == "nm/hohhot/tax"
    assert names.relation_of("nm/hohhot/tax/income") == "tax.income"
    for function in (names.domain_of, names.relation_of):
        with pytest.raises(Malformed):
            function("income")
