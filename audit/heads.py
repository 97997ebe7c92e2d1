"""Signed heads, and the witnesses that sign them too.

A head says: the log of this name has this many events under this root. The centre signs heads with the log's
key; every keeper is a witness and signs the same head, but only if it continues the last one that this keeper
saw. A centre that rewrites the past, or shows two pasts to two witnesses, has then signed two heads that no
proof can join: whoever holds both holds the evidence (`contradict`), and nothing that the centre's key can
sign makes it go away.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from audit import merkle
from keys import api as keys
from plans.errors import EvidenceBroken, LogBroken, Malformed, Outdated, SignatureWrong
from plans.statements import Duty, Head, Signed, Statement, Type

CLOCK_TOLERANCE_S = 300
"""How far the clocks of log and witness may be apart."""


def sign_head(head: Head, key: keys.SigningKey) -> Signed:
    """Return a head as the log's statement; `head.log` is also the domain in whose name it is made."""
    return keys.sign(keys.Draft(Type.HEAD, head.log, Duty.CENTRE, head, head.size, head.made_at), key)


def cosign(head: Head, domain: str, key: keys.SigningKey) -> Signed:
    """Return a head as a witness's statement. Call it only with what `witness` has accepted."""
    return keys.sign(keys.Draft(Type.HEAD, domain, Duty.KEEPER, head, head.size, head.made_at), key)


def parse(line: bytes) -> Signed:
    """Return the signed head of one line of a log's files, its signature unchecked.

    Raises:
        LogBroken: the line is not one.
    """
    try:
        return Signed.decode(line)
    except Malformed:
        raise LogBroken("a line among the heads was changed", "heads") from None


def read_head(signed: Signed, signer: str, duty: Duty) -> Head:
    """Return the head of a statement if `signer` signed it in this duty.

    Raises:
        SignatureWrong: another signer, another duty, or the signature does not hold.
        EvidenceBroken: the statement is no head.
    """
    statement: Statement = keys.verify(signed)
    if statement.signer != signer or statement.duty is not duty:
        raise SignatureWrong("this head is not signed by the key that it should be", "head")
    if statement.type is not Type.HEAD:
        raise EvidenceBroken("this statement is no head of a log", "head")
    try:
        head = Head.read(dict(statement.body))
        bytes.fromhex(head.root)
    except (Malformed, ValueError):
        raise EvidenceBroken("this statement is no head of a log", "head") from None
    if head.size < 0 or len(head.root) != 2 * merkle.HASH_BYTES:
        raise EvidenceBroken("this statement is no head of a log", "head")
    return head


def witness(last: Head | None, offered: Signed, proof: Sequence[str], log_key: str, now: int) -> Head:
    """Return the head that a witness may sign and must then remember.

    Args:
        last: the head that this witness signed last; none at the first meeting, when there is nothing to
            compare with.
        offered: the log's newest head.
        proof: hashes in hex that show that `offered` only added to `last` (`Log.consistency`).
        log_key: the log's public key, enrolled out of band.
        now: the witness's own clock, in Unix seconds.

    Raises:
        SignatureWrong: the head is not the log's.
        LogBroken: the log is another one, became smaller or was rewritten.
        Outdated: the head is made at another time than the witness's clock shows.
    """
    head = read_head(offered, log_key, Duty.CENTRE)
    if abs(now - head.made_at) > CLOCK_TOLERANCE_S:
        raise Outdated(
            "the head's time and the witness's clock are too far apart",
            "head",
            "Set both clocks, then offer a new head.",
        )
    if last is not None:
        _continues(last, head, proof)
    return head


def contradict(first: Head, second: Head, proof: Sequence[str] = ()) -> bool:
    """Return whether two heads of one log cannot both be true, given the proof that should join them.

    Two heads of one size need no proof. The heads come from `read_head`: a forged one would accuse an honest
    log.
    """
    older, newer = sorted((first, second), key=lambda head: head.size)
    try:
        _joined(older, newer, proof)
    except LogBroken:
        return True
    return False


def find_fork(heads: Iterable[Head]) -> tuple[Head, Head] | None:
    """Return two heads of the same size with different roots, or none. Witnesses compare what they saw with
    it.
    """
    seen: dict[tuple[str, int], Head] = {}
    for head in heads:
        other = seen.setdefault((head.log, head.size), head)
        if other.root != head.root:
            return other, head
    return None


def _continues(last: Head, head: Head, proof: Sequence[str]) -> None:
    if head.log != last.log:
        raise LogBroken("this is the head of another log", "head")
    if head.size < last.size:
        raise LogBroken("the log became smaller", f"from {last.size} to {head.size} events")
    if head.made_at < last.made_at:
        raise LogBroken("the head is older than the last one", "head")
    _joined(last, head, proof)


def _joined(older: Head, newer: Head, proof: Sequence[str]) -> None:
    try:
        path = [bytes.fromhex(each) for each in proof]
    except ValueError:
        raise LogBroken("this is no proof of consistency", "head") from None
    roots = bytes.fromhex(older.root), bytes.fromhex(newer.root)
    if older.size == 0 and roots[0] == merkle.EMPTY_ROOT and not path:
        return  # everything continues the empty log: there is nothing to prove
    merkle.verify_consistency(older.size, newer.size, *roots, path)
