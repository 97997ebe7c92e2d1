"""Points for matching without a helper: identifiers hashed to Curve25519, and raised to secret exponents.

`Exponent.of_identifiers` gives the x-coordinates of [a]·H(identifier), `Exponent.of_points` those of [b]·P for points
that came from somebody else. Exponents commute, so after every owner's exponent equal identifiers, and no others,
have equal coordinates, and nobody who lacks one exponent can hash an identifier to compare it (the decisional
Diffie–Hellman assumption on Curve25519, with H as a random oracle).

*Hashing to the curve* is `curve25519_XMD:SHA-512_ELL2_NU_` of RFC 9380 (sections 5.3.1, 6.7.1, 8.5; x-coordinates
only) without its last step, which clears the cofactor: every exponent is clamped (RFC 7748, section 5), so it is a
multiple of 8 and clears it. It is the *nonuniform* encoding: its points are uniform over the map's image, about half
of the curve, whose members can be recognised and whose preimages (u and −u) can be sampled. A simulator therefore
programs the oracle with points of known relation by drawing again until one lies in the image, and the proof that
pseudonyms are indistinguishable from random points goes through as with the uniform encoding, at half its cost.
Hashing *straight to an x-coordinate* would be wrong: for half of all identifiers it is a point of the twist, which
every reader of a pseudonym can tell (`on_curve`), and which stays so under every exponent.

*What comes from others is checked:* a coordinate is reduced, lies on the curve and not on the twist, and is of no small
order. What else it may be, a clamped exponent makes an element of the prime-order group.

Speed: an exponentiation is X25519 by OpenSSL (34–48 µs; of long lists by `keys.ladder`, 20 µs), a hash 7 µs with GMP's
Jacobi symbol and inversion. Neither an identifier nor an exponent is on the wire. GMP's times depend on the number: who
could time a single hash in the owner's own box would learn something about that identifier, and is inside that box.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import gmpy2
import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from numpy.typing import NDArray

from plans.errors import LinkBroken, Malformed

Bytes = NDArray[np.uint8]

POINT = 32  # bytes of an x-coordinate, little-endian (RFC 7748, section 5)
EXPONENT = 32
SUITE = b"curve25519_XMD:SHA-512_ELL2_NU_"

_P = gmpy2.mpz(2**255 - 19)
_J = gmpy2.mpz(486_662)  # the curve is y² = x³ + J·x² + x
_LENGTH = 48  # bytes hashed to a field element: 255 bits and 128 more, so that the remainder is uniform
_LONGEST_TAG = 255
_ROWS = 1 << 14  # worked out at a time


class Exponent:
    """A secret exponent of one owner in one attempt. It never shows itself in `repr`."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) != EXPONENT:
            raise Malformed(f"an exponent has {EXPONENT} bytes", "exponent")
        self._secret = secret
        self._private = X25519PrivateKey.from_private_bytes(secret)

    def unsafe_secret(self) -> bytes:
        """Return the 32 secret bytes; only for `keys.ladder`."""
        return self._secret

    def of_identifiers(self, blocks: Bytes, tag: bytes) -> Bytes:
        """Return the points `[n × 32]` of packed identifiers `[n × 16]` under this exponent.

        Args:
            blocks: rows of any one width.
            tag: what the hash is for, the same at all owners (RFC 9380, section 3.1).
        """
        return _in_pieces(blocks, lambda piece: self._raised(encode(piece, tag)))

    def of_points(self, points: Bytes) -> Bytes:
        """Return others' points `[n × 32]` under this exponent, in the same order.

        Raises:
            LinkBroken: one of them is no point of the curve, or of small order. Which one is not said.
        """
        return _in_pieces(points, lambda piece: self._raised(require_on_curve(piece)))

    def _raised(self, points: Bytes) -> Bytes:
        raw, load, times = points.tobytes(), X25519PublicKey.from_public_bytes, self._private.exchange
        try:
            found = b"".join([times(load(raw[at : at + POINT])) for at in range(0, len(raw), POINT)])
        except ValueError:  # the product is zero: RFC 7748, section 6.1
            raise LinkBroken("points for matching came that are of small order", "match") from None
        return np.frombuffer(found, dtype=np.uint8).reshape(-1, POINT)

    def __repr__(self) -> str:
        return "Exponent()"


