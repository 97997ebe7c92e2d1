"""The house keeps its own rules: lists agree with the disk, modules are readable, nothing is of one machine.

Each check returns what it found wrong, so that the promise can be asserted on the repository and the check
itself can be shown to fail on a planted violation.
"""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CLIENT = tomllib.loads((ROOT / "client" / "pyproject.toml").read_text())
LONGEST_MODULE = 500
NOT_PRODUCT = {
    "tests",
    "benchmarks",
    "examples",
    "docs",
    "tools",
    "deploy",
    "images",
    "locks",
    "client",
    "build",
}
LOCKS = sorted([*ROOT.glob("locks/*.txt"), *ROOT.glob("images/*/lock.txt"), *ROOT.glob("tests/**/lock.txt")])


def packages_on_disk() -> set[str]:
    return {init.parent.name for init in ROOT.glob("*/__init__.py")} - NOT_PRODUCT


def production_modules() -> Iterator[Path]:
    for package in [*sorted(packages_on_disk()), "client/darkroom"]:
        yield from sorted((ROOT / package).rglob("*.py"))


def tracked_files() -> list[Path]:
    """What git keeps or would keep; a tree without git (an unpacked archive) has nothing to compare."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    if listing.returncode != 0:
        pytest.skip("not a git checkout")
    files = (ROOT / name for name in listing.stdout.split("\0") if name)
    return [file for file in files if file.is_file() and not file.is_symlink()]


def read_text(file: Path) -> str:
    """Text of a file; binary files read as empty."""
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


# ------------------------------------------------------------------------------------ lists and the disk


def test_every_package_on_disk_is_packaged_and_nothing_else() -> None:
    included = PYPROJECT["tool"]["setuptools"]["packages"]["find"]["include"]
    names = {name for name in included if not name.endswith(".*")}
    assert names == packages_on_disk()
    assert set(included) == names | {f"{name}.*" for name in names}


def test_import_rules_cover_every_package() -> None:
    roots = set(PYPROJECT["tool"]["importlinter"]["root_packages"])
    assert roots == packages_on_disk() | {"darkroom"}


def test_coverage_measures_every_package() -> None:
    assert set(PYPROJECT["tool"]["coverage"]["run"]["source"]) == packages_on_disk() | {"darkroom"}


def test_the_layers_name_every_package_but_the_boxes_own() -> None:
    layers = contract("direction")["layers"]
    assert set(layers) == packages_on_disk() - {"inside"}
    assert len(layers) == len(set(layers))


def test_the_client_carries_itself_and_the_shared_values_only() -> None:
    assert CLIENT["tool"]["setuptools"]["packages"] == ["darkroom", "plans", "keys"]
    for flat in ("client/darkroom", "plans", "keys"):
        assert not list((ROOT / flat).glob("*/__init__.py")), (
            f"{flat} has folders that the client would not carry"
        )


def test_folders_of_the_client_and_the_platform_have_the_same_version() -> None:
    assert CLIENT["project"]["version"] == PYPROJECT["project"]["version"]
    assert CLIENT["project"]["requires-python"] == PYPROJECT["project"]["requires-python"]


# ---------------------------------------------------------------------------------------- import contracts


def contract(name: str) -> dict:
    return next(entry for entry in PYPROJECT["tool"]["importlinter"]["contracts"] if entry["id"] == name)


def test_each_contract_is_named_by_a_sentence() -> None:
    for entry in PYPROJECT["tool"]["importlinter"]["contracts"]:
        sentence = entry["name"]
        assert sentence[0].isupper() and sentence.endswith(".") and len(sentence.split()) >= 8, entry["id"]


VIOLATIONS = {
    "direction": ("keys/planted.py", "import server\n"),
    "plans-alone": ("plans/planted.py", "import pyarrow\n"),
    "inside-unimported": ("keeper/planted.py", "import inside\n"),
    "inside-little": ("inside/planted.py", "import store\n"),
    "inside-doors": ("inside/planted.py", "import policies.planted\n"),
    "launcher-lean": ("sandbox/planted.py", "import structlog\n"),
    "client-small": ("darkroom/planted.py", "import policies\n"),
    "client-outside": ("portal/planted.py", "import darkroom\n"),
    "components-alone": ("components/planted.py", "import keys\n"),
    "protocols-alone": ("mpc/protocols/planted.py", "import keeper\n"),
    "engines-below": ("mpc/lookup/planted.py", "import mpc.agent\n"),
    "home-of-jupyterhub": ("portal/planted.py", "import tornado\n"),
    "notebooks-outside": ("notebooks/planted.py", "import store\n"),
    "home-of-tenseal": ("mpc/protocols/planted.py", "import tenseal\n"),
    "components-few": ("cluster/planted.py", "import components\n"),
    "home-of-ray": ("compute/planted.py", "import ray\n"),
    "doors-alone": ("policies/reading/planted.py", "import policies.planted\n"),
    "home-of-casbin": ("policies/planted.py", "import casbin\n"),
    "home-of-sqlglot": ("policies/planted.py", "import sqlglot\n"),
    "home-of-the-database": ("audit/planted.py", "from sqlalchemy import text\n"),
    "home-of-http": ("compute/planted.py", "from fastapi import FastAPI\n"),
    "home-of-parsers": ("compute/planted.py", "import safetensors\n"),
    "home-of-cryptography": ("audit/planted.py", "from cryptography.fernet import Fernet\n"),
    "home-of-the-engine": ("compute/planted.py", "import duckdb\n"),
    "home-of-noise": ("airlock/planted.py", "import opendp\n"),
    "home-of-the-terminal": ("compute/planted.py", "import rich\n"),
}


def plant(tree: Path) -> None:
    """Copy the packages to `tree` and break every contract there once."""
    for package in [*packages_on_disk(), "client/darkroom"]:
        shutil.copytree(
            ROOT / package, tree / Path(package).name, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(ROOT / "pyproject.toml", tree)
    (tree / "policies" / "planted.py").write_text('"""A private module."""\n')
    for name, text in VIOLATIONS.values():
        with (tree / name).open("a") as file:
            file.write(text)


def test_every_contract_can_be_broken(tmp_path: Path) -> None:
    """The control of `make imports`: a contract that nothing can break protects nothing."""
    plant(tmp_path)
    command = Path(sys.executable).parent / "lint-imports"
    answer = subprocess.run(
        [command, "--no-logo", "--no-cache"], cwd=tmp_path, capture_output=True, text=True
    )
    told = " ".join(answer.stdout.split())
    assert answer.returncode != 0
    for entry in PYPROJECT["tool"]["importlinter"]["contracts"]:
        assert entry["id"] in VIOLATIONS, f"{entry['id']} has no violation planted in this test"
        assert re.search(re.escape(entry["name"]) + r"(?: \(.*?\))? BROKEN", told), entry["id"]


# Modules beside `api` that other rooms may import: they hold plain rules or values, and say so.
OPEN_DOORS = {
    "policies.reading",
    "mpc.protocols",
    "mpc.encrypted",
    "mpc.lookup",
    "airlock.rules",
    "airlock.outputs",
    "airlock.models",
    "airlock.joint",
    "airlock.private",
    "airlock.secondary",
}
OPEN_PACKAGES = {"plans", "keys"}
COMPOSITION = {"server"}


def private_imports(package: str, source: str) -> list[str]:
    """What a module of `package` imports of another room beside its `api` and its open doors."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            bare = "." not in node.module
            names = [f"{node.module}.{alias.name}" for alias in node.names] if bare else [node.module]
        else:
            continue
        for name in names:
            room, _, rest = name.partition(".")
            closed = packages_on_disk() - OPEN_PACKAGES - {package}
            if (
                room in closed
                and rest.split(".")[0] != "api"
                and ".".join(name.split(".")[:2]) not in OPEN_DOORS
            ):
                found.append(name)
    return found


