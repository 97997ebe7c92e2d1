"""The image of the algorithm library in a real box: every component runs there, with its models, without a network."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

import examples.components
from components import api as components
from sandbox import images, recipes
from sandbox.boxes import BubblewrapBoxes
from sandbox.identities import Identities
from tests.sandbox.test_images_boxes import built, run

pytestmark = [pytest.mark.box, pytest.mark.long, pytest.mark.timeout(600)]

MADE_UP = inspect.getsource(examples.components).replace("from __future__ import annotations", "")
EVERY = """
from airlock.secondary import complete
from components import api
kept = sys.stdout
sys.stdout = open(os.devnull, "w")
for component in api.describe_all():
    def work():
        values = api.checked(component, component.example)
        done = api.perform(component.name, tables(component.name), values, api.Rules(10, 10, complete))
        return sorted(done.files)
    attempt(component.name, work)
sys.stdout = kept
"""


def test_every_component_runs_in_its_image_behind_the_walls(open_home: Path) -> None:
    boxes = BubblewrapBoxes(open_home, recipes.images_folder(), Identities(64041, 8))
    told = run(boxes, built("components"), MADE_UP + EVERY)
    assert told == {
        each.name: sorted(a.name for a in components.artifacts(each, components.checked(each, each.example)))
        for each in components.describe_all()
    }


def test_the_image_is_that_of_python_jobs_and_more() -> None:
    ours, theirs = built("components"), built("python")
    assert images.contains(ours, theirs) and images.origin(ours) == theirs.digest
    assert (ours.root / "box" / "rapidocr" / "models").is_dir()