def encode(messages: Bytes, tag: bytes) -> Bytes:
    """Return the x-coordinates `[n × 32]` of messages `[n × width]` hashed to the curve, cofactor not cleared.

    Raises:
        Malformed: the tag is empty or longer than 255 bytes.
    """
    raw, width = messages.tobytes(), messages.shape[1]
    elements = field_elements([raw[at : at + width] for at in range(0, len(raw), width)], tag)
    found = b"".join([_mapped(element).to_bytes(POINT, "little") for element in elements])
    return np.frombuffer(found, dtype=np.uint8).reshape(-1, POINT)


def field_elements(messages: list[bytes], tag: bytes) -> list[gmpy2.mpz]:
    """Return one element of the field per message (RFC 9380, sections 5.2 and 5.3.1, with SHA-512).

    Raises:
        Malformed: the tag is empty or longer than 255 bytes.
    """
    if not 0 < len(tag) <= _LONGEST_TAG:
        raise Malformed(f"a hash's tag has 1 to {_LONGEST_TAG} bytes", "tag")
    suffix = tag + bytes([len(tag)])
    last, final = _LENGTH.to_bytes(2, "big") + b"\0" + suffix, b"\1" + suffix
    start, sha, whole = hashlib.sha512(bytes(128)), hashlib.sha512, gmpy2.mpz.from_bytes
    found = []
    for message in messages:
        first = start.copy()
        first.update(message + last)
        found.append(whole(sha(first.digest() + final).digest()[:_LENGTH], "big") % _P)
    return found


def on_curve(points: Bytes) -> NDArray[np.bool_]:
    """Return which x-coordinates are reduced, not zero, and of the curve instead of its twist."""
    raw, whole, jacobi = points.tobytes(), gmpy2.mpz.from_bytes, gmpy2.jacobi
    found = []
    for at in range(0, len(raw), POINT):
        x = whole(raw[at : at + POINT], "little")
        found.append(x < _P and jacobi(x * (x * (x + _J) + 1) % _P, _P) == 1)
    return np.array(found, dtype=bool)


def require_on_curve(points: Bytes) -> Bytes:
    """Return points that came from others, all of them good.

    Raises:
        LinkBroken: one is not (`on_curve`). Which one is not said.
    """
    if not on_curve(points).all():
        raise LinkBroken("points for matching came that do not lie on the curve", "match")
    return points


def _in_pieces(rows: Bytes, work: Callable[[Bytes], Bytes]) -> Bytes:
    """Do the work on some rows at a time: as an object of Python a row takes three times its bytes and more."""
    found = np.empty((len(rows), POINT), dtype=np.uint8)
    for start in range(0, len(rows), _ROWS):
        found[start : start + _ROWS] = work(rows[start : start + _ROWS])
    return found


def _mapped(u: gmpy2.mpz) -> gmpy2.mpz:
    """Return the x-coordinate that Elligator 2 gives to u (RFC 9380, section 6.7.1, with Z = 2).

    With d = 1 + 2u² the candidate is x1 = −J/d, and x1³ + J·x1² + x1 is J·(J²·(d − 1) − d²)/d³: a square if and only
    if its product with d⁴ is, which needs no inversion. d is never zero, because −1/2 is no square modulo p.
    """
    d = 1 + 2 * u * u % _P
    candidate = -_J * gmpy2.invert(d, _P) % _P
    if gmpy2.jacobi(_J * (_J * _J * (d - 1) - d * d) % _P * d % _P, _P) >= 0:
        return candidate
    return (-candidate - _J) % _P
