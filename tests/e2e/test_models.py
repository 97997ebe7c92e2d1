"""A model goes the whole way through real boxes: some persons are kept from the job, and people decide about it."""

from __future__ import annotations

import json
import time

import pytest

from plans.statements import Answer
from tests.e2e import work
from tests.e2e.test_tasks import state, until

pytestmark = [pytest.mark.box, pytest.mark.ray, pytest.mark.long, pytest.mark.timeout(240)]

FITS = """
import json
import darkroom
import numpy as np

panel = darkroom.table("tax.panel").to_pandas()
place = panel["league"].rank(method="dense").to_numpy()
slope, intercept = np.polyfit(place, panel["income"].to_numpy(), 1)
model = {
    "kind": "linear", "family": "gaussian", "features": ["league"], "intercept": float(intercept),
    "coefficients": [float(slope)], "persons": int(panel["person"].nunique()),
}
darkroom.out("model.json").write_text(json.dumps(model))
"""
SETTINGS = work.SETTINGS.split("[outputs]")[0] + '[outputs]\n"model.json" = { form = "model" }\n'


def test_a_model_is_held_and_leaves_when_reviewers_agree(town):
    work.prepare(town)
    place = work.folder(town.folder / "code" / "model", FITS, SETTINGS)
    job = town.researcher.connection.run(place)
    until(lambda: state(job) in ("held", "released", "refused", "failed"), 150)
    assert (job.state, job.waits_for) == ("held", "reviewers"), job.problem()
    work.enrol_reviewers(town)
    plan, free = job.view["plan_digest"], Answer.RELEASE
    work.review(town, plan, ("sun", free, False), ("zhou", free, False))
    time.sleep(1)
    work.review(town, plan, ("sun", free, True))
    until(lambda: state(job) == "released", 60)
    model = json.loads(job.result().read("model.json"))
    assert model["kind"] == "linear" and model["persons"] % 5 == 0
    assert 0.8 * 600 < model["persons"] < 0.96 * 603, "about a tenth of the persons was kept from the job"
