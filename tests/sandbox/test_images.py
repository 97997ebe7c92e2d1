"""Images: the same sources, the same bytes; a changed byte is noticed; nothing in them that no box needs."""

from __future__ import annotations

import json
import os
import shutil
import stat
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from plans.errors import HashMismatch, NotFound, SettingsWrong
from sandbox import images, layout, recipes
from sandbox.images import Image

pytestmark = pytest.mark.box
HERE = Path(__file__).parent


@pytest.fixture(scope="module", autouse=True)
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the sources, so that nobody edits them between two builds."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in ("plans", "keys", "inside", "policies", "airlock", "images"):
        shutil.copytree(recipes.CHECKOUT / name, copy / name)
    shutil.copytree(HERE / "probe", copy / "tests" / "sandbox" / "probe")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipes, "CHECKOUT", copy)
        yield copy


@pytest.fixture(scope="module")
def probe(checkout: Path) -> Path:
    """The recipe of the image for tests."""
    return checkout / "tests" / "sandbox" / "probe"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("images")


@pytest.fixture(scope="module")
def fresh(kept: Path, probe: Path) -> Image:
    """Built from nothing, in a folder of its own."""
    return images.build(probe, kept)


@pytest.fixture
def small(tmp_path: Path) -> Image:
    """Something that looks like an image, and is one as far as its digest goes."""
    whole = tmp_path / "images" / "x"
    shutil.copytree(recipes.CHECKOUT / "plans", whole / "root" / "box" / "plans")
    layout.settle_modes(tmp_path / "images")
    return Image(images.digest_of(images.each_file(whole / "root")), whole / "root")


def test_two_builds_from_nothing_have_the_same_digest(fresh: Image, probe: Path, tmp_path: Path) -> None:
    assert images.build(probe, tmp_path).digest == fresh.digest


def test_a_second_build_returns_the_first(fresh: Image, kept: Path, probe: Path) -> None:
    before = sorted(kept.iterdir())
    assert images.build(probe, kept) == fresh and sorted(kept.iterdir()) == before
    assert images.find("probe", kept) == fresh == images.by_digest(fresh.digest, kept)


def test_a_changed_module_makes_another_image_over_the_same_base(
    fresh: Image, kept: Path, probe: Path, tmp_path: Path
) -> None:
    changed = tmp_path / "probe"
    shutil.copytree(probe, changed)
    recipe = changed / "image.toml"
    recipe.write_text(
        recipe.read_text().replace("../../../", str(recipes.CHECKOUT) + "/").replace('"probe"', '"other"')
    )
    (changed / "overlay" / "inside" / "more.py").write_text("MORE = 1\n")
    other = images.build(changed, kept)
    assert other.digest != fresh.digest
    shared = "python/bin/python3"
    assert (other.root / shared).stat().st_ino == (fresh.root / shared).stat().st_ino


def _grow(module: Path) -> None:
    module.write_bytes(module.read_bytes() + b"\n")


def _swap_for_a_link(module: Path) -> None:
    """The bytes stay the same: the link leads to them."""
    module.rename(module.parent / "__pycache__" / "moved")
    module.symlink_to("__pycache__/moved")


