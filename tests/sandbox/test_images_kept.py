"""The folder of images: what is not whole is no image, two builders do not meet, and only what nobody needs goes."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from plans.errors import DarkroomError, DiskFull, HashMismatch, NotFound, SettingsWrong, Unreachable
from sandbox import images, layout
from sandbox.images import __main__ as commands
from sandbox.images import building, pruning
from sandbox.recipes import images_folder

LOCK = "six==1.17.0 --hash=sha256:" + "0" * 64 + "\n"
LARGE = b"large" * 20_000
DAY_S = 86_400


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bases of three files, so that a build takes no time; `test_images.py` builds real ones."""

    def lay_base(root: Path, lock: Path, *_: object) -> tuple[Path, ...]:
        for name, content in (
            ("python/python3", LARGE),
            ("box/small.py", b"A = 1\n"),
            ("box/lock", lock.read_bytes()),
        ):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content)
        return (Path(sys.executable),)

    def lay_above(root: Path, lock: Path, below: Path, *_: object) -> tuple[Path, ...]:
        (root / "box" / "above.py").write_bytes(lock.read_bytes())
        return ()

    monkeypatch.setattr(layout, "lay_base", lay_base)
    monkeypatch.setattr(layout, "lay_above", lay_above)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "kept"


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """The recipe of an image `small`, whose only module of ours can be changed."""
    return write_recipe(tmp_path / "recipes" / "small")


def write_recipe(folder: Path, text: str = "", module: str = "B = 1\n") -> Path:
    (folder / "overlay").mkdir(parents=True)
    (folder / "lock.txt").write_text(LOCK)
    (folder / "overlay" / "module.py").write_text(module)
    start = f"name = '{folder.name}'\nlock = 'lock.txt'\nhouse = []\noverlay = 'overlay'\n"
    (folder / "image.toml").write_text(start + text)
    return folder


def change(recipe: Path) -> None:
    with (recipe / "overlay" / "module.py").open("a") as module:
        module.write("C = 1\n")


def leftovers(kept: Path) -> list[str]:
    return [path.name for path in kept.iterdir() if path.name.startswith("build-")]


def age(path: Path, days: float) -> None:
    moment = time.time() - days * DAY_S
    os.utime(path, (moment, moment))


# -------------------------------------------------------------------------------- an image of other code is named


def test_an_image_that_was_built_before_its_modules_changed_is_named(kept: Path, recipe: Path) -> None:
    write_recipe(recipe.parent / "other", module="D = 1\n")
    write_recipe(recipe.parent / "never-built")
    images.build(recipe, kept)
    images.build(recipe.parent / "other", kept)
    assert images.outdated(kept, recipe.parent) == (), "the control: nothing has changed"
    change(recipe)
    assert images.outdated(kept, recipe.parent) == ("small",)
    images.build(recipe, kept)
    assert images.outdated(kept, recipe.parent) == ()


def test_a_recipe_that_cannot_be_read_names_no_image(kept: Path, recipe: Path) -> None:
    images.build(recipe, kept)
    (recipe / "image.toml").write_text("name = ")
    assert images.outdated(kept, recipe.parent) == () == images.outdated(kept, recipe.parent / "nowhere")


# -------------------------------------------------------------------------------- nothing half-built is an image


def failing(problem: Exception) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise problem

    return fail


@pytest.mark.parametrize("step", ["lay_base", "lay_house", "settle_modes"])
@pytest.mark.parametrize(
    ("problem", "told"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), DiskFull),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), DiskFull),
        (OSError(errno.EROFS, "Read-only file system"), SettingsWrong),
        (Unreachable("no way to the registry"), Unreachable),
    ],
)
def test_a_build_that_fails_at_any_step_leaves_no_image_and_says_why(
    kept: Path, recipe: Path, step: str, problem: Exception, told: type[DarkroomError]
) -> None:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(told):
        patch.setattr(layout, step, failing(problem))
        images.build(recipe, kept)
    with pytest.raises(NotFound):
        images.find("small", kept)
    assert leftovers(kept) == [] and images.named(kept) == ()
    images.verify(images.build(recipe, kept))


def test_a_full_disk_is_named_also_where_an_installer_met_it(
    kept: Path, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "lay_base", failing(Unreachable("the packages could not be installed")))
    with pytest.raises(Unreachable):
        images.build(recipe, kept)  # the control: there is room
    monkeypatch.setattr(building, "_NO_ROOM", 2**60)
    with pytest.raises(DiskFull):
        images.build(recipe, kept)


def test_a_builder_killed_in_the_middle_leaves_no_image_and_no_lock(kept: Path, recipe: Path) -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        layout.settle_modes = lambda _: (os.write(writing, b"!"), time.sleep(60))  # type: ignore[assignment]
        images.build(recipe, kept)
        os._exit(1)
    assert os.read(reading, 1) == b"!"
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(reading)
    os.close(writing)
    assert leftovers(kept)
    with pytest.raises(NotFound):
        images.find("small", kept)
    images.verify(images.build(recipe, kept))
    assert pruning.prune(kept).leftovers and leftovers(kept) == []


