"""Encrypted sums and scores beside bare TenSEAL and textbook Paillier.

    python -m benchmarks.encrypted [--json]

Everything runs in one process on one thread, without envelopes, boxes and links: the engine alone.

* `he.sum_ratio_tenseal`: the sum of 1M values from three holders, over the same of bare TenSEAL's BFV vectors with the
  same ring and moduli: processor time of encrypting at three holders, writing, reading, adding, decrypting once;
* `he.sum_speedup_paillier`: textbook Paillier with 2048 bits (by gmpy2, generator n + 1, a fresh r^n for each value)
  encrypts 5,000 values of three holders, adds and decrypts; its time is then extrapolated to three million, which is
  said here because they were not measured;
* `he.bytes_per_value`: what a holder sends under a public key; `he.bytes_per_value_owner`: where the key's owner
  encrypts;
* `he.scoring_ratio`: rows/s of scores of 100,000 rows × 32 features at the model's owner, over the same circuit (a
  column's ciphertext times a weight, added up) on bare TenSEAL's BFV vectors with the same ring and moduli; reading
  ciphertexts and writing scores are in both, and ours also floods; `he.scoring_engine_ratio` leaves reading and writing
  out of both;
* `he.matrix_speedup_tenseal`: the product of an encrypted vector with a 128 × 128 matrix by baby and giant steps,
  against TenSEAL's `mm` on CKKS with N = 8192;
* `he.wrong_values`: totals and scores that differ from plain whole numbers in any digit.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import gmpy2  # noqa: E402
import numpy as np  # noqa: E402
import tenseal  # noqa: E402

from benchmarks.report import Metric, main  # noqa: E402
from mpc.encrypted import arithmetic, crypto_box, matrix, planner, scoring, sealing, sums  # noqa: E402
from mpc.encrypted.numbers import primes_below  # noqa: E402
from mpc.encrypted.packing import Columns  # noqa: E402

MILLION, HOLDERS, CAP = 1_000_000, 3, 10**6
ROWS, FEATURES, FEATURE_CAP, WEIGHT = 100_000, 32, 1 << 16, 1 << 12
SAMPLE, PAILLIER_BITS = 5_000, 2048
SIZE = 128
ROUNDS = 3


@dataclass
class Watch:
    """Processor seconds of parts of a run, by name."""

    seconds: dict[str, float]

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        began = time.process_time()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.process_time() - began

    @property
    def total(self) -> float:
        return sum(self.seconds.values())


def alternating(ours: Callable[[], Watch], theirs: Callable[[], Watch]) -> tuple[list[Watch], list[Watch]]:
    """Run both in turn, so that a machine that slows down slows both."""
    found: tuple[list[Watch], list[Watch]] = ([], [])
    for _ in range(ROUNDS):
        found[0].append(ours())
        found[1].append(theirs())
    for name, watches in zip(("ours", "peer"), found, strict=True):
        sys.stderr.write(
            f"{name}: {', '.join(f'{part} {took:.2f}' for part, took in watches[-1].seconds.items())}\n"
        )
    return found


def median(watches: list[Watch]) -> float:
    return statistics.median(watch.total for watch in watches)


# ------------------------------------------------------------------------------------------------- sums


class SumBench:
    """A million values at each of three holders."""

    def __init__(self) -> None:
        rng = np.random.default_rng(7)
        self.values = [rng.integers(-CAP, CAP + 1, MILLION) for _ in range(HOLDERS)]
        self.truth = np.sum(self.values, axis=0).tolist()
        self.parameters = planner.plan_sums(HOLDERS, MILLION, CAP).parameters
        self.opener = sealing.Opener(self.parameters)
        self.public = self.opener.public_words()
        self.wrong = self.bytes = 0
        self.peer_context = peer_context(self.parameters, primes_below(30, 2 * self.parameters.degree, 1)[0])

    def ours(self) -> Watch:
        watch = Watch({})
        parts = []
        for values in self.values:
            with watch.part("encrypt and write"):
                parts.append(sums.holder_encrypt(values, CAP, self.public, self.parameters))
        self.bytes = len(parts[0])
        with watch.part("read and add"):
            total = sums.collect(parts, MILLION, self.parameters)
        with watch.part("decrypt"):
            opened = sums.open_total(total, MILLION, self.opener)
        self.wrong += sum(found != right for found, right in zip(opened, self.truth, strict=True))
        return watch

    def peer(self) -> Watch:
        watch = Watch({})
        n, context = self.parameters.degree, self.peer_context
        parts = []
        for values in self.values:
            with watch.part("encrypt and write"):
                parts.append(
                    [
                        tenseal.bfv_vector(context, values[at : at + n].tolist()).serialize()
                        for at in range(0, MILLION, n)
                    ]
                )
        with watch.part("read and add"):
            total = [tenseal.bfv_vector_from(context, raw) for raw in parts[0]]
            for part in parts[1:]:
                for block, raw in enumerate(part):
                    total[block] += tenseal.bfv_vector_from(context, raw)
        with watch.part("decrypt"):
            opened = [number for block in total for number in block.decrypt()]
        assert opened == self.truth
        return watch


def peer_context(parameters: Any, plain: int) -> Any:
    """Return TenSEAL's context with the same degree and sizes of primes."""
    sizes = [prime.bit_length() for prime in (*parameters.primes, int(parameters.special))]
    context = tenseal.context(
        tenseal.SCHEME_TYPE.BFV, parameters.degree, plain, coeff_mod_bit_sizes=sizes, n_threads=1
    )
    context.auto_relin = False
    return context


