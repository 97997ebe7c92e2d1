"""The owner of a key: makes it, hands out its public parts, and decrypts what the plan names, as often as it allows.

It is a box of its own. The secret key is in the memory of this process and nowhere else: no function gives it, none
saves it, and what leaves are coefficients of public keys, envelopes, and released numbers. (TenSEAL's
`make_context_public` leaves a working decryptor in the process that calls it; here nobody is ever given a context.)

A decryption is a release. What is decrypted must come in an envelope of the one party that the plan names for it, with
the content that the plan names: the total of all holders, or answers to this owner's own columns; a holder's single
ciphertext is neither. Each is counted before it is opened, so that a failure counts too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import exp, floor, prod
from typing import ClassVar

import numpy as np

from mpc.encrypted import arithmetic, crypto_box, envelope, inner, sealing, sums
from mpc.encrypted.arithmetic import Numbers, Words
from mpc.encrypted.envelope import Content, Front
from mpc.encrypted.packing import Columns
from mpc.encrypted.parameters import Packing, Parameters
from plans import canonical
from plans.errors import BudgetSpent, Defect, EvidenceBroken, Malformed
from plans.record import Record


@dataclass(frozen=True, slots=True)
class ScoreTerms(Record):
    """On which terms scores of one model are given to one recipient.

    Attributes:
        features: of the model.
        most: scores that this recipient may get of this model, over all plans.
        step: scores are rounded to multiples of it before anybody sees them.
        given_away: the model's owner accepts that the recipient can work the model out.
    """

    KIND: ClassVar[str] = "encrypted-score-terms"

    features: int
    most: int
    step: int
    given_away: bool = False

    def check(self) -> None:
        if self.features < 1 or self.most < 1 or self.step < 1:
            raise Malformed("terms of scores have features, a number of scores, and a step", "score-terms")
        if self.most > self.features and not self.given_away:
            raise Malformed(
                f"{self.most} scores give a linear model of {self.features} features away: "
                f"{self.features + 1} are as many equations as it has unknowns", "score-terms.most",
                f"Allow at most {self.features}, or say that the model is given away.",
            )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Decryption(Record):
    """What the log says of a decryption: numbers of things, and no number of anybody's."""

    KIND: ClassVar[str] = "encrypted-decryption"

    plan: str
    key: str
    sender: str
    content: Content
    count: int
    order: int


