"""What tests of encrypted computation share: a process that passes for a box, fronts of envelopes, noise laid bare."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from mpc.encrypted import crypto_box, sealing
from mpc.encrypted.arithmetic import centred
from mpc.encrypted.envelope import Content, Front
from mpc.encrypted.key_process import KeyProcess
from mpc.encrypted.parameters import Parameters

PLAN, SECRET = "sha256:" + "ab" * 32, bytes(range(32))
OWNER, OTHER, THIRD = "nm/tax", "nm/bank", "nm/stats"


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> Iterator[crypto_box.CryptoBox]:
    """A process that passes for a box, for one test."""
    monkeypatch.setattr(crypto_box, "_entered", [])
    monkeypatch.setattr(crypto_box, "is_confined", lambda: True)
    yield crypto_box.enter("test")


@cache
def opener(parameters: Parameters) -> sealing.Opener:
    """A key of these parameters, made once for all tests."""
    return sealing.Opener(parameters)


@cache
def public(parameters: Parameters) -> Any:
    return opener(parameters).public_words()


def front(used: Parameters, **changes: Any) -> Front:
    """What an envelope of the key's owner is bound to, with changes."""
    made = Front(PLAN, 1, "sums", OWNER, OTHER, used.digest, "", Content.PUBLIC_KEY, 1)
    return replace(made, **changes)


def key_process(parameters: Parameters, largest: int = 1 << 60, limit: int = 1) -> KeyProcess:
    return KeyProcess(parameters, front(parameters), largest, limit)


def noise_of(opened: sealing.Opener, words: Any, message: Any) -> np.ndarray:
    """Return the noise of a ciphertext with one prime and coefficients, exactly: what the key's owner can compute.

    With q = Δ·t + 1, Δ·(c0 + c1·s − Δ·m) = Δ·v is the phase of the message v, if that is below t/2.
    """
    (q,), (t,) = opened.parameters.primes, opened.parameters.plains
    delta = q // t
    moved = words.astype(object)
    moved[0, 0] -= np.asarray(message).astype(object) * delta
    scaled = (moved * delta % q).astype(np.uint64)
    return centred(opened.decrypt(scaled), t)


def budget(opened: sealing.Opener, words: Any, place: int = 0) -> int:
    """Return the bits that SEAL says are left in a ciphertext before it decrypts wrongly."""
    decryptor, seal = opened._decryptor(place)
    return int(decryptor.invariant_noise_budget(seal.ciphertext(words)))