def paillier(bits: int) -> float:
    """Return processor seconds of textbook Paillier for `SAMPLE` values of three holders: encrypt, add, decrypt."""
    state = gmpy2.random_state(11)
    p, q = (gmpy2.next_prime(gmpy2.mpz_urandomb(state, bits // 2) | (1 << (bits // 2 - 1))) for _ in range(2))
    n, square = p * q, (p * q) ** 2
    secret = gmpy2.lcm(p - 1, q - 1)
    inverse = gmpy2.invert(secret, n)
    began = time.process_time()
    totals = [gmpy2.mpz(1)] * (SAMPLE // HOLDERS)
    for holder in range(HOLDERS):
        for place in range(SAMPLE // HOLDERS):
            mask = gmpy2.powmod(gmpy2.mpz_random(state, n), n, square)
            totals[place] = totals[place] * ((1 + n * (holder + place)) * mask % square) % square
    for place, total in enumerate(totals):
        found = (gmpy2.powmod(total, secret, square) - 1) // n * inverse % n
        assert found == HOLDERS * place + HOLDERS * (HOLDERS - 1) // 2
    return time.process_time() - began


# ---------------------------------------------------------------------------------------------- scores


class ScoreBench:
    """100,000 rows of 32 features, and a linear model."""

    def __init__(self) -> None:
        rng = np.random.default_rng(8)
        self.columns = rng.integers(-FEATURE_CAP, FEATURE_CAP + 1, (FEATURES, ROWS))
        self.weights = rng.integers(-WEIGHT, WEIGHT + 1, FEATURES)
        self.weights[self.weights == 0] = 1
        self.truth = (self.weights @ self.columns + 77).tolist()
        self.parameters = planner.plan_scores(ROWS, FEATURES, FEATURE_CAP, WEIGHT).parameters
        self.opener = sealing.Opener(self.parameters)
        shape = Columns(self.parameters, FEATURES, ROWS)
        self.raw = shape.encrypt(self.opener, list(self.columns), FEATURE_CAP)
        self.scorer = scoring.Scorer(self.parameters, self.opener.public_words())
        self.model = scoring.LinearModel(tuple(int(weight) for weight in self.weights), 77, WEIGHT)
        self.context = peer_context(self.parameters, primes_below(39, 2 * self.parameters.degree, 1)[0])
        n = self.parameters.degree
        self.peer_raw = [
            [
                tenseal.bfv_vector(self.context, column[at : at + n].tolist()).serialize()
                for at in range(0, ROWS, n)
            ]
            for column in self.columns
        ]
        self.wrong = 0

    def ours(self) -> Watch:
        watch = Watch({})
        with watch.part("score"):
            answer = self.scorer.score(self.raw, ROWS, self.model)
        opened = sums.open_total(answer, ROWS, self.opener)
        self.wrong += sum(found != right for found, right in zip(opened, self.truth, strict=True))
        return watch

    def peer(self) -> Watch:
        watch = Watch({})
        n, context = self.parameters.degree, self.context
        written = []
        with watch.part("score"):
            for block in range(len(self.peer_raw[0])):
                total = None
                for raws, weight in zip(self.peer_raw, self.weights.tolist(), strict=True):
                    part = tenseal.bfv_vector_from(context, raws[block])
                    part *= [weight] * part.size()
                    total = part if total is None else total + part
                total += [77] * total.size()
                written.append(total.serialize())
        found = [number for raw in written for number in tenseal.bfv_vector_from(context, raw).decrypt()]
        assert found == self.truth and n
        return watch

    def engine_ours(self) -> Watch:
        """The circuit on ciphertexts that were read before: one block, as often as there are blocks."""
        seal = self.scorer.seal
        shape = Columns(self.parameters, FEATURES, ROWS)
        scalars = [seal.scalar(abs(weight)) for weight in self.model.weights]
        watch = Watch({})
        for block in range(shape.blocks):
            read = [shape.read(self.raw, seal, column, block) for column in range(FEATURES)]
            with watch.part("circuit"):
                for ciphertext, scalar in zip(read, scalars, strict=True):
                    seal.evaluator.multiply_plain_inplace(ciphertext, scalar)
                for ciphertext, weight in zip(read[1:], self.model.weights[1:], strict=True):
                    seal.add_signed(read[0], ciphertext, weight)
        return watch

    def engine_peer(self) -> Watch:
        watch = Watch({})
        for block in range(len(self.peer_raw[0])):
            read = [tenseal.bfv_vector_from(self.context, raws[block]) for raws in self.peer_raw]
            with watch.part("circuit"):
                for ciphertext, weight in zip(read, self.weights.tolist(), strict=True):
                    ciphertext *= [weight] * ciphertext.size()
                for ciphertext in read[1:]:
                    read[0] += ciphertext
        return watch


class MatrixBench:
    """A 128 × 128 matrix and an encrypted vector."""

    def __init__(self) -> None:
        rng = np.random.default_rng(9)
        self.matrix = rng.integers(-1023, 1024, (SIZE, SIZE))
        self.vector = rng.integers(-1023, 1024, SIZE)
        self.parameters = planner.plan_matrix(SIZE, 1023, 1023).parameters
        self.opener = sealing.Opener(self.parameters)
        public = self.opener.public_words()
        self.owner = matrix.Multiplier(self.parameters, public, self.opener.rotation_words())
        first, seed = self.opener.slots(matrix.spread(self.vector, self.parameters))
        self.ciphertext = self.owner.seal.seeded(first, seed)
        self.context = tenseal.context(
            tenseal.SCHEME_TYPE.CKKS, 8192, coeff_mod_bit_sizes=[60, 40, 40, 60], n_threads=1
        )
        self.context.global_scale = 2**40
        self.context.generate_galois_keys()
        self.peer_vector = tenseal.ckks_vector(self.context, self.vector.tolist())
        self.wrong = 0

    def ours(self) -> Watch:
        watch = Watch({})
        with watch.part("product"):
            answer = self.owner.product(self.ciphertext, self.matrix, 1023)
        shape = (2, len(self.parameters.moduli), self.parameters.degree)
        words = sealing.checked(answer, shape, self.parameters.primes, "matrix")
        found = arithmetic.centred(self.opener.decrypt(words), self.parameters.plains[0])[:SIZE]
        self.wrong += int((found != self.matrix @ self.vector).sum())
        return watch

    def peer(self) -> Watch:
        watch = Watch({})
        plain = self.matrix.T.astype(float).tolist()
        with watch.part("product"):
            self.peer_vector.mm(plain)
        return watch


def measure() -> Iterator[Metric]:
    """Run all and yield what they found."""
    # The engine is measured without the walls of a box, which change nothing of what it computes.
    crypto_box.is_confined = lambda: True
    crypto_box.enter("benchmark")
    adding = SumBench()
    ours, peer = alternating(adding.ours, adding.peer)
    yield Metric(
        "he.sum_ratio_tenseal", median(ours) / median(peer), "x", at_most=1.2, peer=median(peer),
        peer_is="bare TenSEAL, s of processor",
    )  # fmt: skip
    slow = paillier(PAILLIER_BITS) * MILLION / (SAMPLE // HOLDERS)
    yield Metric(
        "he.sum_speedup_paillier", slow / median(ours), "x", at_least=1000, peer=slow,
        peer_is="Paillier, s, extrapolated from 5,000 values",
    )  # fmt: skip
    yield Metric("he.bytes_per_value", adding.bytes / MILLION, "B", at_most=45)
    owned = Columns(adding.parameters, 1, MILLION)
    yield Metric("he.bytes_per_value_owner", owned.size / MILLION, "B", at_most=16)
    scores = ScoreBench()
    ours, peer = alternating(scores.ours, scores.peer)
    yield Metric(
        "he.scoring_ratio", median(peer) / median(ours), "x", at_least=0.7, peer=ROWS / median(peer),
        peer_is="bare TenSEAL, rows/s",
    )  # fmt: skip
    yield Metric("he.scoring_rows_per_s", ROWS / median(ours), "rows/s")
    ours, peer = alternating(scores.engine_ours, scores.engine_peer)
    yield Metric(
        "he.scoring_engine_ratio", median(peer) / median(ours), "x", at_least=0.7, peer=ROWS / median(peer),
        peer_is="bare TenSEAL, rows/s",
    )  # fmt: skip
    matrices = MatrixBench()
    ours, peer = alternating(matrices.ours, matrices.peer)
    yield Metric(
        "he.matrix_speedup_tenseal", median(peer) / median(ours), "x", peer=median(peer), peer_is="TenSEAL mm, s"
    )  # fmt: skip
    wrong = adding.wrong + scores.wrong + matrices.wrong
    yield Metric("he.wrong_values", wrong, "", at_most=0)


if __name__ == "__main__":
    raise SystemExit(main("encrypted", __doc__ or "", measure))
