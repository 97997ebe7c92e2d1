"""A model goes the whole way through real boxes: some persons are kept from the job, and people decide about it."""

from __future__ import annotations

import json
import time

import pytest

from keeper.api import DeskClient
from plans.statements import Answer
from tests.e2e import work
from tests.e2e.test_tasks import state, until

pytestmark = [pytest.mark.box, pytest.mark.ray, pytest.mark.long]

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


@pytest.fixture(scope="module")
def panel(town):
    work.prepare(town)
    return town


def test_a_model_is_held_and_leaves_when_reviewers_agree(panel):
    town = panel
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


SCORES = """
import json
import darkroom

panel = darkroom.table("tax.panel").to_pandas()
model = json.loads(darkroom.model("fit").read_text())
place = panel["league"].rank(method="dense")
panel["score"] = model["intercept"] + model["coefficients"][0] * place
made = panel.groupby("league").agg(persons=("person", "nunique"), mean=("score", "mean")).reset_index()
made.to_csv(darkroom.out("by_league.csv"), index=False)
"""
STANDS_IN = {"intercept": 1.0, "coefficients": [0.0]}


def test_a_model_that_stays_scores_beside_the_data_until_its_owner_deletes_it(panel):
    """Held, refused to leave or not: the model is used where it lies, and only figures about its scores leave."""
    town = panel
    fitted = town.researcher.connection.run(work.folder(town.folder / "code" / "fits", FITS, SETTINGS))
    until(lambda: state(fitted) in ("held", "released", "refused", "failed"), 150)
    assert fitted.state == "held", fitted.problem()
    (kept,) = [each for each in town.researcher.connection.models() if each["job"] == fitted.id]
    assert kept["artifact"] == "model.json" and kept["tables"] == {"tax.panel": ["income", "league"]}
    settings = work.SETTINGS.replace("[outputs]", f'[models]\n"fit" = "{fitted.id}/model.json"\n\n[outputs]')
    place = work.folder(town.folder / "code" / "scores", SCORES, settings)
    (place / "models").mkdir()
    (place / "models" / "fit").write_text(json.dumps(STANDS_IN))
    assert town.researcher.connection.attempt(place).code == "", "the trial has what stands in for it"
    scored = town.researcher.connection.run(place)
    lines = scored.result(150).read("by_league.csv").decode().split()
    means = {line.split(",")[0]: float(line.split(",")[2]) for line in lines[1:]}
    assert lines[0] == "league,persons,mean" and len(means) == 3
    assert len(set(means.values())) == 3, "not what stands in, which gives the same to all"
    desk = DeskClient(town.owner.desk)
    desk.delete_model(kept["plan"])
    again = town.researcher.connection.run(place)
    until(lambda: state(again) in ("released", "refused", "failed"), 150)
    assert again.state in ("refused", "failed"), "its owner has deleted it"
