"""The only module that speaks with TenSEAL: SEAL's objects here, plain arrays of coefficients everywhere else.

TenSEAL 0.3.18 bundles SEAL 4.3, which lacks the security update of SEAL 4.4 (hostile serialisations). So SEAL never
reads bytes of another party. What travels is bare coefficients, as little-endian words of 64 bits: their number is
known before a byte is read, each is compared with its modulus, and SEAL's own form is then written *here*, around them,
from a template that this process made. Nothing compressed is ever received, so nothing can be a decompression bomb;
what SEAL itself writes is zstd, and only one's own bytes are unpacked.

SEAL's library of Python saves to files by name only: one file of this process, in memory, emptied after secrets.
"""

from __future__ import annotations

import os
import tempfile
import threading
from functools import cache, cached_property
from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray
from tenseal import sealapi

from mpc.encrypted import crypto_box
from mpc.encrypted.parameters import SEED, Packing, Parameters
from plans.errors import Defect, LinkBroken

Words = NDArray[np.uint64]

_MEMORY = "/dev/shm"
_HEADER = 16  # SEAL's: magic, its own size, version, how it is compressed, two bytes, the whole size
_META = 97  # of a ciphertext: identity, form, size, degree, primes, scale, correction, and the header of its array
_PLAIN_META = 32 + 8 + 8 + _HEADER + 8  # of a plaintext: identity, coefficients, scale, array
_SECRET_META = _PLAIN_META  # a secret key is saved as a plaintext
_DIMENSION = 8
_SEED_META = _HEADER + 1


class _Slate:
    """The one file of this process through which SEAL's objects become bytes and back; emptied after secrets."""

    def __init__(self) -> None:
        memory = _MEMORY if os.access(_MEMORY, os.W_OK) else None  # a box has its /tmp in memory
        # Open as long as the process lives, readable by this user only, and deleted at the end.
        self._file = tempfile.NamedTemporaryFile(prefix="slate-", dir=memory)  # noqa: SIM115
        self._process = os.getpid()

    @property
    def fresh(self) -> bool:
        """Whether it is of this process, and not of one that this was forked from."""
        return self._process == os.getpid()

    def save(self, thing: Any) -> bytes:
        """Return what SEAL saves of an object."""
        thing.save(self._file.name)
        descriptor = self._file.fileno()
        return os.pread(descriptor, os.fstat(descriptor).st_size, 0)

    def load(self, thing: Any, context: Any, payload: bytes) -> None:
        """Have SEAL read an object; how long it is stands in its header, so what lies behind it does not count."""
        os.pwrite(self._file.fileno(), payload, 0)
        thing.load(context, self._file.name)

    def wipe(self) -> None:
        """Leave nothing in the file."""
        os.ftruncate(self._file.fileno(), 0)


_slates: list[_Slate] = []
_turn = threading.Lock()


def _slate() -> _Slate:
    if not _slates or not _slates[-1].fresh:
        _slates.append(_Slate())
    return _slates[-1]


def written(thing: Any, secret: bool = False) -> bytes:
    """Return what SEAL saves of an object that this process made, unpacked and without its header."""
    with _turn:
        saved = _slate().save(thing)
        if secret:
            _slate().wipe()
    return zstandard.ZstdDecompressor().decompressobj().decompress(saved[_HEADER:])


def _read_into(thing: Any, context: Any, payload: bytes, secret: bool = False) -> Any:
    """Have SEAL read a payload that was written in this module around coefficients that were looked at."""
    header = _version() + bytes(3) + (_HEADER + len(payload)).to_bytes(8, "little")
    with _turn:
        try:
            _slate().load(thing, context, header + payload)
        except (RuntimeError, ValueError):
            raise Defect("the engine does not read what was written for it", "sealing") from None
        finally:
            if secret:
                _slate().wipe()
    return thing


@cache
def _version() -> bytes:
    """Return the beginning of what this SEAL writes: its magic, its header's size, and its version."""
    with _turn:
        return _slate().save(sealapi.Modulus(65_537))[:5]


def checked(raw: bytes | memoryview, shape: tuple[int, ...], primes: tuple[int, ...], where: str) -> Words:
    """Return coefficients `[… × primes × N]` from another party's bytes, each below its prime.

    Args:
        raw: exactly as many bytes as the shape has words, times 8.
        shape: of the result; the last but one axis is that of the primes.
        where: whose bytes these are, for the message.

    Raises:
        Refused: this process is no crypto box.
        LinkBroken: the size is another, or a coefficient is not reduced.
    """
    crypto_box.require(where)
    view = memoryview(raw)
    wanted = int(np.prod(shape, dtype=np.int64)) * 8
    if view.nbytes != wanted:
        raise LinkBroken(f"a ciphertext has {view.nbytes} bytes where {wanted} are due", where)
    found = np.frombuffer(view, dtype="<u8").reshape(shape)
    if any(bool((found[..., place, :] >= np.uint64(prime)).any()) for place, prime in enumerate(primes)):
        raise LinkBroken("a coefficient of a ciphertext is not below its modulus", where)
    return found


