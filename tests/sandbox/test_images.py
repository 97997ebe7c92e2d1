"""Images: the same sources, the same bytes; a changed byte is noticed; nothing in them that no box needs."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from plans.errors import HashMismatch, NotFound, SettingsWrong
from sandbox import images, recipes
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


@pytest.mark.parametrize("change", ["a byte", "a file more", "a file less", "a mode"])
def test_a_change_after_building_is_noticed(fresh: Image, change: str, tmp_path: Path) -> None:
    copy = Image(fresh.digest, tmp_path / "root")
    shutil.copytree(fresh.root, copy.root)
    images.verify(copy)
    module = copy.root / "box" / "plans" / "names.py"
    match change:
        case "a byte":
            module.write_bytes(module.read_bytes() + b"\n")
        case "a file more":
            (module.parent / "planted.py").write_text("")
        case "a file less":
            module.unlink()
        case "a mode":
            module.chmod(0o666)
    with pytest.raises(HashMismatch):
        images.verify(copy)


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


def test_an_image_holds_only_the_rooms_of_the_house_that_its_recipe_names() -> None:
    recipe = recipes.read_recipe(recipes.CHECKOUT / "images" / "sql")
    rooms = {place.split("/")[0] for place, _ in recipe.sources}
    assert rooms <= {"plans", "keys", "inside", "policies", "airlock"}
    assert not [place for place, _ in recipe.sources if place.startswith("policies/decide")]


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
