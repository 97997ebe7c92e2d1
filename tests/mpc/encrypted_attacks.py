"""Attacks on bare TenSEAL, as its users meet them: the controls of the tests of encrypted computation."""

from __future__ import annotations

import tempfile
from typing import Any

import numpy as np
import tenseal
import zstandard
from tenseal import sealapi

MAGIC, HEADER, META, SECRET_META = b"\x5e\xa1\x10\x04", 16, 97, 72
DEGREE = 4096


def payload(serialised: bytes) -> bytes:
    """Return the bare bytes of SEAL's object within what TenSEAL serialised."""
    at = serialised.index(MAGIC)
    return zstandard.ZstdDecompressor().decompressobj().decompress(serialised[at + HEADER :])


def words(serialised: bytes, meta: int, shape: tuple[int, ...]) -> np.ndarray:
    found = np.frombuffer(payload(serialised)[meta:], dtype="<u8")
    return found[: int(np.prod(shape))].reshape(shape).astype(object)


def real_parts(decrypted: list[float], scale: float) -> np.ndarray:
    """Return p(X) + p(1/X) as whole coefficients, of the real parts of p at the roots ζ^(3^j): what `decrypt` gives."""
    values = np.zeros(2 * DEGREE)
    for place, value in zip((pow(3, j, 2 * DEGREE) for j in range(DEGREE // 2)), decrypted, strict=True):
        values[place] = values[2 * DEGREE - place] = 2 * value * scale
    return np.rint(np.fft.fft(values).real[:DEGREE] / DEGREE).astype(np.int64)


def transform(coefficients: np.ndarray, q: int) -> np.ndarray:
    """Return a polynomial's values at the odd powers of SEAL's root of unity modulo q, in SEAL's order."""
    root = min(pow(g, (q - 1) // (2 * DEGREE), q) for g in range(2, 2000) if pow(g, (q - 1) // 2, q) == q - 1)
    root = min(pow(root, power, q) for power in range(1, 2 * DEGREE, 2))
    bits = DEGREE.bit_length() - 1
    order = [int(f"{i:0{bits}b}"[::-1], 2) for i in range(DEGREE)]
    powers = np.array([pow(root, i, q) for i in range(2 * DEGREE)], dtype=np.int64)
    reduced = np.asarray(coefficients, dtype=object) % q
    reduced = reduced.astype(np.int64)
    found = np.empty(DEGREE, dtype=np.int64)
    columns = np.arange(DEGREE, dtype=np.int64)
    for place in range(DEGREE):  # the definition itself: an attack may take its second
        exponents = columns * (2 * order[place] + 1) % (2 * DEGREE)
        found[place] = int((reduced * powers[exponents] % q).sum() % q)
    return found.astype(object)


def recovered_key(vectors: list[tuple[bytes, list[float]]], q: int, scale: float) -> np.ndarray:
    """Li and Micciancio (eprint 2020/1533), with real parts only: the secret key, from two decrypted vectors.

    b + a·s = p, and the values of p(X) + p(1/X) are known, so at each root u = b + b' + a·s + a'·s', where a dash is
    the value at the inverse root: two ciphertexts are two equations for s and s'. In SEAL's order the inverse root
    stands in the mirror.

    Args:
        vectors: what TenSEAL serialised of each, and what it decrypted.
        q: the one prime of ciphertexts.
        scale: of both.
    """
    rows = []
    for serialised, decrypted in vectors:
        b, a = words(serialised, META, (2, DEGREE))
        u = transform(real_parts(decrypted, scale), q)
        rows.append((a, a[::-1], (u - b - b[::-1]) % q))
    (a0, m0, r0), (a1, m1, r1) = rows
    determinant = (a0 * m1 - a1 * m0) % q
    inverse = np.array([pow(int(value), -1, q) if value else 0 for value in determinant], dtype=object)
    return (r0 * m1 - r1 * m0) % q * inverse % q


def ckks(sizes: list[int], scale: float) -> Any:
    context = tenseal.context(tenseal.SCHEME_TYPE.CKKS, DEGREE, coeff_mod_bit_sizes=sizes, n_threads=1)
    context.global_scale = scale
    return context


def all_slots(context: Any, vector: Any, sizes: list[int], degree: int) -> np.ndarray:
    """Return what the key's owner sees in every slot, not only in those that `decrypt` shows."""
    made = sealapi.EncryptionParameters(sealapi.SCHEME_TYPE.CKKS)
    made.set_poly_modulus_degree(degree)
    made.set_coeff_modulus(sealapi.CoeffModulus.Create(degree, sizes))
    seal = sealapi.SEALContext(made, True, sealapi.SEC_LEVEL_TYPE.TC128)
    ciphertext, secret, plain = sealapi.Ciphertext(), sealapi.SecretKey(), sealapi.Plaintext()
    serialised = vector.serialize()
    with tempfile.NamedTemporaryFile() as file:
        file.write(serialised[serialised.index(MAGIC) :])
        file.flush()
        ciphertext.load(seal, file.name)
        context.secret_key().data.save(file.name)
        secret.load(seal, file.name)
    sealapi.Decryptor(seal, secret).decrypt(ciphertext, plain)
    return np.array(sealapi.CKKSEncoder(seal).decode_double(plain))


def bomb(meta: bytes, keys: int) -> bytes:
    """Return what SEAL takes for keys of rotation: a few bytes that become 128 KiB for each key once they are unpacked.

    Args:
        meta: what SEAL writes before the coefficients of a key of these parameters (one prime, and p).
        keys: how many, up to N.
    """
    words = 2 * 2 * DEGREE
    one = (
        MAGIC
        + bytes([3, 0, 0, 0])
        + (HEADER + META + 8 * words).to_bytes(8, "little")
        + meta
        + bytes(8 * words)
    )
    packer = zstandard.ZstdCompressor(level=3).compressobj()
    parts = [packer.compress(meta[:32] + DEGREE.to_bytes(8, "little"))]
    parts += [packer.compress((1).to_bytes(8, "little") + one) for _ in range(keys)]
    parts += [packer.compress(bytes(8 * (DEGREE - keys))), packer.flush()]
    packed = b"".join(parts)
    return MAGIC + b"\x03\x02\x00\x00" + (HEADER + len(packed)).to_bytes(8, "little") + packed


def payloads(serialised: bytes) -> list[bytes]:
    """Return the bare bytes of every object of SEAL within what TenSEAL serialised."""
    found, at = [], serialised.find(MAGIC)
    while at >= 0:
        size = int.from_bytes(serialised[at + 8 : at + 16], "little")
        if serialised[at + 5] == 2 and size <= len(serialised) - at:
            found.append(
                zstandard.ZstdDecompressor().decompressobj().decompress(serialised[at + HEADER : at + size])
            )
        at = serialised.find(MAGIC, at + 4)
    return found


def inverse(values: np.ndarray, q: int) -> np.ndarray:
    """Return the polynomial that has these values (`transform`)."""
    root = min(pow(g, (q - 1) // (2 * DEGREE), q) for g in range(2, 2000) if pow(g, (q - 1) // 2, q) == q - 1)
    root = min(pow(root, power, q) for power in range(1, 2 * DEGREE, 2))
    bits = DEGREE.bit_length() - 1
    odd = np.array([2 * int(f"{i:0{bits}b}"[::-1], 2) + 1 for i in range(DEGREE)], dtype=np.int64)
    powers = np.array([pow(root, -i, q) for i in range(2 * DEGREE)], dtype=np.int64)
    reduced, back = values.astype(np.int64), pow(DEGREE, -1, q)
    return np.array(
        [int((reduced * powers[odd * i % (2 * DEGREE)] % q).sum() % q) * back % q for i in range(DEGREE)],
        dtype=object,
    )
