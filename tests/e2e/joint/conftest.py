"""One town for all joint computations: those on shares and those on ciphertexts, of registers and projects that are
apart from each other. It ends with the last of these tests.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from examples.encrypted import data
from examples.encrypted.stories import STORIES as ON_CIPHERTEXTS
from examples.joint.stories import OPERATOR
from tests.e2e.joint_more import NOISED, OF_PERSONS, PRODUCT, scenery, write_all
from tests.e2e.joint_town import SIZES, STORIES, Furniture, JointTown, settled

CITY = data.Sizes(households=600, applicants=120, persons=1_500)


@pytest.fixture(scope="package")
def town() -> Iterator[JointTown]:
    """Parties that have met, with data, policies and grants."""
    folder = Path(tempfile.mkdtemp(prefix="dr-joint-"))
    folder.chmod(0o711)
    bureaus = (replace(story, asker=OPERATOR) for story in OF_PERSONS)
    stories = (*STORIES, PRODUCT, NOISED, *ON_CIPHERTEXTS.values(), *bureaus)
    furniture = Furniture(stories, scenery(folder / "scenery"), partial(write_all, sizes=SIZES, city=CITY))
    try:
        with settled(folder, furniture) as found:
            yield found
    finally:
        shutil.rmtree(folder, ignore_errors=True)
