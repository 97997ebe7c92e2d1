"""Certificates, graphs and linkage: what leaves counts persons, and no text, node or pair of the data is in it."""

from __future__ import annotations

import base64
from functools import cache

import numpy as np
import pyarrow as pa
import pytest

from components.errors import NoFit
from components.library import certificate_reading
from examples.components import drawn
from plans.errors import Malformed
from tests.components.cases import OFF, run, table

# --- certificates: reading one takes a second, so few are drawn, and each is held by many persons ------------


@pytest.fixture(scope="module")
def pictures() -> tuple[str, str]:
    return drawn("LICENCE", "No. 9115X"), drawn("Date: 2024")


def test_fields_are_found_on_pictures_and_counted_by_person(
    pictures: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, engine = certificate_reading._read, certificate_reading._engine()
    monkeypatch.setattr(certificate_reading, "_read", cache(lambda _, picture: reading(engine, picture)))
    monkeypatch.setattr(certificate_reading, "_engine", lambda: None)
    who = [*range(12), *range(20, 25), *([25] * 30)]
    data = table(who, picture=[pictures[0]] * 12 + [pictures[1]] * 35)
    asked = {"picture": "picture", "fields": ["licence", "date"]}
    left = run("certificate-reading", data, **asked)
    # the date stands on thirty pictures of one person and on those of five others
    assert left.keyed("fields.csv", "field", "persons") == {"licence": 12}
    assert (
        run("certificate-reading", data, rules=OFF, **asked).keyed("fields.csv", "field", "persons")["date"]
        == 6
    )
    assert b"9115" not in b"".join(left.work.files.values())
    assert sum(left.column("reading.csv", "persons")) == 18


@pytest.mark.parametrize("field", ["9115", "No. 9115X", "x"])
def test_numbers_of_persons_cannot_be_looked_for(field: str) -> None:
    with pytest.raises(Malformed, match="Name a field"):
        run("certificate-reading", table([1], picture=["x"]), picture="picture", fields=[field])


def test_what_is_no_picture_is_one_that_cannot_be_read() -> None:
    huge = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (60_000).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0" + b"\0" * 40
    for content in ("no base64!", base64.b64encode(b"<svg/>").decode(), b"GIF89a", b"", huge):
        assert certificate_reading._pixels(content) is None
    assert certificate_reading._pixels(drawn("x")).shape[2] == 3  # type: ignore[union-attr]


# --- graphs -------------------------------------------------------------------------------------------------


def chain(links: int, first: int = 0) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(first, first + links), np.arange(first + 1, first + links + 1)


def test_parts_and_links_are_those_that_are_there() -> None:
    """Twenty parts of three nodes, in which two persons own a link each, and one part of thirty-one."""
    ends = [chain(2, 100 * n) for n in range(1, 21)] + [chain(30, 10_000)]
    source, target = (np.concatenate(each) for each in zip(*ends, strict=True))
    data = table(range(len(source)), source=source, target=target)
    left = run("graph-components", data, source="source", target="target")
    parts = {row["size"]: (row["parts"], row["persons"]) for row in left.rows("components.csv")}
    assert parts == {"3 to 5": ("20", "40"), "11 to 50": ("1", "30")}
    degrees = {row["links"]: row["nodes"] for row in left.rows("degrees.csv")}
    assert degrees == {"1": "42", "2": "49"}
    assert not {"10000", "100"} & {value for row in left.rows("degrees.csv") for value in row.values()}


def test_centrality_is_that_of_page_and_brin() -> None:
    """The share of a walker who follows links, and begins anew with 15 percent and where there is none to follow."""
    chance = np.random.default_rng(6)
    source, target = chance.integers(0, 60, 300), chance.integers(0, 60, 300)
    nodes, place = np.unique(np.concatenate([source, target]), return_inverse=True)
    ways = np.zeros((len(nodes), len(nodes)))
    ways[place[:300], place[300:]] = 1
    np.fill_diagonal(ways, 0)
    out = ways.sum(axis=1, keepdims=True)
    ways = np.where(out > 0, ways / np.maximum(out, 1), 1 / len(nodes))
    share = np.full(len(nodes), 1 / len(nodes))
    for _ in range(200):
        share = 0.15 / len(nodes) + 0.85 * share @ ways
    found = run(
        "graph-components", table(range(300), source=source, target=target), source="source", target="target"
    )
    most = np.sort(share)[::-1][: len(nodes) // 10].sum()
    shown = found.keyed("centrality.csv", "nodes", "centrality")
    assert shown == pytest.approx({"most central 10%": most, "most central 100%": 1 - most}, rel=1e-3)


def test_a_hub_that_is_one_persons_has_no_band() -> None:
    """One person pays sixty others: without protection the band of the hub says that there is one such node."""
    ring, after = np.arange(100, 200), np.roll(np.arange(100, 200), 1)
    source, target = np.concatenate([ring, np.full(60, 1)]), np.concatenate([after, np.arange(500, 560)])
    data = table(np.concatenate([np.arange(100), np.full(60, 999)]), source=source, target=target)
    asked = {"source": "source", "target": "target"}
    assert "51 or more" not in run("graph-components", data, **asked).keyed("degrees.csv", "links", "nodes")
    control = run("graph-components", data, rules=OFF, **asked)
    assert control.keyed("degrees.csv", "links", "nodes")["51 or more"] == 1


# --- linkage ------------------------------------------------------------------------------------------------

ASKED = {"left": ["name"], "right": ["name"], "left_block": "place", "right_block": "place"}


def named(names: list[str], first: int = 0, place: str = "a") -> pa.Table:
    return table(range(first, first + len(names)), name=names, place=[place] * len(names))


def test_matches_are_counted_by_how_alike_the_best_is() -> None:
    ours = ["abcdefghij"] * 20 + ["abcdefghxy"] * 15 + ["qqqqqqqqqq"] * 12
    left = run("record-linkage", named(ours), named(["abcdefghij"] * 10 + ["zzzz"] * 10, 500), **ASKED)
    assert left.keyed("matches.csv", "likeness", "persons") == {
        "0.99 or above": 20, "0.80 to 0.90": 15, "below 0.70": 12,
    }  # fmt: skip


def test_rows_that_do_not_agree_in_the_block_are_not_compared() -> None:
    left = run("record-linkage", named(["abcdefghij"] * 20), named(["abcdefghij"], 500, place="b"), **ASKED)
    assert left.keyed("matches.csv", "likeness", "persons") == {"no candidate": 20}


def test_a_match_of_few_persons_is_not_there_however_many_rows_they_have() -> None:
    """Whether one person is in the other table must not be asked by a table of that person alone (ATTACKS 74)."""
    who = np.concatenate([np.arange(30), np.full(40, 999)])
    ours = table(who, name=["qqqq"] * 30 + ["abcdefghij"] * 40, place=["a"] * 70)
    theirs = named(["abcdefghij"] * 10 + ["zzzz"] * 10, 500)
    assert set(run("record-linkage", ours, theirs, **ASKED).keyed("matches.csv", "likeness", "persons")) == {
        "below 0.70"
    }
    control = run("record-linkage", ours, theirs, rules=OFF, **ASKED)
    assert control.keyed("matches.csv", "likeness", "persons")["0.99 or above"] == 1


def test_many_who_match_the_same_few_do_not_tell_that_these_are_there() -> None:
    """Twenty persons of the first table have the name of one person of the second."""
    ours, theirs = named(["abcdefghij"] * 20), named(["abcdefghij"] + ["zzzz"] * 20, 500)
    with pytest.raises(NoFit):
        run("record-linkage", ours, theirs, **ASKED)
    control = run("record-linkage", ours, theirs, rules=OFF, **ASKED)
    assert control.keyed("matches.csv", "likeness", "persons") == {"0.99 or above": 20}


def test_lists_of_other_lengths_and_blocks_that_are_too_large_are_refused() -> None:
    with pytest.raises(Malformed, match="another number"):
        run("record-linkage", named(["a"]), named(["a"]), **{**ASKED, "right": ["name", "place"]})
    many = table(np.zeros(20_001, int), name=["a"] * 20_001, place=["a"] * 20_001)
    with pytest.raises(NoFit):
        run("record-linkage", named(["a"] * 20), many, **ASKED)
