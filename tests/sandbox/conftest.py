"""Boxes to test: an image whose programs run any Python, and a folder that boxes' users can reach."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from keys.signing import fresh_nonce
from plans.box import BoxSpec, Entry, Limits
from plans.decision import Tier
from plans.errors import TierMissing
from plans.plan import Plan, PlanKind
from sandbox import images
from sandbox.boxes import BubblewrapBoxes
from sandbox.fake import UnsafeLocalBoxes
from sandbox.gvisor import GvisorBoxes
from sandbox.identities import Identities
from sandbox.images import Image
from tests.sandbox.few_images import only

PROBE = Path(__file__).parent / "probe"
LIMITS = {
    "memory_mb": 256, "temp_mb": 8, "spill_mb": 0, "output_mb": 4, "cpu_s": 20, "wall_s": 120,
    "processes": 32, "files": 64, "cpus": 1,
}  # fmt: skip
MakeCheck = Callable[..., Plan]


@pytest.fixture(scope="session")
def probe_image() -> Image:
    """An image for tests, built beside the real ones and sharing their base."""
    return images.build(PROBE)


@pytest.fixture(scope="session")
def probe_images(probe_image: Image) -> Path:
    """A folder with that image alone."""
    return only(probe_image.digest)


@contextlib.contextmanager
def opened_home() -> Iterator[Path]:
    """A folder that every user can pass through; pytest's own folders are closed to boxes' users."""
    home = Path(tempfile.mkdtemp(prefix="darkroom-test-"))
    home.chmod(0o711)
    yield home
    shutil.rmtree(home)


@pytest.fixture
def open_home() -> Iterator[Path]:
    """Such a folder for one test."""
    with opened_home() as home:
        yield home


@pytest.fixture
def local_boxes(open_home: Path) -> UnsafeLocalBoxes:
    """Boxes without walls."""
    return UnsafeLocalBoxes(open_home, PROBE / "overlay" / "inside")


@pytest.fixture
def real_boxes(open_home: Path, probe_images: Path) -> BubblewrapBoxes:
    """T1 boxes."""
    return BubblewrapBoxes(open_home, probe_images, Identities(64001, 8))


@pytest.fixture
def gvisor_boxes(open_home: Path, probe_images: Path) -> GvisorBoxes:
    """T2 boxes; the test is skipped, with the reason, on a machine that cannot hold them."""
    boxes = GvisorBoxes(open_home, probe_images, Identities(64011, 8))
    try:
        boxes.require()
    except TierMissing as problem:
        pytest.skip(problem.what)
    return boxes


@pytest.fixture
def check(probe_image: Image) -> MakeCheck:
    """Make a plan whose one box runs the given Python; limits can be changed by name."""

    def make(code: str, **limits: int) -> Plan:
        sizes = {**LIMITS, **limits}
        box = BoxSpec(Entry.CHECK, probe_image.digest, (), Limits(**sizes), Tier.T1)
        return Plan(
            kind=PlanKind.CHECK, domain="nm/tax", request=None, request_signature="", decision=None, program=None,
            material=code, stages=(box,), nonce=fresh_nonce(), made_at=0,
        )  # fmt: skip

    return make
