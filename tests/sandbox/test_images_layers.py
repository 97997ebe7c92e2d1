"""An image on an image: what ran in a notebook runs in a job, because every file of the one is in the other.

Here the lower image is small: the interpreter, one package of the real locks, and the nouns. The real ones are compared
in `test_images_long.py`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from plans.errors import HashMismatch, SettingsWrong
from sandbox import images, packages, recipes
from sandbox.images import Image

pytestmark = pytest.mark.box
PINS = {pin.name: pin for pin in packages.pins(recipes.CHECKOUT / "images" / "sql" / "lock.txt")}
BASE, ADDED = PINS["pycparser"], PINS["cffi"]


def write(folder: Path, pins: tuple[packages.Pin, ...], text: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "lock.txt").write_text("".join(f"{pin.line()}\n" for pin in pins))
    (folder / "image.toml").write_text(f"name = '{folder.name}'\nlock = 'lock.txt'\n{text}")
    return folder


@pytest.fixture(scope="module", autouse=True)
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the sources, so that nobody edits them between two builds."""
    copy = tmp_path_factory.mktemp("checkout")
    shutil.copytree(recipes.CHECKOUT / "plans", copy / "plans")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipes, "CHECKOUT", copy)
        write(copy / "images" / "job", (BASE,), "house = ['plans']\n")
        write(
            copy / "images" / "book", (BASE, ADDED), "house = []\nbase = 'job'\nextensions = ['_sqlite3']\n"
        )
        yield copy


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("images")


@pytest.fixture(scope="module")
def book(checkout: Path, kept: Path) -> Image:
    """The upper image; building it builds the lower one."""
    return images.build(checkout / "images" / "book", kept)


@pytest.fixture(scope="module")
def job(book: Image, kept: Path) -> Image:
    return images.find("job", kept)


def test_the_upper_image_holds_every_file_of_the_lower_one_and_more(book: Image, job: Image) -> None:
    assert images.contains(book, job)
    assert not images.contains(job, book)
    images.verify(book)
    images.verify(job)
    for place in ("box/plans/names.py", "python/bin/python3", "box/pycparser/__init__.py"):
        assert (book.root / place).read_bytes() == (job.root / place).read_bytes()
    assert (book.root / "box" / "cffi" / "api.py").exists() and not (job.root / "box" / "cffi").exists()
    assert list(book.root.rglob("_sqlite3.*.so")) and not list(job.root.rglob("_sqlite3.*.so"))


def test_whoever_is_in_the_upper_box_can_read_which_image_lies_below(book: Image, job: Image) -> None:
    assert (book.root / "etc" / "built-on").read_text() == f"{job.digest}\n"
    assert images.origin(book) == job.digest and images.origin(job) == ""


def test_modules_of_both_layers_are_compiled_and_named_by_their_place_in_the_box(book: Image) -> None:
    for place in ("box/pycparser", "box/cffi", "box/plans"):
        compiled = list((book.root / place / "__pycache__").glob("*.pyc"))
        assert compiled
        for path in compiled:
            content = path.read_bytes()
            assert content[4:8] == b"\x01\0\0\0", "compiled with an unchecked hash"
            assert f"/{place}/".encode() in content and str(book.root.parent).encode() not in content


def test_building_both_again_gives_the_same_digests(
    book: Image, job: Image, checkout: Path, tmp_path: Path
) -> None:
    assert images.build(checkout / "images" / "book", tmp_path).digest == book.digest
    assert images.find("job", tmp_path).digest == job.digest


@pytest.mark.parametrize("change", ["another version", "another hash", "a missing pin", "a narrower marker"])
def test_a_lock_that_does_not_hold_the_lower_one_unchanged_is_refused(
    checkout: Path, kept: Path, job: Image, tmp_path: Path, change: str
) -> None:
    pins = {
        "another version": (packages.Pin(BASE.name, "0.1", BASE.marker, BASE.hashes), ADDED),
        "another hash": (
            packages.Pin(BASE.name, BASE.version, BASE.marker, frozenset(list(BASE.hashes)[:1])),
            ADDED,
        ),
        "a missing pin": (ADDED,),
        "a narrower marker": (packages.Pin(BASE.name, BASE.version, "os_name == 'nt'", BASE.hashes), ADDED),
    }[change]
    recipe = write(tmp_path / "images" / "wrong", pins, "house = []\nbase = 'job'\n")
    shutil.copytree(checkout / "images" / "job", tmp_path / "images" / "job")
    with pytest.raises(SettingsWrong, match="does not hold every pin"):
        images.build(recipe, kept)
    assert "wrong" not in [path.stem for path in kept.glob("*.json")]


