"""Graphs: how large connected parts are, how many links nodes have, and how central few of them are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from components.description import Component, Offer, Parameter, Part, Sort
from plans.artifacts import Artifact, Form

if TYPE_CHECKING:
    import numpy as np

    from components.evidence import Evidence
    from components.rows import Rows

COMPONENT = Component(
    name="graph-components",
    title="Graph components and centrality",
    title_zh="图的连通分量与中心性",
    purpose="Each row is a link between two nodes. How many connected parts of which size there are, how many nodes"
    " with how many links, and how much of the centrality (PageRank) the most central nodes hold.",
    purpose_zh="每行为两个节点之间的一条边。输出各规模连通分量的个数、各度数段的节点数、最中心节点所占的中心性（P"
    "ageRank）份额。",
    tables=("links",),
    parameters=(
        Parameter(
            name="source", sort=Sort.COLUMN, part=Part.FEATURE,
            meaning="the column of nodes where links begin", meaning_zh="边的起点列",
        ),
        Parameter(
            name="target", sort=Sort.COLUMN, part=Part.FEATURE,
            meaning="the column of nodes where links end", meaning_zh="边的终点列",
        ),
    ),
    outputs=(
        Offer(
            Artifact("components.csv", Form.TABLE, persons="persons"), "a row for each band of sizes", "每个规模段一行"
        ),
        Offer(
            Artifact("degrees.csv", Form.TABLE, persons="persons"), "a row for each band of links", "每个度数段一行"
        ),
        Offer(
            Artifact("centrality.csv", Form.TABLE, persons="persons"),
            "a row for each share of nodes, the most central first", "每个节点份额一行，最中心的在前",
        ),
    ),
    rules=("small-group", "dominance", "rounding"),
    disclosure="Neither nodes nor links leave. A band counts the persons whose links are in it, and does not appear if"
    " they are fewer than a group, however many nodes or links they have.",
    disclosure_zh="不输出节点和边。每段按其中各边所属的人计数，人数不足则不出现，不论节点或边有多少。",
    example={"source": "payer", "target": "payee"},
)  # fmt: skip

SIZES = (2, 3, 6, 11, 51, 501)
DEGREES = (1, 2, 3, 6, 11, 51)
"""Where bands of nodes in a part, and of links of a node, begin."""

SHARES = (0.01, 0.1, 1.0)


def run(tables: Sequence[Rows], values: Mapping[str, Any], evidence: Evidence) -> dict[str, bytes]:
    """Return the three tables."""
    import numpy as np
    import rustworkx as rx

    from components.rows import complete

    rows = complete(tables[0], (), (values["source"], values["target"]))
    ends = [rows.words(values[end]) for end in ("source", "target")]
    nodes, place = np.unique(np.concatenate(ends).astype(str), return_inverse=True)
    source, target = place[: len(rows)], place[len(rows) :]
    links = np.unique(np.stack([source, target], axis=1), axis=0)
    links = links[links[:, 0] != links[:, 1]]
    graph = rx.PyDiGraph(multigraph=False)
    graph.add_nodes_from(range(len(nodes)))
    graph.add_edges_from_no_data([(int(a), int(b)) for a, b in links])
    part, size = np.zeros(len(nodes), np.int64), []
    for number, members in enumerate(rx.weakly_connected_components(graph)):
        part[list(members)] = number
        size.append(len(members))
    neighbours = np.unique(np.sort(links, axis=1), axis=0)
    degree = np.bincount(neighbours.ravel(), minlength=len(nodes))
    rank = rx.pagerank(graph)
    weight = np.array([rank[node] for node in range(len(nodes))])
    touched = (source, target)
    sizes, degrees = _band(np.array(size), SIZES), _band(degree, DEGREES)
    return {
        "components.csv": _bands(
            "components.csv", (rows, touched, sizes[part], evidence), ("size", _called(SIZES)),
            {"parts": _counted(sizes, len(SIZES))},
        ),
        "degrees.csv": _bands(
            "degrees.csv", (rows, touched, degrees, evidence), ("links", _called(DEGREES)),
            {"nodes": _counted(degrees, len(DEGREES))},
        ),
        "centrality.csv": _bands(
            "centrality.csv", (rows, touched, _shares(weight), evidence),
            ("nodes", [f"most central {share:.0%}" for share in SHARES]),
            {"centrality": np.bincount(_shares(weight), weight, len(SHARES))},
        ),
    }  # fmt: skip


def _band(amounts: np.ndarray, starts: tuple[int, ...]) -> np.ndarray:
    """Return the band of each amount, -1 below the first."""
    import numpy as np

    return np.searchsorted(np.array(starts), amounts, side="right") - 1


def _counted(bands: np.ndarray, count: int) -> np.ndarray:
    """Return how many are in each band; what is below the first is in none."""
    import numpy as np

    return np.bincount(bands + 1, minlength=count + 1)[1:]


def _called(starts: tuple[int, ...]) -> list[str]:
    ends = [*(after - 1 for after in starts[1:]), None]
    return [
        f"{low} or more" if high is None else str(low) if low == high else f"{low} to {high}"
        for low, high in zip(starts, ends, strict=True)
    ]


def _shares(weight: np.ndarray) -> np.ndarray:
    """Return in which share of nodes, the weightiest first, each node is: the first one that it fits into."""
    import numpy as np

    place = np.empty(len(weight), np.int64)
    place[np.argsort(-weight, kind="stable")] = np.arange(len(weight))
    return np.searchsorted(np.array(SHARES), (place + 1) / len(weight), side="left")


def _bands(
    name: str,
    where: tuple[Rows, tuple[np.ndarray, np.ndarray], np.ndarray, Evidence],
    keys: tuple[str, list[str]],
    figures: Mapping[str, np.ndarray],
) -> bytes:
    """Return a table of bands of nodes; the persons of a band are those of the links that touch its nodes."""
    import numpy as np

    from components.evidence import COUNT, OTHER, Cells, Figure

    rows, touched, band, evidence = where
    pairs = np.unique(
        np.concatenate([np.stack([band[end], np.arange(len(rows))], axis=1) for end in touched]), axis=0
    )
    cells = Cells.of(rows, pairs[:, 0], len(keys[1]), pairs[:, 1])
    weighed = cells.largest(np.ones(len(rows)))
    shown = {
        title: Figure(COUNT if values.dtype.kind in "iu" else OTHER, values, weighed)
        for title, values in figures.items()
    }
    return evidence.table(name, {keys[0]: keys[1]}, cells, shown)
