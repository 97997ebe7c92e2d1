"""The real images in real boxes: what data scientists expect works behind the walls, and no more than that is there."""

from __future__ import annotations

import asyncio
import json
import os
import textwrap
from pathlib import Path
from typing import Any

import pytest

from plans.box import BoxSpec, Entry, Limits
from plans.decision import Tier
from sandbox import images, recipes
from sandbox.boxes import BubblewrapBoxes
from sandbox.contract import Cause
from sandbox.gvisor import GvisorBoxes
from sandbox.identities import Identities
from sandbox.images import Image, pruning

pytestmark = [pytest.mark.box, pytest.mark.timeout(600)]

LIMITS = Limits(
    memory_mb=2048,
    temp_mb=64,
    spill_mb=0,
    output_mb=4,
    cpu_s=120,
    wall_s=240,
    processes=64,
    files=256,
    cpus=2,
)

START = """
import json, os, sys
sys.path.insert(0, "/box")
told = {}
def attempt(name, function):
    try:
        told[name] = function()
    except BaseException as problem:
        told[name] = f"{type(problem).__name__}: {problem}"
"""
END = "\nsys.stdout.write(json.dumps(told))\n"

SCIENCE = """
import numpy as np, pandas as pd, pyarrow as pa, pyarrow.compute, pyarrow.parquet, duckdb, sklearn, scipy.stats
import datetime, getpass, zoneinfo
os.environ.update(PYTHONPATH="/box", LOKY_MAX_CPU_COUNT="2")  # joblib's processes look for packages there
frame = pd.DataFrame({"x": np.arange(200.0), "y": np.arange(200.0) * 2 + 1, "g": [0, 1] * 100})

def parquet():
    frame.to_parquet("/tmp/frame.parquet")
    total = duckdb.sql("select sum(x)::bigint from '/tmp/frame.parquet'").fetchone()[0]
    return total, len(pd.read_parquet("/tmp/frame.parquet"))

def formula():
    import statsmodels.formula.api as smf
    return round(float(smf.ols("y ~ x", frame).fit().params["x"]), 3)

def forest():
    from sklearn.ensemble import RandomForestClassifier
    forest, columns = RandomForestClassifier(10, n_jobs=2, random_state=0), frame[["x", "y", "g"]]
    return forest.fit(columns, frame.g).score(columns, frame.g)

def boosting():
    from sklearn.ensemble import HistGradientBoostingClassifier
    return HistGradientBoostingClassifier(max_iter=5).fit(frame[["g", "x"]], frame.g).score(frame[["g", "x"]], frame.g)

def figure():
    import matplotlib.pyplot as plt
    plt.plot([1, 2])
    plt.savefig("/tmp/figure.png")
    return os.path.getsize("/tmp/figure.png") > 1000

def workers(kind):
    import multiprocessing
    with multiprocessing.get_context(kind).Pool(2) as pool:
        return pool.map(abs, [-1, -2])

def loky():
    from joblib import Parallel, delayed
    return Parallel(n_jobs=2)(delayed(abs)(number) for number in (-1, -2))

attempt("product of matrices", lambda: float((np.ones((300, 300)) @ np.ones((300, 300)))[0, 0]))
attempt("parquet and duckdb", parquet)
attempt("duckdb over a frame", lambda: duckdb.sql("select count(*) from frame").fetchone()[0])
attempt("formula", formula)
attempt("forest in threads", forest)
attempt("boosting with OpenMP", boosting)
attempt("distribution", lambda: round(float(scipy.stats.norm.cdf(0)), 3))
attempt("figure", figure)
attempt("processes by fork", lambda: workers("fork"))
attempt("processes by spawn", lambda: workers("spawn"))
attempt("joblib", loky)
attempt("who and where", lambda: [getpass.getuser(), os.path.expanduser("~")])

def python_zone():
    return datetime.datetime(2026, 7, 1, tzinfo=zoneinfo.ZoneInfo("Asia/Shanghai")).isoformat()

def pandas_zone():
    return str(pd.Timestamp("2026-07-01", tz="UTC").tz_convert("Asia/Shanghai"))

def arrow_zone():
    return pa.compute.strftime(pa.array([0], pa.timestamp("s", "Asia/Shanghai")), "%H %Z")[0].as_py()

def duckdb_zone():
    return str(duckdb.sql("select '2026-07-01 00:00:00+00'::timestamptz at time zone 'Asia/Shanghai'").fetchone()[0])

attempt("time zone of Python", python_zone)
attempt("time zone of pandas", pandas_zone)
attempt("time zone of arrow", arrow_zone)
attempt("time zone of duckdb", duckdb_zone)
"""
SCIENCE_WORKS = {
    "product of matrices": 300.0,
    "parquet and duckdb": [19900, 200],
    "duckdb over a frame": 200,
    "formula": 2.0,
    "forest in threads": 1.0,
    "boosting with OpenMP": 1.0,
    "distribution": 0.5,
    "figure": True,
    "processes by fork": [1, 2],
    "processes by spawn": [1, 2],
    "joblib": [1, 2],
    "time zone of Python": "2026-07-01T00:00:00+08:00",
    "time zone of pandas": "2026-07-01 08:00:00+08:00",
    "time zone of arrow": "08 CST",
    "time zone of duckdb": "2026-07-01 08:00:00",
}

