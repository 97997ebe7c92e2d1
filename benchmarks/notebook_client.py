"""What the client costs: importing it, and a trivial query on real data from a cell of a lab.

`client.import_ms`: a fresh interpreter that imports it, less one that imports nothing, in turns; medians.
`client.import_lab_ms`: the same in a lab, with the image's interpreter, from a cell.
`client.trivial_sql_ms`: in the lab's kernel, keys open, from `darkroom.sql` to the opened result, of a few hundred
rows; the median of queries with a moment between them, as people read one answer before they ask the next. Each asks
something new, so that none is answered from a record; the first one, which is not counted, opens connections.
"""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

from benchmarks.notebook_starts import fresh
from benchmarks.report import Metric
from tests.e2e import jupyterlab
from tests.e2e.jupyterlab import Notebook
from tests.e2e.labs_town import Guest, LabsTown

IMPORTS, QUERIES = 15, 11
IMPORT_GOAL_MS, QUERY_GOAL_MS = 150, 700
NOTHING, CLIENT = "pass", "import darkroom"

ASK = f"""
import json, time, darkroom
took = []
for number in range({QUERIES} + 1):
    time.sleep(1.5)
    began = time.perf_counter()
    text = f"select league as g{{number}}, count(*) as n from tax.income group by league"
    job = darkroom.sql(text, on="real")
    sent = time.perf_counter()
    assert len(job.result().to_pandas()) == 3
    took.append([1000 * (time.perf_counter() - began), 1000 * (sent - began)])
print("took", json.dumps(took[1:]))
"""
IMPORT = f"""
import json, subprocess, sys, time
took = {{}}
for code in ("{NOTHING}", "{CLIENT}") * 7:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    took.setdefault(code, []).append(1000 * (time.perf_counter() - began))
print("took", json.dumps(took))
"""


def importing() -> Iterator[Metric]:
    """Measure the import outside of labs."""
    took: dict[str, list[float]] = {NOTHING: [], CLIENT: []}
    for _ in range(IMPORTS):
        for code, times in took.items():
            began = time.perf_counter()
            subprocess.run([sys.executable, "-P", "-c", code], check=True, stdin=subprocess.DEVNULL)
            times.append(1000 * (time.perf_counter() - began))
    yield _import_metric("client.import_ms", took, IMPORT_GOAL_MS)


def asking(town: LabsTown, guest: Guest) -> Iterator[Metric]:
    """In the member's lab, which runs: make keys, get a grant, ask; then stop it."""
    fresh(town, guest)
    town.click_start(guest)
    jupyterlab.wait_until_usable(guest.page)
    notebook = guest.lab.new_notebook()
    prepare(town, guest, notebook)
    asked = [tuple(each) for each in _said(notebook, ASK)]
    yield Metric(
        "client.trivial_sql_ms", statistics.median(whole for whole, _ in asked), "ms", at_most=QUERY_GOAL_MS
    )
    yield Metric("client.trivial_sql_most_ms", max(whole for whole, _ in asked), "ms")
    yield Metric("client.trivial_sql.submit_ms", statistics.median(sent for _, sent in asked), "ms")
    yield _import_metric("client.import_lab_ms", _said(notebook, IMPORT))
    town.stop_lab(guest)


def prepare(town: LabsTown, guest: Guest, notebook: Notebook) -> None:
    """Make the member's keys, enrol them, and have the data granted, as in the end-to-end tests."""
    fingerprint = town.make_keys(guest, notebook)
    refused = notebook.run("darkroom.apply('nm/tax/income', ['league', 'income'], until='2030-01-01')")
    (address,) = set(re.findall(rf"{town.portal}/apply\S+", refused.text))
    town.apply(guest, address)
    town.grant(guest, fingerprint)
    told = town.trust_keeper(guest)
    if "Trusted for" not in told:
        raise RuntimeError(f"the keeper is not trusted: {told}")


def _said(notebook: Notebook, code: str) -> object:
    """Run a cell and return the figures that it printed."""
    text = notebook.run(code, patience_s=120).text
    found = re.search(r"^took (.*)$", text, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"the cell measured nothing: {text[-2000:]}")
    return json.loads(found[1])


def _import_metric(name: str, took: dict[str, list[float]], goal: float | None = None) -> Metric:
    bare, whole = statistics.median(took[NOTHING]), statistics.median(took[CLIENT])
    return Metric(name, whole - bare, "ms", at_most=goal, peer=bare, peer_is="the interpreter alone")
