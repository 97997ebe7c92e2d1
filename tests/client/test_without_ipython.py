"""IPython is no dependency: everything but the extension works without it, and importing the client imports little."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

WITHOUT = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("IPython", "ipykernel", "traitlets"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Missing())
import darkroom
from darkroom import advice, comfort, completion, display_draw, magic, tracebacks, unlocking
from darkroom.listing import Datasets, Grants
from plans.errors import PolicyDenied

assert "nm/tax/income" in repr(Datasets([{"dataset": "nm/tax/income"}])._repr_mimebundle_())
assert Grants()._repr_mimebundle_()["text/html"]
assert not unlocking.in_notebook()
assert magic.options("--on twin select 1")[1] == "select 1"
assert completion.words_at("sel")
darkroom.short_tracebacks()
raise PolicyDenied("no grant fits", "decision")
"""

LITTLE = """
import sys, darkroom
heavy = {"IPython", "httpx", "cryptography", "pyarrow", "pandas", "rich", "typer", "duckdb", "asyncio"}
print(sorted(heavy & set(sys.modules)))
"""


def run(program: str) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": f"{ROOT / 'client'}:{ROOT}", "PATH": "/usr/bin:/bin", "DARKROOM_LANG": "zh"}
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, env=environment
    )


def test_everything_works_without_ipython() -> None:
    ended = run(WITHOUT)
    assert ended.returncode == 1 and "policy.denied" in ended.stderr and "数据方的策略不允许" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_importing_the_client_imports_nothing_heavy() -> None:
    assert run(LITTLE).stdout.strip() == "[]"