def test_neighbours_come_in_by_the_api() -> None:
    found = {}
    for path in production_modules():
        package = path.relative_to(ROOT).parts[0]
        if package not in COMPOSITION and (names := private_imports(package, path.read_text())):
            found[str(path)] = names
    assert found == {}


def test_a_way_round_an_api_would_be_found() -> None:
    assert private_imports("compute", "from audit.merkle import root") == ["audit.merkle"]
    assert private_imports("compute", "from audit import merkle") == ["audit.merkle"]
    assert private_imports("compute", "import audit.merkle as m") == ["audit.merkle"]
    assert private_imports("audit", "from audit import merkle") == []
    assert private_imports("compute", "from audit import api as audit\nfrom policies.reading import x") == []


NOT_IN_BOXES = [
    "casbin",
    "sqlalchemy",
    "alembic",
    "ray",
    "fastapi",
    "httpx",
    "pyarrow",
    "structlog",
    "typer",
    "rich",
]
WITHOUT_THE_PLATFORM = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {names}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
import {module}
"""


@pytest.mark.parametrize("module", ["policies.reading", "airlock.rules"])
def test_a_box_can_import_its_two_doors_without_the_platform(module: str) -> None:
    """Importing a module also runs its package's `__init__`, which the import contracts do not follow."""
    script = WITHOUT_THE_PLATFORM.format(names=NOT_IN_BOXES, module=module)
    answer = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr[-500:]


# -------------------------------------------------------------------------------------------- readability


def without_docstring(source: str) -> bool:
    return not ast.get_docstring(ast.parse(source))


def test_every_module_says_what_it_is() -> None:
    assert [str(path) for path in production_modules() if without_docstring(path.read_text())] == []
    assert without_docstring("import os\n")