class Seal:
    """SEAL with the parameters of one computation, and one of its plain moduli.

    Args:
        parameters: what all parties have the same.
        place: which of the plain moduli.
    """

    def __init__(self, parameters: Parameters, place: int = 0) -> None:
        self.parameters, self.place = parameters, place
        made = sealapi.EncryptionParameters(sealapi.SCHEME_TYPE.BFV)
        made.set_poly_modulus_degree(parameters.degree)
        primes = (*parameters.primes, int(parameters.special))
        made.set_coeff_modulus([sealapi.Modulus(prime) for prime in primes])
        made.set_plain_modulus(parameters.plains[place])
        self.context = sealapi.SEALContext(made, True, sealapi.SEC_LEVEL_TYPE.TC128)
        if not self.context.parameters_set():
            raise Defect(f"the engine refuses parameters: {self.context.parameters_error_name()}", "sealing")
        self.evaluator = sealapi.Evaluator(self.context)

    # ---------------------------------------------------------------------------------- coefficients and objects

    @cached_property
    def encoder(self) -> Any:
        """SEAL's encoder of slots."""
        return sealapi.BatchEncoder(self.context)

    @cached_property
    def _template(self) -> tuple[bytes, bytes, bytes]:
        """What SEAL writes before the coefficients of a ciphertext, of a key of its own kind, and of a secret key."""
        keys = sealapi.KeyGenerator(self.context)
        public, empty = sealapi.PublicKey(), sealapi.Ciphertext()
        keys.create_public_key(public)
        sealapi.Encryptor(self.context, public).encrypt_zero(empty)
        return (
            written(empty)[:_META],
            written(public)[:_META],
            written(keys.secret_key(), secret=True)[:_SECRET_META],
        )

    @cached_property
    def _seed_head(self) -> bytes:
        """What SEAL writes before a seed: a header, and which generator."""
        keys = sealapi.KeyGenerator(self.context)
        empty = sealapi.Encryptor(self.context, keys.secret_key()).encrypt_zero_symmetric()
        return written(empty)[-SEED - _SEED_META : -SEED]

    def words(self, ciphertext: Any) -> Words:
        """Return the coefficients of a ciphertext `[polynomials × primes × N]`."""
        payload = written(ciphertext)
        shape = (ciphertext.size(), len(self.parameters.moduli), self.parameters.degree)
        if len(payload) != _META + int(np.prod(shape)) * 8:
            raise Defect("the engine wrote a ciphertext of another form than it is known to", "sealing.words")
        return np.frombuffer(payload, dtype="<u8", offset=_META).reshape(shape).copy()

    def ciphertext(self, words: Words) -> Any:
        """Return SEAL's ciphertext of coefficients `[polynomials × primes × N]` that were looked at (`checked`)."""
        size, count = words.shape[0], words.size
        head = bytearray(self._template[0])
        head[33:41] = size.to_bytes(8, "little")
        _set_array(head, _META, count)
        payload = bytes(head) + np.ascontiguousarray(words, dtype="<u8").tobytes()
        return _read_into(sealapi.Ciphertext(), self.context, payload)

    def seeded(self, first: Words, seed: bytes) -> Any:
        """Return the ciphertext of a first polynomial `[primes × N]` and the seed of its second."""
        head = bytearray(self._template[0])
        _set_array(head, _META, first.size)
        if len(seed) != SEED:
            raise LinkBroken("a seed has another size", "seed")
        payload = bytes(head) + np.ascontiguousarray(first, dtype="<u8").tobytes() + self._seed_head + seed
        return _read_into(sealapi.Ciphertext(), self.context, payload)

    # ------------------------------------------------------------------------------------------------- keys

    def key_shape(self) -> tuple[int, int, int]:
        """Return the shape of the coefficients of a key of encryption: two polynomials, all primes and p, N."""
        return 2, len(self.parameters.moduli) + 1, self.parameters.degree

    def key_primes(self) -> tuple[int, ...]:
        """Return the primes of keys: those of q, and p."""
        return (*self.parameters.primes, int(self.parameters.special))

    def public_key(self, words: Words) -> Any:
        """Return SEAL's public key of coefficients that were looked at."""
        payload = self._template[1] + np.ascontiguousarray(words, dtype="<u8").tobytes()
        return _read_into(sealapi.PublicKey(), self.context, payload)

    def switching_keys(self, thing: Any, keys: dict[int, Words], dimension: int) -> Any:
        """Fill SEAL's keys of relinearisation or rotation from coefficients `[digits × 2 × (primes + 1) × N]`."""
        count = int(np.prod(self.key_shape())) * 8
        head = _version() + bytes(3) + (_HEADER + _META + count).to_bytes(8, "little")
        parts = [self._template[1][:32], dimension.to_bytes(_DIMENSION, "little")]
        for place in range(dimension):
            digits = keys.get(place)
            parts.append((0 if digits is None else len(digits)).to_bytes(_DIMENSION, "little"))
            for digit in () if digits is None else digits:
                parts += [head, self._template[1], np.ascontiguousarray(digit, dtype="<u8").tobytes()]
        return _read_into(thing, self.context, b"".join(parts))

    def switching_words(self, thing: Any) -> dict[int, Words]:
        """Return the coefficients of SEAL's keys of relinearisation or rotation, by place."""
        payload, shape = memoryview(written(thing)), self.key_shape()
        count = int(np.prod(shape)) * 8
        at, found = 32 + _DIMENSION, {}
        for place in range(int.from_bytes(payload[32:at], "little")):
            digits, at = int.from_bytes(payload[at : at + _DIMENSION], "little"), at + _DIMENSION
            read = []
            for _ in range(digits):
                at += _HEADER + _META
                read.append(np.frombuffer(payload[at : at + count], dtype="<u8").reshape(shape))
                at += count
            if read:
                found[place] = np.stack(read)
        return found

    def galois_element(self, step: int) -> int:
        """Return 3^step modulo 2N: the automorphism that moves slots by `step`."""
        return pow(3, step, 2 * self.parameters.degree)

    def galois_place(self, step: int) -> int:
        """Return where SEAL keeps the key of a rotation."""
        return (self.galois_element(step) - 1) // 2

    # ------------------------------------------------------------------------------------------- plaintexts

    def scalar(self, number: int) -> Any:
        """Return the plaintext of one number from 1 to (t − 1)/2 that multiplies every coefficient.

        No negative one: SEAL multiplies by t − w where a plaintext is the single number −w, not by −w, so that noise
        grows by t. Multiply by w, and take the product away.

        Raises:
            Defect: the number is outside.
        """
        if not 0 < number <= (self.parameters.plains[self.place] - 1) // 2:
            raise Defect("ciphertexts are multiplied by a positive number below t/2", "sealing.scalar")
        return sealapi.Plaintext(f"{number:x}")

    def add_signed(self, total: Any, product: Any, sign: int) -> None:
        """Add a product to a total, or take it away, by a sign; where that is 0, do neither."""
        if sign > 0:
            self.evaluator.add_inplace(total, product)
        elif sign < 0:
            self.evaluator.sub_inplace(total, product)

    def slots(self, numbers: Words) -> Any:
        """Return the plaintext whose slots are `numbers` (modulo t, up to N of them)."""
        plain = sealapi.Plaintext()
        self.encoder.encode(numbers.tolist(), plain)
        return plain

    def polynomial(self, numbers: NDArray[np.int64]) -> Any:
        """Return the plaintext whose coefficients are `numbers` (signed, up to N of them)."""
        t, n = self.parameters.plains[self.place], self.parameters.degree
        whole = np.zeros(n, dtype="<u8")
        whole[: len(numbers)] = np.where(numbers < 0, numbers + t, numbers).astype(np.uint64)
        head = bytearray(32 + 8 + 8 + _HEADER + 8)
        head[32:40] = n.to_bytes(8, "little")
        head[40:48] = np.float64(1.0).tobytes()
        head[48:53] = _version()
        _set_array(head, len(head), n)
        return _read_into(sealapi.Plaintext(), self.context, bytes(head) + whole.tobytes())