def test_an_upper_image_that_changes_a_module_of_the_lower_one_is_refused(
    checkout: Path, kept: Path, job: Image, tmp_path: Path
) -> None:
    recipe = write(
        tmp_path / "images" / "wrong", (BASE, ADDED), "house = []\nbase = 'job'\noverlay = 'over'\n"
    )
    shutil.copytree(checkout / "images" / "job", tmp_path / "images" / "job")
    (recipe / "over" / "plans").mkdir(parents=True)
    (recipe / "over" / "more.py").write_text("")
    images.build(recipe, kept)  # the control: one that only adds
    (recipe / "over" / "plans" / "names.py").write_text("")
    with pytest.raises(SettingsWrong, match="would change a file of the image below"):
        images.build(recipe, kept)


def test_a_package_that_changes_a_file_of_the_lower_image_is_refused(tmp_path: Path) -> None:
    below, above = tmp_path / "below", tmp_path / "above"
    for folder, text in ((below, "A = 1\n"), (above, "A = 1\n")):
        (folder / "package").mkdir(parents=True)
        (folder / "package" / "module.py").write_text(text)
    (above / "package" / "more.py").write_text("")
    packages.merge(above, below)
    assert (below / "package" / "more.py").exists()
    (above / "package" / "module.py").write_text("A = 2\n")
    with pytest.raises(SettingsWrong, match="would change"):
        packages.merge(above, below)
    assert (below / "package" / "module.py").read_text() == "A = 1\n"


def test_a_package_with_the_name_of_a_module_of_ours_is_refused(
    checkout: Path, kept: Path, tmp_path: Path
) -> None:
    """Writing over it would change the base, and every image that shares it."""
    recipe = write(tmp_path / "wrong", (BASE,), "house = []\noverlay = 'over'\n")
    (recipe / "over" / "pycparser").mkdir(parents=True)
    (recipe / "over" / "pycparser" / "__init__.py").write_text("")
    with pytest.raises(SettingsWrong, match="same name"):
        images.build(recipe, kept)


@pytest.mark.parametrize("base", ["self", "../images/job", "/etc", "."])
def test_a_base_that_is_no_recipe_beside_this_one_is_refused(tmp_path: Path, base: str) -> None:
    recipe = write(tmp_path / "self", (BASE,), f"house = []\nbase = '{base}'\n")
    with pytest.raises(SettingsWrong):
        images.build(recipe, tmp_path / "kept")


def test_a_list_that_is_not_behind_the_digest_proves_nothing(book: Image, job: Image, tmp_path: Path) -> None:
    """Otherwise whoever writes the list decides what contains what."""
    shutil.copytree(job.root.parent, tmp_path / "job")
    forged = Image(job.digest, tmp_path / "job" / "root")
    assert images.contains(book, forged)
    files = json.loads((tmp_path / "job" / "files.json").read_text())
    (tmp_path / "job" / "files.json").write_text(json.dumps(files[1:]))
    with pytest.raises(HashMismatch):
        images.contains(book, forged)
    (tmp_path / "job" / "files.json").unlink()
    with pytest.raises(HashMismatch):
        images.contains(book, forged)


@pytest.mark.parametrize(
    "line",
    [
        "six==1.17.0",
        "six>=1 --hash=sha256:" + "0" * 64,
        "-r other.txt",
        "six @ file:///x --hash=sha256:" + "0" * 64,
    ],
)
def test_a_line_of_a_lock_that_pins_nothing_by_hash_is_refused(tmp_path: Path, line: str) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text(f"# comment\n{BASE.line()}\n")
    assert packages.pins(lock) == (BASE,)
    lock.write_text(f"{BASE.line()}\n{line}\n")
    with pytest.raises(SettingsWrong, match="pins nothing by hash"):
        packages.pins(lock)


def test_the_locks_of_all_images_agree_and_the_notebooks_holds_pythons() -> None:
    folder = Path(__file__).resolve().parents[2] / "images"
    locks = {path.parent.name: packages.pins(path) for path in folder.glob("*/lock.txt")}
    assert set(locks["python"]) < set(locks["notebook"])
    assert not packages.added(folder / "python" / "lock.txt", folder / "python" / "lock.txt")
    versions: dict[tuple[str, str], set[str]] = {}
    for pins in locks.values():
        for pin in pins:
            versions.setdefault((pin.name, pin.marker), set()).add(pin.version)
    assert {name for name, found in versions.items() if len(found) > 1} == set()
    installers = {"pip", "uv", "setuptools", "wheel", "conda", "cython", "meson", "ninja"}
    found = {name: installers & {pin.name for pin in pins} for name, pins in locks.items()}
    assert found.pop("notebook") == {"pip"}, "for a mirror in a folder, where a lab has one"
    assert not any(found.values())