def test_no_module_is_too_long_to_read() -> None:
    lengths = {str(path): len(path.read_text().splitlines()) for path in production_modules()}
    assert {path: lines for path, lines in lengths.items() if lines > LONGEST_MODULE} == {}


def broad_handlers(source: str) -> list[int]:
    """Lines that catch everything: a bare `except`, `Exception`, `BaseException`, alone or in a tuple."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ExceptHandler):
            caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            names = {ast.unparse(each).split(".")[-1] if each else "" for each in caught}
            if names & {"", "Exception", "BaseException"}:
                found.append(node.lineno)
    return found


def test_no_broad_except_turns_a_defect_into_another_message() -> None:
    found = [f"{path}:{line}" for path in production_modules() for line in broad_handlers(path.read_text())]
    assert found == []


@pytest.mark.parametrize(
    "handler",
    ["except:", "except Exception:", "except (OSError, BaseException) as e:", "except* builtins.Exception:"],
)
def test_a_broad_except_would_be_found(handler: str) -> None:
    assert broad_handlers(f"try:\n    work()\n{handler}\n    pass\n") == [3]
    assert broad_handlers("try:\n    work()\nexcept OSError:\n    pass\n") == []


# ----------------------------------------------------------------------------------------- one machine


ADDRESS = re.compile(
    r"https?://|file:|^\s*-(?:i|f)\b|--(?:index-url|extra-index-url|find-links)|/opt/", re.MULTILINE
)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: str(path.relative_to(ROOT)))
def test_locks_hold_versions_and_hashes_and_no_address(lock: Path) -> None:
    text = lock.read_text()
    pins = re.split(r"\n(?=\S)", text.strip())
    assert pins
    assert ADDRESS.search(text) is None
    assert [
        pin for pin in pins if not re.match(r"[\w.\[\]-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", pin, re.DOTALL)
    ] == []


def test_an_address_in_a_lock_would_be_found() -> None:
    assert ADDRESS.search("--index-url somewhere\n") and ADDRESS.search("x @ https://example.org/x.whl")


def versions(lock: Path) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([\w.-]+)==([^\s;]+)", lock.read_text(), re.MULTILINE):
        found.setdefault(name, set()).add(version)
    return found


def test_boxes_and_the_platform_agree_on_the_libraries_that_both_have() -> None:
    ours = versions(ROOT / "locks" / "dev.txt")
    for lock in LOCKS:
        for name, version in versions(lock).items():
            assert name not in ours or version <= ours[name], f"{lock.name}: {name}"


def test_the_sql_box_holds_nothing_that_places_work_decides_or_speaks_to_a_network() -> None:
    names = set(versions(ROOT / "images" / "sql" / "lock.txt"))
    reads = {"cffi", "cryptography", "duckdb", "duckdb-extension-httpfs", "pyarrow", "pycparser", "sqlglot"}
    assert names == reads | {"opendp", "deprecated", "wrapt"}, "and what makes noise, with what that needs"


# The folders that a developer's or a build machine's checkout and home tend to be in.
MACHINE_PATH = re.compile(
    r"(?<![\w./-])/(?:" + r"|".join(["work", "root", "home/\\w+", "Users"]) + r")(?=/|['\"\s]|$)"
)


def machine_paths(text: str) -> list[str]:
    return MACHINE_PATH.findall(text)


def test_no_file_names_a_folder_of_one_machine() -> None:
    files = [file for file in tracked_files() if file != Path(__file__)]
    assert [str(file) for file in files if machine_paths(read_text(file))] == []


def test_a_folder_of_one_machine_would_be_found() -> None:
    assert machine_paths("run /work/x") and machine_paths("'/root'")
    assert (
        not machine_paths("/var/lib/darkroom")
        and not machine_paths("work/x")
        and not machine_paths("a/root/b")
    )


# ------------------------------------------------------------------------------------ no test measures a machine


def hurries(text: str) -> list[str]:
    """Settings of a property with which a slow machine would fail it; what a file does not say, `conftest` does."""
    found = [word for word in re.findall(r"\bdeadline=[^,)]+", text) if word != "deadline=None"]
    lists = re.findall(r"suppress_health_check=\[[^]]*\]", text)
    return found + [each for each in lists if "too_slow" not in each]


def test_no_property_fails_because_a_machine_is_slow() -> None:
    settings = hypothesis.settings.default
    assert settings.deadline is None and hypothesis.HealthCheck.too_slow in settings.suppress_health_check
    files = [file for file in sorted((ROOT / "tests").rglob("*.py")) if file != Path(__file__)]
    assert {str(file): hurries(read_text(file)) for file in files if hurries(read_text(file))} == {}


def test_a_property_in_a_hurry_would_be_found() -> None:
    assert hurries("@settings(max_examples=3, deadline=200)") and hurries("settings(deadline=timedelta(1))")
    assert hurries("@settings(suppress_health_check=[HealthCheck.filter_too_much])")
    assert not hurries("@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])")