class Opener:
    """What holds a secret key: it encrypts under it, makes the other keys, and decrypts. It never leaves its process.

    Args:
        parameters: what all parties have the same.
    """

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters
        self.seal = Seal(parameters)
        self._keys = sealapi.KeyGenerator(self.seal.context)
        self._secret = self._keys.secret_key()
        self._encryptor = sealapi.Encryptor(self.seal.context, self._secret)

    def __repr__(self) -> str:
        return f"Opener({self.parameters.digest})"

    def __reduce__(self) -> str:
        raise Defect("a secret key is not copied out of its process", "sealing.Opener")

    def public_words(self) -> Words:
        """Return a public key as coefficients `[2 × (primes + 1) × N]`."""
        public = sealapi.PublicKey()
        self._keys.create_public_key(public)
        found = np.frombuffer(written(public), dtype="<u8", offset=_META)
        return found.reshape(self.seal.key_shape())

    def relinearisation_words(self) -> Words:
        """Return the key for products of two ciphertexts, `[digits × 2 × (primes + 1) × N]`."""
        keys = sealapi.RelinKeys()
        self._keys.create_relin_keys(keys)
        return self.seal.switching_words(keys)[0]

    def rotation_words(self) -> dict[int, Words]:
        """Return the keys of the rotations that the parameters name, and no other, by step."""
        keys = sealapi.GaloisKeys()
        steps = self.parameters.rotations
        self._keys.create_galois_keys([self.seal.galois_element(step) for step in steps], keys)
        found = self.seal.switching_words(keys)
        if len(found) != len(steps):
            raise Defect("the engine made another number of keys than were asked for", "sealing")
        return {step: found[self.seal.galois_place(step)] for step in steps}

    def zero(self) -> tuple[Words, bytes]:
        """Return a fresh encryption of zero under the secret key: the first polynomial, and the seed of the second."""
        return self._split(written(self._encryptor.encrypt_zero_symmetric()))

    def _split(self, payload: bytes) -> tuple[Words, bytes]:
        shape = (len(self.parameters.moduli), self.parameters.degree)
        end = _META + int(np.prod(shape)) * 8
        if len(payload) != end + _SEED_META + SEED:
            raise Defect("the engine wrote no seed", "sealing.zero")
        return np.frombuffer(payload[_META:end], dtype="<u8").reshape(shape).copy(), payload[-SEED:]

    def slots(self, values: NDArray[np.int64]) -> tuple[Words, bytes]:
        """Return signed numbers in slots, encrypted under the secret key: the first polynomial, and the seed."""
        t = np.int64(self.parameters.plains[0])
        plain = self.seal.slots((values % t).astype(np.uint64))
        return self._split(written(self._encryptor.encrypt_symmetric(plain)))

    def decrypt(self, words: Words, place: int = 0) -> Words:
        """Return the plaintext of coefficients `[polynomials × primes × N]`: N numbers modulo t, unsigned."""
        decryptor, seal = self._decryptor(place)
        plain = sealapi.Plaintext()
        decryptor.decrypt(seal.ciphertext(words), plain)
        if self.parameters.packing is Packing.SLOTS:
            return np.array(seal.encoder.decode_uint64(plain), dtype=np.uint64)
        found = np.frombuffer(written(plain), dtype="<u8", offset=_PLAIN_META)
        whole = np.zeros(self.parameters.degree, dtype=np.uint64)
        whole[: len(found)] = found
        return whole

    def _decryptor(self, place: int) -> tuple[Any, Seal]:
        if place not in self._decryptors:
            seal = self.seal if place == 0 else Seal(self.parameters, place)
            secret = self._secret
            if place:
                words = written(self._secret, secret=True)[_SECRET_META:]
                payload = seal._template[2] + words
                secret = _read_into(sealapi.SecretKey(), seal.context, payload, secret=True)
            self._decryptors[place] = sealapi.Decryptor(seal.context, secret), seal
        return self._decryptors[place]

    @cached_property
    def _decryptors(self) -> dict[int, tuple[Any, Seal]]:
        return {}