@pytest.mark.parametrize("place", ["/proc/images", "/dev/null/images"])
def test_a_folder_that_cannot_be_written_is_named(recipe: Path, place: str) -> None:
    with pytest.raises(SettingsWrong, match="images cannot be kept here") as refused:
        images.build(recipe, Path(place))
    assert "DARKROOM_IMAGES" in refused.value.next_step
    with pytest.raises(SettingsWrong):
        pruning.prune(Path(place))


def test_two_builders_at_once_make_one_image(
    kept: Path, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_base, laid, built = layout.lay_base, [], []

    def slow(*given: object) -> tuple[Path, ...]:
        laid.append(time.monotonic())
        time.sleep(0.3)
        return lay_base(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(layout, "lay_base", slow)
    builders = [threading.Thread(target=lambda: built.append(images.build(recipe, kept))) for _ in range(4)]
    for each in builders:
        each.start()
    for each in builders:
        each.join()
    assert len(set(built)) == 1 and len(built) == 4
    assert len(laid) == 1
    images.verify(built[0])


def test_what_is_edited_during_a_build_makes_another_image_next_time(
    kept: Path, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle_modes = layout.settle_modes

    def edited_meanwhile(root: Path) -> None:
        settle_modes(root)
        change(recipe)

    with monkeypatch.context() as patch:
        patch.setattr(layout, "settle_modes", edited_meanwhile)
        first = images.build(recipe, kept)
    assert images.build(recipe, kept) != first


# ------------------------------------------------------------------------------------------- damage and updates


def test_a_damaged_image_is_built_anew_with_its_packages(kept: Path, recipe: Path) -> None:
    image = images.build(recipe, kept)
    interpreter = image.root / "python" / "python3"
    interpreter.write_bytes(b"worse" + interpreter.read_bytes()[5:])
    with pytest.raises(HashMismatch, match="changed") as refused:
        images.verify(image)
    assert "--anew" in refused.value.next_step
    with pytest.raises(HashMismatch):
        images.verify(images.build(recipe, kept))  # the control: nothing of the recipe has changed
    assert images.build(recipe, kept, anew=True) == image
    images.verify(image)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", '{"digest": 1}', '{"digest": "sha256:zz", "stamp": "x"}']
)
def test_a_damaged_note_under_a_name_is_no_image_and_the_next_build_mends_it(
    kept: Path, recipe: Path, text: str
) -> None:
    image = images.build(recipe, kept)
    (kept / "small.json").write_text(text)
    with pytest.raises(DarkroomError):
        images.find("small", kept)
    assert images.named(kept) == ()
    assert images.build(recipe, kept) == image == images.find("small", kept)


def test_an_update_of_this_machine_reaches_the_images(kept: Path, recipe: Path) -> None:
    images.build(recipe, kept)
    base = next(kept.glob("base-*"))
    before = base.stat().st_ino
    images.build(recipe, kept)
    assert base.stat().st_ino == before
    (base / building.HOST).write_text(json.dumps({sys.executable: [1, 1]}))
    images.build(recipe, kept)
    assert base.stat().st_ino != before


def test_bases_share_large_files_that_are_the_same_byte_for_byte(kept: Path, recipe: Path) -> None:
    first = images.build(recipe, kept)
    other = write_recipe(recipe.parent / "other")
    (other / "lock.txt").write_text(LOCK + "# another base\n")
    second = images.build(other, kept)
    large, small = "python/python3", "box/small.py"
    assert (first.root / large).samefile(second.root / large)
    assert not (first.root / small).samefile(second.root / small)


def test_a_damaged_file_of_another_base_is_not_shared(kept: Path, recipe: Path) -> None:
    first = images.build(recipe, kept)
    (first.root / "python" / "python3").write_bytes(b"worse" * 20_000)
    other = write_recipe(recipe.parent / "other")
    (other / "lock.txt").write_text(LOCK + "# another base\n")
    images.verify(images.build(other, kept))


# ---------------------------------------------------------------------------------------------------- pruning


def test_what_no_name_has_pointed_to_for_some_days_goes_and_nothing_else(kept: Path, recipe: Path) -> None:
    first = images.build(recipe, kept)
    age(first.root.parent, 100)  # old, but in use under its name until now
    change(recipe)
    second = images.build(recipe, kept)
    assert pruning.prune(kept, 14).images == ()
    age(first.root.parent, 15)
    age(second.root.parent, 15)
    done = pruning.prune(kept, 14)
    assert done.images == (first.root.parent.name,) and not first.root.exists()
    images.verify(second)
    with pytest.raises(NotFound):
        images.by_digest(first.digest, kept)


def test_an_image_that_somebody_holds_is_not_pruned_until_it_is_let_go(kept: Path, recipe: Path) -> None:
    first = images.build(recipe, kept)
    held = images.Hold(first)
    change(recipe)
    images.build(recipe, kept)
    assert pruning.in_use(first.root.parent)
    assert pruning.prune(kept, 0).in_use == (first.root.parent.name,)
    images.verify(first)
    del held
    assert pruning.prune(kept, 0).images == (first.root.parent.name,)


def test_an_image_that_is_being_removed_cannot_be_held_any_more(kept: Path, recipe: Path) -> None:
    image = images.build(recipe, kept)
    lock = os.open(image.root.parent / "files.json", os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    with pytest.raises(NotFound):
        images.Hold(image)
    os.close(lock)
    images.Hold(image).release()


@pytest.mark.parametrize("lost", ["files.json", "root", "root/box/small.py", ""])
def test_an_image_that_was_removed_by_half_is_known_for_it_and_is_built_again(
    kept: Path, recipe: Path, lost: str
) -> None:
    image = images.build(recipe, kept)
    assert images.lacking(image) == "", "the control"
    gone = image.root.parent / lost
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    assert images.lacking(image)
    with pytest.raises(NotFound if lost != "root/box/small.py" else HashMismatch):
        images.Hold(images.by_digest(image.digest, kept)).release()
        images.verify(image)
    again = images.build(recipe, kept, anew=lost == "root/box/small.py")
    assert again.digest == image.digest and images.lacking(again) == ""
    images.verify(again)


def test_a_plan_of_an_image_that_is_gone_is_refused_with_what_to_do(kept: Path, recipe: Path) -> None:
    image = images.build(recipe, kept)
    shutil.rmtree(image.root)
    for ask in (lambda: images.by_digest(image.digest, kept), lambda: images.find("small", kept)):
        with pytest.raises(NotFound, match="not on this machine") as told:
            ask()
        assert "administrator" in told.value.next_step and "submit anew" in told.value.next_step


def test_a_base_goes_when_no_image_with_a_name_lies_on_it(kept: Path, recipe: Path) -> None:
    images.build(recipe, kept)
    old = next(kept.glob("base-*"))
    (recipe / "lock.txt").write_text(LOCK + "# another base\n")
    image = images.build(recipe, kept)
    assert len(list(kept.glob("base-*"))) == 2
    assert pruning.prune(kept, 0).bases == (old.name,)
    images.verify(image)
    assert pruning.prune(kept, 0).bases == ()


def test_the_image_below_one_with_a_name_stays_since_it_proves_what_that_one_is(
    kept: Path, recipe: Path
) -> None:
    above = write_recipe(recipe.parent / "above", "base = 'small'\n", "D = 1\n")
    (above / "overlay" / "module.py").rename(above / "overlay" / "more.py")
    outer, inner = images.build(above, kept), images.find("small", kept)
    change(recipe)
    images.build(recipe, kept)
    assert pruning.prune(kept, 0).images == ()
    assert images.contains(outer, inner)
    images.build(above, kept)
    assert set(pruning.prune(kept, 0).images) == {outer.root.parent.name, inner.root.parent.name}


# ------------------------------------------------------------------------------------------------- by hand


def test_the_commands_do_what_they_say(
    kept: Path, recipe: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DARKROOM_IMAGES", str(kept))
    assert images_folder() == kept
    above = write_recipe(recipe.parent / "above", "base = 'small'\n", "D = 1\n")
    (above / "overlay" / "module.py").rename(above / "overlay" / "more.py")
    assert commands.main(["build", str(recipe), str(above)]) == 0
    inner, outer = capsys.readouterr().out.split()
    assert commands.main(["list"]) == 0
    listing = capsys.readouterr().out
    assert inner in listing and outer in listing and "on small" in listing and "without a name" not in listing
    change(recipe)
    assert commands.main(["build", str(recipe)]) == 0
    assert commands.main(["list"]) == 0
    listing = capsys.readouterr().out
    assert inner not in listing.split("\n", 1)[1] and "and 1 without a name" in listing
    assert commands.main(["list", "--all"]) == 0 and inner in capsys.readouterr().out
    assert commands.main(["contains", "above", "small"]) == 1
    assert commands.main(["build", str(above)]) == 0
    outer = capsys.readouterr().out.split()[-1]
    assert commands.main(["contains", "above", "small"]) == 0
    assert commands.main(["contains", "small", outer]) == 1
    assert commands.main(["verify"]) == 0 == commands.main(["verify", "small", outer])
    (images.find("small", kept).root / "planted").write_text("")
    assert commands.main(["verify", "small"]) == HashMismatch.exit_code
    assert commands.main(["verify", "nothing"]) == NotFound.exit_code
    assert commands.main(["prune", "--days", "0"]) == 0
    assert "evidence.hash" in capsys.readouterr().err
