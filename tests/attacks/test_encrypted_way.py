"""ATTACKS 73, 95 and 100 on forms with ciphertexts and on lookups: all that boxes say, envelopes opened.

The key of an envelope goes before it, so that links keep it from others and not from its receiver. Whoever looks for
secrets here looks into the bodies of all envelopes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from keys.exchange_pool import ExchangePool
from mpc.encrypted import arithmetic, crypto_box, envelope, sealing
from mpc.encrypted.envelope import Content, Front
from mpc.encrypted.key_process import KeyProcess
from mpc.lookup import table
from plans.errors import EvidenceBroken, LinkBroken
from plans.joint import JointPlan, Measure, Sum
from tests.attacks.test_joint_protocol import Overheard
from tests.inside.joint_cases import operand
from tests.mpc.joint_world import Model, Owner, looked_up_plan, run, scored_plan, two_owners_plan
from tests.mpc.test_ciphers import ciphered
from tests.mpc.test_lookup_way import cases, register
from tests.mpc.test_two_owners import of_sums
from tests.mpc.test_uniform_view import LIMIT, chi_square

BANK, TAX, EAST, WEST = "nm/bank", "nm/tax", "nm/east", "nm/west"
BIG = 10**7
"""Numbers above this, encoded, are words that are not met by chance."""
_SECRET_META = 72  # bytes before the coefficients of what SEAL saves of a secret key


@pytest.fixture(autouse=True)
def in_a_box(monkeypatch: pytest.MonkeyPatch) -> None:
    """All parties are threads of this process, which is no box."""
    monkeypatch.setattr(crypto_box, "_entered", [crypto_box.CryptoBox("a test")])


@dataclass
class Everything:
    """One run: messages, bodies of envelopes by content, and the boxes' keys."""

    said: list[tuple[str, str, str, bytes]] = field(default_factory=list)
    bodies: list[tuple[Content, bytes]] = field(default_factory=list)
    owners: list[KeyProcess] = field(default_factory=list)

    def of(self, content: Content) -> bytes:
        return b"".join(body for kind, body in self.bodies if kind is content)

    def holds(self, pieces: list[bytes]) -> bool:
        """Whether a message or a body has one of these pieces at a word's beginning, or anywhere if it is no word."""
        bodies = [payload for *_, payload in self.said] + [body for _, body in self.bodies]
        words: set[int] = set()
        for raw in bodies:
            words |= set(np.frombuffer(raw[: len(raw) // 8 * 8], dtype="<u8").tolist())
        short = {int.from_bytes(piece, "little") for piece in pieces if len(piece) == 8}
        return bool(short & words) or any(
            piece in raw for piece in pieces if len(piece) > 8 for raw in bodies
        )


def overhear(joint: JointPlan, owners: list[Owner], fails: bool = False) -> Everything:
    """Run a plan; a control may make what is decrypted in it nobody's, so that it `fails` at its end."""
    heard = Everything()
    seal, begin = envelope.seal, KeyProcess.__init__

    def sealed(front: Front, body: bytes, secret: bytes) -> bytes:
        heard.bodies.append((front.content, bytes(body)))
        return seal(front, body, secret)

    def begun(self: KeyProcess, *given: Any) -> None:
        begin(self, *given)
        heard.owners.append(self)

    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as stack:
        patch.setattr(envelope, "seal", sealed)
        patch.setattr(KeyProcess, "__init__", begun)
        if fails:
            stack.enter_context(pytest.raises((EvidenceBroken, LinkBroken)))
        run(joint, owners, wrap=lambda name, end: Overheard(name, end, heard.said), patience=60)
    return heard


# ------------------------------------------------------------------------------------------------- the forms


def numbered(domain: str, first: int = 0, count: int = 30, name: str = "v0") -> Owner:
    """Persons with numbers that are not met by chance."""
    persons = np.arange(count) + first
    values = np.ma.array(BIG + 977 * persons)
    return Owner(domain, persons, (operand(name, 0, 2 * BIG),), (values,), spare=10)


def a_score() -> tuple[JointPlan, list[Owner]]:
    rows = numbered(BANK)
    model = Model(
        TAX, np.arange(1), (operand("b", -9999, 9999), operand("w", -9999, 9999)),
        (np.ma.array([7]), np.ma.array([-8191])), spare=0,
    )  # fmt: skip
    return scored_plan(rows, model, ((-1, 0), (0, 1)), 0), [rows, model]


def in_parts() -> tuple[JointPlan, list[Owner]]:
    owners = [numbered(EAST), numbered(WEST, 100)]
    return ciphered(owners, bits=128), owners


def of_two() -> tuple[JointPlan, list[Owner]]:
    owners = [numbered(BANK), numbered(TAX, 10, 40)]
    totals = [Sum(Measure.TOTAL, ((place, 0),)) for place in (0, 1)]
    return two_owners_plan(owners, TAX, of_sums(owners, *totals)), owners


FORMS: Mapping[str, Callable[[], tuple[JointPlan, list[Owner]]]] = {
    "scored": a_score,
    "in parts": in_parts,
    "two owners": of_two,
}
EACH = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)


# ------------------------------------------------------------------------------------------------ secret keys


def pieces_of(owner: KeyProcess) -> list[bytes]:
    """The secret key in pieces that nothing else has by chance, as SEAL keeps it."""
    raw = sealing.written(owner._opener._secret)[_SECRET_META:]
    return [raw[at : at + 32] for at in range(0, len(raw) - 32, 1024)]


@EACH
def test_73_no_message_holds_a_piece_of_the_secret_key(form: Any) -> None:
    heard = overhear(*form())
    (owner,) = heard.owners
    assert len(pieces_of(owner)) >= 32 and not heard.holds(pieces_of(owner))


def test_73_control_a_box_that_hands_its_key_out_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The secret key stands in the place of a polynomial of the public one."""
    public = sealing.Opener.public_words

    def public_words(opener: sealing.Opener) -> Any:
        words = public(opener).copy()
        secret = np.frombuffer(sealing.written(opener._secret)[_SECRET_META:], dtype="<u8")
        words.reshape(-1)[: words.shape[2]] = secret[: words.shape[2]]
        return words

    monkeypatch.setattr(sealing.Opener, "public_words", public_words)
    heard = overhear(*a_score(), fails=True)
    assert heard.holds(pieces_of(heard.owners[0]))


@EACH
def test_100_a_key_is_of_one_attempt_and_decrypts_once(form: Any) -> None:
    owners = [owner for _ in range(2) for owner in overhear(*form()).owners]
    assert [len(owner.log) for owner in owners] == [1, 1]
    assert owners[0].key != owners[1].key


# ---------------------------------------------------------------------------------------- numbers and persons


def encoded(heard: Everything, owners: list[Owner]) -> list[bytes]:
    """Numbers of all owners as words of a plaintext: what stands in a ciphertext that hides nothing."""
    parameters = heard.owners[0].parameters
    values = np.concatenate([column for owner in owners for column in owner.values if len(column) > 1])
    whole = np.zeros(parameters.degree, dtype=np.int64)
    whole[: len(values)] = values
    words = [arithmetic.encode(parameters, whole, place)[0] for place in range(len(parameters.plains))]
    return [int(word).to_bytes(8, "little") for each in words for word in each[: len(values)]]


def identifiers(owners: list[Owner]) -> list[bytes]:
    blocks = [bytes(key) for owner in owners if len(owner.persons) > 1 for key in owner.rows().keys]
    return [*blocks, *(f"{15_000_000 + int(person):018d}".encode() for person in owners[0].persons)]


@EACH
def test_73_no_message_holds_a_number_or_an_identifier(form: Any) -> None:
    joint, owners = form()
    heard = overhear(joint, owners)
    plain = [int(value).to_bytes(8, "little") for owner in owners for value in owner.values[0] if value > BIG]
    assert not heard.holds([*encoded(heard, owners), *identifiers(owners), *plain])


def hide_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the key's owner encrypt with encryptions of zero that are zero."""
    true = sealing.Opener.zero
    monkeypatch.setattr(
        sealing.Opener, "zero", lambda opener: (np.zeros_like((made := true(opener))[0]), made[1])
    )


CIPHERED_COLUMNS = pytest.mark.parametrize("form", [a_score, of_two], ids=["scored", "two owners"])


@CIPHERED_COLUMNS
def test_73_control_where_encryptions_of_zero_are_zero_numbers_are_found(
    monkeypatch: pytest.MonkeyPatch, form: Any
) -> None:
    hide_nothing(monkeypatch)
    joint, owners = form()
    heard = overhear(joint, owners, fails=True)
    assert heard.holds(encoded(heard, owners))


def test_73_control_where_points_are_identifiers_they_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        ExchangePool, "of_identifiers", lambda _pool, blocks, _tag: np.concatenate([blocks, blocks], axis=1)
    )
    joint, owners = of_two()
    assert overhear(joint, owners, fails=True).holds(identifiers(owners))


@CIPHERED_COLUMNS
def test_95_columns_are_uniform_to_who_computes_with_them(form: Any) -> None:
    """The low bytes of all words of ciphertexts of numbers that are all alike."""
    joint, owners = form()
    same = [
        each
        if len(each.persons) == 1
        else replace(each, values=(np.ma.array(np.full(len(each.persons), 2 * BIG)),))
        for each in owners
    ]
    assert chi_square(low_bytes(overhear(joint, same), Content.COLUMNS)) < LIMIT


@CIPHERED_COLUMNS
def test_95_control_where_encryptions_of_zero_are_zero_they_are_not(
    monkeypatch: pytest.MonkeyPatch, form: Any
) -> None:
    hide_nothing(monkeypatch)
    joint, owners = form()
    assert chi_square(low_bytes(overhear(joint, owners, fails=True), Content.COLUMNS)) > LIMIT


@CIPHERED_COLUMNS
def test_95_answers_are_uniform_but_for_what_the_key_opens(form: Any) -> None:
    assert chi_square(low_bytes(overhear(*form()), Content.ANSWERS)) < LIMIT


def low_bytes(heard: Everything, content: Content) -> bytes:
    """The four low bytes of every word of ciphertexts; seeds go before or behind them as words, too."""
    words = np.frombuffer(heard.of(content), dtype="<u8")
    return words.astype(np.uint32).tobytes()


# --------------------------------------------------------------------------------------------------- lookups


def a_lookup() -> tuple[JointPlan, list[Owner]]:
    owner, by = cases([3, 500]), register(range(40), [(f"district {n:02}", "in trial") for n in range(40)])
    return looked_up_plan(owner, by), [owner, by]


RECORDS = [f"district {n:02}".encode() for n in range(40)]


def test_73_no_message_of_a_lookup_holds_a_record_or_an_identifier() -> None:
    joint, owners = a_lookup()
    assert not overhear(joint, owners).holds([*RECORDS, *identifiers(owners)])


def test_73_control_where_records_are_not_sealed_they_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "encrypt_once", lambda _key, record, _bound: record + bytes(16))
    joint, owners = a_lookup()
    assert overhear(joint, owners).holds(RECORDS)


def test_97_two_attempts_at_a_lookup_have_no_block_in_common() -> None:
    """Exponent, name, salt and keys of the table are drawn anew, so a record that was fetched once opens nothing."""
    joint, owners = a_lookup()
    seen = []
    for _ in range(2):
        tables = b"".join(raw for *_, tag, raw in overhear(joint, owners).said if tag == "lookup/once/0")
        seen.append({tables[at : at + 16] for at in range(0, len(tables) - 16, 16)})
    assert len(seen[0]) > 100 and not seen[0] & seen[1]