def public_encryptor(seal: Seal, public: Words) -> Any:
    """Return what encrypts zeros under a public key: `encrypt_zero` of it fills a ciphertext."""
    return sealapi.Encryptor(seal.context, seal.public_key(public))


def fresh_zero(seal: Seal, encryptor: Any) -> Words:
    """Return a fresh encryption of zero under a public key `[2 × primes × N]`."""
    made = sealapi.Ciphertext()
    encryptor.encrypt_zero(made)
    return seal.words(made)


def relinearisation_keys(seal: Seal, words: Words) -> Any:
    """Return SEAL's keys for products of two ciphertexts."""
    return seal.switching_keys(sealapi.RelinKeys(), {0: words}, 1)


def rotation_keys(seal: Seal, words: dict[int, Words]) -> Any:
    """Return SEAL's keys of rotations, by step."""
    by_place = {seal.galois_place(step): key for step, key in words.items()}
    return seal.switching_keys(sealapi.GaloisKeys(), by_place, seal.parameters.degree)


def _set_array(head: bytearray, end: int, count: int) -> None:
    """Write the header of an array of `count` words at the end of `head`."""
    head[end - 24 : end - 16] = bytes(head[end - 24 : end - 19]) + bytes(3)
    head[end - 16 : end - 8] = (_HEADER + 8 + count * 8).to_bytes(8, "little")
    head[end - 8 : end] = count.to_bytes(8, "little")


def empty() -> Any:
    """Return a ciphertext with nothing in it, for the engine to write into."""
    return sealapi.Ciphertext()