class KeyProcess:
    """A key's owner, for one attempt at one plan.

    Args:
        parameters: of the plan.
        front: what this owner's envelopes are bound to: plan, attempt, stage, itself as sender, and a receiver
            (replaced for each envelope).
        largest: the largest absolute value of a result, by the plan's ranges.
        limit: how many envelopes the plan lets it decrypt.
    """

    def __init__(self, parameters: Parameters, front: Front, largest: int, limit: int = 1) -> None:
        crypto_box.require("key process")
        if front.parameters != parameters.digest:
            raise Malformed("the plan's parameters are others", "key process")
        self.parameters = parameters
        self._opener = sealing.Opener(parameters)
        public = self._opener.public_words()
        self._public = public
        self.key = key_id(public)
        self._front = replace(front, key=self.key)
        self._limit, self._largest = limit, largest
        self._log: list[Decryption] = []

    def __repr__(self) -> str:
        return f"KeyProcess({self.key}, {len(self._log)} of {self._limit} decryptions)"

    def __reduce__(self) -> str:
        raise Defect("a secret key is not copied out of its process", "key process")

    @property
    def log(self) -> tuple[Decryption, ...]:
        """Every decryption so far, those that failed included."""
        return tuple(self._log)

    # ------------------------------------------------------------------------------------------ what it hands out

    @property
    def public(self) -> Words:
        """The public key, `[2 × primes + 1 × N]`, for what this owner encrypts itself."""
        return self._public

    def public_key(self, receiver: str, secret: bytes) -> bytes:
        """Return the envelope of the public key for one party, with whom `secret` is shared."""
        front = replace(
            self._front, receiver=receiver, key="", content=Content.PUBLIC_KEY, count=self._public.size
        )
        return envelope.seal(front, self._public.tobytes(), secret)

    def product_key(self, receiver: str, secret: bytes) -> bytes:
        """Return the envelope of the key for products of ciphertexts, if the plan has such products.

        Raises:
            Defect: it has none.
        """
        if not self.parameters.relinearise:
            raise Defect("the plan multiplies no ciphertexts", "key process")
        words = self._opener.relinearisation_words()
        front = replace(self._front, receiver=receiver, content=Content.PRODUCT_KEY, count=words.size)
        return envelope.seal(front, words.tobytes(), secret)

    def rotation_keys(self, receiver: str, secret: bytes) -> bytes:
        """Return the envelope of the keys of the plan's rotations, and no other, in the order of the parameters.

        Raises:
            Defect: the plan has none.
        """
        if not self.parameters.rotations:
            raise Defect("the plan rotates nothing", "key process")
        found = self._opener.rotation_words()
        body = b"".join(found[step].tobytes() for step in self.parameters.rotations)
        front = replace(self._front, receiver=receiver, content=Content.ROTATION_KEYS, count=len(body) // 8)
        return envelope.seal(front, body, secret)

    def columns(self, columns: Sequence[Numbers], cap: int, receiver: str, secret: bytes) -> bytes:
        """Return the envelope of own columns, encrypted under the secret key.

        Raises:
            RangeTooWide: a number is outside the declared range.
        """
        shape = Columns(self.parameters, len(columns), len(columns[0]))
        front = replace(
            self._front, receiver=receiver, content=Content.COLUMNS, count=shape.columns * shape.rows
        )
        return envelope.seal(front, shape.encrypt(self._opener, columns, cap), secret)

    # ----------------------------------------------------------------------------------------- what it decrypts

    def totals(self, raw: bytes, collector: str, holders: int, count: int, secret: bytes) -> list[int]:
        """Return the totals over all holders, the one thing that a plan of sums has decrypted.

        Args:
            raw: the collector's envelope.
            collector: the party that adds up.
            holders: how many the plan has.
            count: numbers of each.
            secret: shared with the collector.

        Raises:
            BudgetSpent: as many envelopes were decrypted as the plan allows.
            LinkBroken, EvidenceBroken: it is not the total that the plan names (see `envelope.unseal`), or it holds
                numbers that the plan's ranges do not allow.
        """
        due = self._due(collector, Content.TOTAL, count, holders)
        self._count(due)
        body = envelope.unseal(raw, due, sums.Shape(self.parameters, count).size, secret)
        return self._in_range(sums.open_total(body, count, self._opener), collector)

    def products(self, raw: bytes, sender: str, count: int, secret: bytes) -> list[int]:
        """Return the inner products of own columns with another party's (see `totals`)."""
        due = self._due(sender, Content.ANSWERS, count, 1)
        self._count(due)
        size = count * self.parameters.ciphertext_bytes
        body = envelope.unseal(raw, due, size, secret)
        return self._in_range(inner.open_products(body, count, self._opener), sender)

    def scores(
        self, raw: bytes, sender: str, rows: int, terms: ScoreTerms, already: int, secret: bytes
    ) -> list[int]:
        """Return the scores of own rows, rounded to multiples of the terms' step.

        Args:
            raw: the envelope of the model's owner.
            sender: the model's owner.
            rows: how many scores there are.
            terms: that the model's owner set for this recipient.
            already: scores of this model that this recipient got before, by the keeper's ledger.
            secret: shared with the sender.

        Raises:
            BudgetSpent: there would be more scores than the terms allow, or more envelopes than the plan does.
            LinkBroken, EvidenceBroken: see `totals`.
        """
        if already < 0 or already + rows > terms.most:
            raise BudgetSpent(
                f"{rows} scores are more than the {max(0, terms.most - already)} that are left of this model",
                "scores", "Ask for fewer rows, or ask the model's owner for other terms.",
            )  # fmt: skip
        due = self._due(sender, Content.ANSWERS, rows, 1)
        self._count(due)
        size = sums.Shape(self.parameters, rows).size
        body = envelope.unseal(raw, due, size, secret)
        found = self._in_range(self._rows(body, rows), sender)
        return [rounded(score, terms.step) for score in found]

    def vector(self, raw: bytes, sender: str, size: int, secret: bytes) -> list[int]:
        """Return the product of another party's matrix with an own vector of `size` numbers (see `totals`).

        It stands in the slots again and again (`matrix.spread`); anything else is no such product.
        """
        due = self._due(sender, Content.ANSWERS, size, 1)
        self._count(due)
        body = envelope.unseal(raw, due, self.parameters.ciphertext_bytes, secret)
        found = self._slots(sums.Shape(self.parameters, 1).read(body, sender)[0]).reshape(-1, size)
        if (found != found[0]).any():
            raise EvidenceBroken("a ciphertext holds numbers where none should be", sender)
        return self._in_range([int(number) for number in found[0]], sender)

    def _rows(self, body: bytes, rows: int) -> list[int]:
        if self.parameters.packing is Packing.COEFFICIENTS:
            return sums.open_total(body, rows, self._opener)
        found = self._slots(sums.Shape(self.parameters, rows).read(body, "answers")[0])
        if found[rows:].any():
            raise EvidenceBroken("a ciphertext holds numbers where none should be", "answers")
        return [int(number) for number in found[:rows]]

    def _slots(self, blocks: Words) -> Numbers:
        t = self.parameters.plains[0]
        return np.concatenate([arithmetic.centred(self._opener.decrypt(block), t) for block in blocks])

    def _in_range(self, numbers: list[int], sender: str) -> list[int]:
        """Refuse what no honest computation gives: forged ciphertexts decrypt to numbers all over the plain modulus."""
        if any(abs(number) > self._largest for number in numbers):
            raise EvidenceBroken("what was decrypted is outside the ranges of the plan", sender)
        return numbers

    def _due(self, sender: str, content: Content, count: int, holders: int) -> Front:
        own = self._front
        return replace(own, sender=sender, receiver=own.sender, content=content, count=count, holders=holders)

    def _count(self, due: Front) -> None:
        if len(self._log) >= self._limit:
            raise BudgetSpent(
                f"the plan lets this key decrypt {self._limit} times", "key process",
                "Ask for another plan, with a key of its own.",
            )  # fmt: skip
        order = len(self._log) + 1
        self._log.append(Decryption(due.plan, self.key, due.sender, due.content, due.count, order))


def key_id(public: Words) -> str:
    """Return the name of a key: the digest of its public half."""
    return canonical.digest_bytes("encrypted-key", public.tobytes())


def read_public_key(raw: bytes, due: Front, parameters: Parameters, secret: bytes) -> Words:
    """Return another party's public key from its envelope (`Front.key` empty, `count` as many coefficients).

    Raises:
        Refused: this process is no crypto box.
        LinkBroken, EvidenceBroken: it is not what is due (see `envelope.unseal`).
    """
    return _read_keys(raw, due, parameters, secret, key_shape(parameters))


def read_product_key(raw: bytes, due: Front, parameters: Parameters, secret: bytes) -> Words:
    """Return another party's key for products, `[digits × 2 × (primes + 1) × N]` (see `read_public_key`)."""
    return _read_keys(raw, due, parameters, secret, (len(parameters.moduli), *key_shape(parameters)))


def read_rotation_keys(raw: bytes, due: Front, parameters: Parameters, secret: bytes) -> dict[int, Words]:
    """Return another party's keys of the plan's rotations, by step (see `read_public_key`)."""
    shape = (len(parameters.rotations), len(parameters.moduli), *key_shape(parameters))
    found = _read_keys(raw, due, parameters, secret, shape)
    return dict(zip(parameters.rotations, found, strict=True))


def _read_keys(
    raw: bytes, due: Front, parameters: Parameters, secret: bytes, shape: tuple[int, ...]
) -> Words:
    body = envelope.unseal(raw, due, prod(shape) * 8, secret)
    return sealing.checked(body, shape, (*parameters.primes, int(parameters.special)), due.sender)


def key_shape(parameters: Parameters) -> tuple[int, int, int]:
    """Return the shape of a public key's coefficients: two polynomials, the primes of q and p, N."""
    return 2, len(parameters.moduli) + 1, parameters.degree


def rounded(number: int, step: int) -> int:
    """Return the multiple of `step` that is nearest, the upper one of two."""
    return step * ((2 * number + step) // (2 * step))


def probability(score: int, decimals: int, digits: int) -> int:
    """Return the logistic curve at score · 10^−decimals, as a whole number of 10^−digits, a half upwards as in SQL."""
    x = max(-700.0, min(700.0, score / 10**decimals))
    whole: int = 10**digits
    return floor(whole / (1.0 + exp(-x)) + 0.5)
