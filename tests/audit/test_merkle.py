"""The tree is RFC 6962's: published vectors, the definition written out, and proofs that fit nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit import merkle
from plans.errors import LogBroken

VECTORS = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "rfc6962_vectors.jsonl"


def by_definition(leaves: list[bytes]) -> bytes:
    """MTH as section 2.1 writes it, over leaf hashes."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + by_definition(leaves[:k]) + by_definition(leaves[k:])).digest()


def leaves(count: int) -> list[bytes]:
    return [merkle.leaf_hash(str(n).encode()) for n in range(count)]


def node_of(all_leaves: list[bytes]) -> merkle.NodeOf:
    return lambda first, end: by_definition(all_leaves[first:end])


def decoded(text: str | None) -> bytes:
    return base64.b64decode(text or "")


CERTIFICATE_TRANSPARENCY = (
    ("", "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
    ("00", "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
    ("10", "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
    ("2021", "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"),
    ("3031", "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"),
    ("40414243", "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef"),
    ("5051525354555657", "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"),
    ("606162636465666768696a6b6c6d6e6f", "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
)
"""The leaves of the tree that implementations of RFC 6962 test themselves with, and its root after each."""


def test_roots_are_those_of_the_tree_that_all_implementations_know() -> None:
    hashes: list[bytes] = []
    for leaf, root in CERTIFICATE_TRANSPARENCY:
        hashes.append(merkle.leaf_hash(bytes.fromhex(leaf)))
        found = merkle.root_of_peaks(merkle.peaks(merkle.levels(hashes), len(hashes)))
        assert found.hex() == by_definition(hashes).hex() == root


@pytest.mark.skipif(not VECTORS.exists(), reason="the published vectors are not on this machine")
def test_published_vectors_are_accepted_and_refused_as_they_say() -> None:
    told = {True: 0, False: 0}
    for line in VECTORS.read_text().splitlines():
        case = json.loads(line)
        proof = [decoded(each) for each in case["proof"] or []]
        try:
            if "leafIdx" in case:
                merkle.verify_inclusion(
                    decoded(case["leafHash"]), case["leafIdx"], case["treeSize"], proof, decoded(case["root"])
                )
            else:
                roots = decoded(case["root1"]), decoded(case["root2"])
                merkle.verify_consistency(case["size1"], case["size2"], *roots, proof)
            refused = False
        except LogBroken:
            refused = True
        assert refused == case["wantErr"], case["name"]
        told[refused] += 1
    assert min(told.values()) > 10


def test_an_entry_and_a_node_cannot_be_mistaken_for_each_other() -> None:
    left, right = leaves(2)
    assert merkle.leaf_hash(left + right) != merkle.node_hash(left, right)
    assert merkle.leaf_hash(b"\x01" + left + right) != merkle.node_hash(left, right)
    assert by_definition([]) == merkle.EMPTY_ROOT


@given(st.integers(0, 70), st.integers(0, 70))
def test_frontier_levels_and_growth_give_the_roots_of_the_definition(first: int, more: int) -> None:
    every = leaves(first + more)
    frontier = merkle.Frontier()
    for leaf in every:
        frontier.push(leaf)
    rows = merkle.levels(every[:first])
    merkle.grow(rows, every[first:])
    assert rows == merkle.levels(every)
    assert frontier.size == len(every)
    for size in range(len(every) + 1):
        assert merkle.root_of_peaks(merkle.peaks(rows, size)) == by_definition(every[:size])
    assert frontier.root() == by_definition(every)


@given(st.integers(1, 70), st.data())
def test_every_entry_is_proved_and_nothing_else_is(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    every = leaves(size)
    root, proof = by_definition(every), merkle.inclusion_proof(index, size, node_of(every))
    merkle.verify_inclusion(every[index], index, size, proof, root)
    other = data.draw(st.integers(0, size - 1).filter(lambda n: n != index)) if size > 1 else None
    wrong = [(merkle.leaf_hash(b"x"), index, proof), (every[index], index, [*proof, root])]
    wrong += [(every[index], other, proof), (every[index], index, proof[1:])] if other is not None else []
    for leaf, place, path in wrong:
        with pytest.raises(LogBroken):
            merkle.verify_inclusion(leaf, place, size, path, root)


@given(st.integers(0, 70), st.integers(0, 70), st.data())
def test_a_longer_log_is_proved_to_continue_a_shorter_one(one: int, two: int, data: st.DataObject) -> None:
    older, newer = sorted((one, two))
    every = leaves(newer)
    roots = by_definition(every[:older]), by_definition(every)
    proof = merkle.consistency_proof(older, newer, node_of(every))
    if older == 0:
        assert proof == []  # there is nothing to prove, and no proof of it is accepted
        return
    merkle.verify_consistency(older, newer, *roots, proof)
    place = data.draw(st.integers(0, older - 1))
    rewritten = [*every[:place], merkle.leaf_hash(b"x"), *every[place + 1 :]]
    path = merkle.consistency_proof(older, newer, node_of(rewritten))
    with pytest.raises(LogBroken):
        merkle.verify_consistency(older, newer, roots[0], by_definition(rewritten), path)


def test_a_log_cannot_be_shown_to_shrink() -> None:
    with pytest.raises(LogBroken):
        merkle.verify_consistency(5, 4, by_definition(leaves(5)), by_definition(leaves(4)), [])