COMPILED = """
import numpy, pandas, sklearn.linear_model, scipy.stats, pyarrow, duckdb, statsmodels.api, matplotlib.pyplot
import keys.sealing, plans.box
def uncompiled():
    found = []
    for name, module in list(sys.modules.items()):
        file, cached = getattr(module, "__file__", None) or "", getattr(module, "__cached__", None) or ""
        frozen = getattr(getattr(module, "__spec__", None), "origin", "frozen") == "frozen"
        if file.startswith(("/box/", "/python/")) and file.endswith(".py") and not frozen:
            if not os.path.exists(cached) or open(cached, "rb").read(8)[4:] != bytes([1, 0, 0, 0]):
                found.append(name)
    return found
attempt("uncompiled", uncompiled)
attempt("modules", lambda: len(sys.modules))
"""


def run(
    boxes: BubblewrapBoxes | GvisorBoxes, image: Image, code: str, tier: Tier = Tier.T1
) -> dict[str, Any]:
    """Run Python in a box and return what it noted in `told`."""

    async def whole() -> bytes:
        box = boxes.unsafe_create(
            BoxSpec(Entry.PYTHON, image.digest, (), LIMITS, tier), {}, ("-c", START + code + END)
        )
        conversation = await box.start()
        said = await conversation.from_box.read()
        ending = await box.wait()
        await box.destroy()
        assert ending.status == 0, ending
        return said

    return json.loads(asyncio.run(whole()).splitlines()[-1])


@pytest.fixture
def real_boxes(open_home: Path) -> BubblewrapBoxes:
    """T1 boxes with user ids of their own: whatever has them is killed when a box ends, so tests share none."""
    return BubblewrapBoxes(open_home, recipes.images_folder(), Identities(64021, 8))


@pytest.fixture
def gvisor_boxes(gvisor_boxes: GvisorBoxes, open_home: Path) -> GvisorBoxes:
    """The same for T2, where the machine has it."""
    return GvisorBoxes(open_home, recipes.images_folder(), Identities(64031, 8))


def built(name: str) -> Image:
    return images.build(recipes.CHECKOUT / "images" / name)


@pytest.fixture(scope="module")
def python() -> Image:
    """The image of members' code; set-up has built it."""
    return built("python")


def test_what_data_scientists_expect_works_behind_the_walls_of_t1(
    real_boxes: BubblewrapBoxes, python: Image
) -> None:
    told = run(real_boxes, python, SCIENCE)
    assert told.pop("who and where") == ["box", "/tmp"]
    assert told == SCIENCE_WORKS


@pytest.mark.long
def test_what_data_scientists_expect_works_in_t2(gvisor_boxes: GvisorBoxes, python: Image) -> None:
    told = run(gvisor_boxes, python, SCIENCE, Tier.T2)
    assert told.pop("who and where") in (["root", "/tmp"], ["box", "/tmp"])
    assert told == SCIENCE_WORKS


def test_every_module_is_loaded_from_byte_code_compiled_beforehand(
    real_boxes: BubblewrapBoxes, python: Image
) -> None:
    """A box cannot write byte code, so a module without it would be compiled at every start."""
    told = run(real_boxes, python, COMPILED)
    assert told["uncompiled"] == [] and told["modules"] > 1000


def test_there_is_no_shell_no_installer_no_compiler_and_no_network_library() -> None:
    for name in ("sql", "python"):
        files = [path for path in built(name).root.rglob("*") if not path.is_dir()]
        assert [path.name for path in files if os.access(path, os.X_OK) and path.parent.name == "bin"] == [
            "python3"
        ]
        names = {path.name for path in files}
        assert not names & {
            "sh",
            "bash",
            "dash",
            "busybox",
            "gcc",
            "cc",
            "ld",
            "as",
            "tcc",
            "make",
            "env",
            "perl",
        }
        packages = {path.name for path in (built(name).root / "box").iterdir()}
        assert not packages & {
            "pip",
            "uv",
            "setuptools",
            "wheel",
            "Cython",
            "requests",
            "httpx",
            "aiohttp",
            "ray",
        }
        assert not [name for name in names if name.startswith(("libarrow_flight", "libarrow_s3"))]