CHANGES = {
    "a byte": _grow,
    "a file more": lambda module: (module.parent / "planted.py").write_text(""),
    "a folder more": lambda module: (module.parent / "planted").mkdir(),
    "a file less": lambda module: module.unlink(),
    "a mode": lambda module: module.chmod(0o666),
    "a mode of a folder": lambda module: module.parent.chmod(0o777),
    "a setuid bit": lambda module: module.chmod(0o4644),
    "a link to a file": lambda module: (module.parent / "planted.py").symlink_to("names.py"),
    "a link instead of a file": _swap_for_a_link,
    "a link to a folder": lambda module: (module.parent / "planted").symlink_to("/etc"),
    "a pipe": lambda module: os.mkfifo(module.parent / "planted"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_after_building_is_noticed(small: Image, change: str) -> None:
    images.verify(small)
    CHANGES[change](small.root / "box" / "plans" / "names.py")
    with pytest.raises(HashMismatch):
        images.verify(small)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("place", ["box/plans/names.py", "box/plans", ".", ".."])
def test_what_belongs_to_another_user_is_refused(small: Image, place: str) -> None:
    os.chown(small.root / place, 0, 0)
    images.verify(small)
    os.chown(small.root / place, 64999, 0)
    with pytest.raises(HashMismatch, match="another user"):
        images.verify(small)


@pytest.mark.parametrize("place", [".", "..", "../.."])
def test_an_image_in_a_folder_that_others_can_write_is_refused(small: Image, place: str) -> None:
    """They could put another root in its place after the look."""
    (small.root / place).chmod(0o777)
    with pytest.raises(HashMismatch, match="others could change"):
        images.verify(small)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give privileges to files")
def test_a_file_with_privileges_of_the_kernel_is_refused(small: Image) -> None:
    """Capabilities of a file are no part of its mode or bytes."""
    cap_setuid_effective = struct.pack("<IIIII", 0x02000001, 1 << 7, 0, 0, 0)
    try:
        os.setxattr(small.root / "box" / "plans" / "names.py", "security.capability", cap_setuid_effective)
    except OSError:
        pytest.skip("this file system keeps no capabilities")
    with pytest.raises(HashMismatch, match="privileges"):
        images.verify(small)


def test_files_that_images_share_are_hashed_once_for_all_of_them(fresh: Image) -> None:
    known: images.Known = {}
    list(images.verify_stepwise(fresh, known))
    names = next(iter(known))
    known[names] = "sha256:" + "0" * 64
    with pytest.raises(HashMismatch):
        list(images.verify_stepwise(fresh, known))  # the control: what is noted is believed


def test_an_image_holds_no_shell_no_installer_no_tests_no_setuid_and_nothing_that_others_can_write(
    fresh: Image,
) -> None:
    files = [path for path in fresh.root.rglob("*") if path.is_file()]
    names = {path.name for path in files}
    assert not names & {"sh", "bash", "dash", "busybox", "pip", "uv", "sitecustomize.py"}
    assert not [path for path in files if "ensurepip" in path.parts or "idlelib" in path.parts]
    assert not [path for path in files if path.name.endswith(".pth")]
    assert not [path for path in fresh.root.rglob("*") if path.is_symlink()]
    modes = {stat.S_IMODE(path.lstat().st_mode) for path in fresh.root.rglob("*")}
    assert modes == {0o755, 0o644}
    assert {path.lstat().st_uid for path in files} == {os.geteuid()}
    assert not [
        path for path in files if {"test", "tests", "include"} & set(path.parts[:-1]) and "box" in path.parts
    ]
    assert not [path for path in files if path.suffix in {".a", ".h", ".c", ".pyx", ".pyi", ".pth"}]


def test_an_image_holds_only_the_rooms_of_the_house_that_its_recipe_names() -> None:
    recipe = recipes.read_recipe(recipes.CHECKOUT / "images" / "sql")
    rooms = {place.split("/")[0] for place, _ in recipe.sources}
    assert rooms <= {"plans", "keys", "inside", "policies", "airlock"}
    assert not [place for place, _ in recipe.sources if place.startswith("policies/decide")]


@pytest.mark.parametrize("without", ["'plans'", "['']", "[1]"])
def test_what_an_image_does_without_is_a_list_of_paths(tmp_path: Path, without: str) -> None:
    (tmp_path / "lock.txt").write_text("")
    (tmp_path / "image.toml").write_text(
        f"name = 'x'\nlock = 'lock.txt'\nhouse = ['plans']\nwithout = {without}"
    )
    with pytest.raises(SettingsWrong, match="list of paths"):
        recipes.read_recipe(tmp_path)


def test_an_image_that_was_not_built_is_not_found_and_says_how_to_build_it(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as missing:
        images.find("sql", tmp_path)
    assert "sandbox.images build" in missing.value.next_step
    with pytest.raises(NotFound):
        images.by_digest("sha256:" + "0" * 64, tmp_path)


@pytest.mark.parametrize(
    "text", ["", "name = 'x'", "name = '../x'\nlock = 'lock.txt'\nhouse = []", "not toml"]
)
def test_a_wrong_recipe_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "lock.txt").write_text("")
    (tmp_path / "image.toml").write_text(text)
    with pytest.raises(SettingsWrong):
        images.build(tmp_path, tmp_path / "kept")


def test_the_list_behind_the_digest_is_kept(fresh: Image) -> None:
    files = json.loads((fresh.root.parent / "files.json").read_text())
    assert images.digest_of(files) == fresh.digest and ["box/__main__.py", "100644"] in [
        each[:2] for each in files
    ]