def test_an_image_with_a_running_box_is_not_pruned(real_boxes: BubblewrapBoxes, probe_image: Image) -> None:
    """Also when the launcher that held it is gone: the box's own mount shows it."""

    async def look() -> tuple[bool, bool]:
        spec = BoxSpec(Entry.CHECK, probe_image.digest, (), LIMITS, Tier.T1)
        box = real_boxes.unsafe_create(spec, {}, ("-c", "input()"))
        await box.start()
        running = pruning._mounted(probe_image.root.parent)
        await box.kill(Cause.CANCELLED)
        await box.destroy()
        return running, pruning._mounted(probe_image.root.parent)

    assert asyncio.run(look()) == (True, False)


# ------------------------------------------------------------------------- images that set-up does not build


@pytest.mark.long
def test_the_notebooks_image_holds_every_byte_of_the_jobs_and_runs_a_notebook(
    real_boxes: BubblewrapBoxes, python: Image
) -> None:
    notebook = built("notebook")
    assert images.contains(notebook, python) and images.origin(notebook) == python.digest
    assert not images.contains(notebook, built("sql"))  # the control
    images.verify(notebook)
    code = """
    os.environ["JUPYTER_PATH"] = "/box/share/jupyter"
    import jupyterlab.labapp, jupyterhub.singleuser.extension, ipykernel.kernelapp
    from IPython.core.interactiveshell import InteractiveShell
    sys.stdout, out = open(os.devnull, "w"), sys.stdout
    cell = InteractiveShell.instance().run_cell("import pandas as pd; int(pd.DataFrame({'a': [1, 2]}).a.sum())")
    sys.stdout = out
    told["cell"] = cell.result
    told["pages"] = os.path.exists("/box/share/jupyter/lab/static/index.html")
    told["built on"] = open("/etc/built-on").read().strip()
    """
    told = run(real_boxes, notebook, textwrap.dedent(code))
    assert told == {"cell": 3, "pages": True, "built on": python.digest}


@pytest.mark.long
def test_sums_of_ciphertexts_work_in_the_image_of_joint_computations(real_boxes: BubblewrapBoxes) -> None:
    code = """
    import duckdb, numpy, tenseal
    context = tenseal.context(tenseal.SCHEME_TYPE.BFV, poly_modulus_degree=4096, plain_modulus=1032193)
    vector = tenseal.bfv_vector(context, [1, 2, 3])
    told["sum"] = (vector + vector).decrypt()
    """
    assert run(real_boxes, built("crypto"), textwrap.dedent(code)) == {"sum": [2, 4, 6]}


@pytest.mark.long
def test_long_lists_of_points_are_raised_behind_the_walls_by_what_is_compiled_there(
    real_boxes: BubblewrapBoxes,
) -> None:
    code = """
    import numpy
    from keys.exchange import Exponent
    from keys.exchange_pool import WORTH_COMPILING, ExchangePool
    rows = numpy.frombuffer(os.urandom(16 * 2000), dtype=numpy.uint8).reshape(-1, 16)
    exponent = Exponent(os.urandom(32))
    with ExchangePool(exponent, 2, WORTH_COMPILING) as pool:
        points = pool.of_identifiers(rows, b"tag")
    told["equal"] = bool((points == exponent.of_identifiers(rows, b"tag")).all())
    told["compiled"] = "numba" in sys.modules
    """
    assert run(real_boxes, built("crypto"), textwrap.dedent(code)) == {"equal": True, "compiled": True}


def test_words_for_people_make_no_other_image_but_the_one_that_shows_them() -> None:
    """Owners trust images by their digest; a better word in Chinese must not ask for that again."""
    held = {}
    for name in ("sql", "python", "components", "inspect", "crypto", "notebook"):
        recipe = recipes.read_recipe(recipes.CHECKOUT / "images" / name)
        held[name] = {place for place, _ in recipe.sources if place.startswith("plans/")}
    assert [name for name, places in held.items() if "plans/chinese.po" in places] == ["notebook"]
    assert all("plans/errors.py" in places for places in held.values()), "the control"
    assert held["notebook"] == held["python"] | {"plans/chinese.py", "plans/chinese.po"}


def test_every_recipe_of_the_checkout_is_well_formed_and_holds_only_what_boxes_need() -> None:
    folders = sorted(path.parent for path in (recipes.CHECKOUT / "images").glob("*/image.toml"))
    assert [folder.name for folder in folders] == [
        "components",
        "crypto",
        "inspect",
        "notebook",
        "python",
        "sql",
    ]
    for folder in folders:
        recipe = recipes.read_recipe(folder)
        assert recipe.name == folder.name
        rooms = {Path(place).parts[0] for place, _ in recipe.sources}
        own = {"client", "darkroom_lab", "bin", "share", "strong"} if recipe.name == "notebook" else set()
        shared = {"plans", "keys", "inside", "policies", "airlock", "components", "mpc", "darkroom.py"}
        assert own <= rooms <= shared | own
