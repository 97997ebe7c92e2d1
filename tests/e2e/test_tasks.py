"""Code on data that its author never sees, through real boxes: what leaves, what is told, what survives."""

from __future__ import annotations

import os
import signal
import time

import pytest

from plans.errors import DarkroomError, Unreachable
from plans.statements import Answer
from sandbox import api as sandbox
from tests.drawn import without_drawn
from tests.e2e import town as towns
from tests.e2e import work

pytestmark = [pytest.mark.box, pytest.mark.ray]

SLEEPS = (
    "import time, darkroom\nif darkroom.table('tax.panel').num_rows < 1000:\n    time.sleep({})\n" + work.MAIN
)
"""Only on data: the twin of a table has 1,000 rows."""


@pytest.fixture(scope="module")
def panel(town):
    work.prepare(town)
    return town


def run(town, name, main=work.MAIN, settings=work.SETTINGS):
    place = work.folder(town.folder / "code" / name, main, settings)
    return town.researcher.connection.run(place)


def states(job):
    return [entry.split()[1] for entry in job.refresh().view["timeline"]]


def until(what, patience_s=150):
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if found := what():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come in time")


def busy(town):
    return sandbox.LauncherClient(town.owner.launcher_socket).status()["boxes"]


def state(job):
    try:
        return job.refresh().state
    except Unreachable:
        return ""


def test_a_folder_runs_on_data_and_only_its_checked_outputs_leave(panel, tmp_path):
    job = run(panel, "plain")
    files = job.result(120)
    assert files.names == ("by_league.csv",)
    (path,) = files.save(tmp_path / "out")
    lines = path.read_text().split()
    assert (
        lines[0] == "league,persons,mean" and sorted(line.split(",")[1] for line in lines[1:]) == ["200"] * 3
    )
    assert "阿拉善" not in path.read_text(), "a group of three persons left"
    assert str(towns.CANARY) not in path.read_text()
    assert states(job) == ["submitted", "queued", "trying", "running", "inspecting", "released"]
    assert job.view["cost"] in ("under 10 s", "under 1 min", "under 10 min")


def test_a_component_runs_on_data(panel):
    connection = panel.researcher.connection
    asked = {"columns": ["income"], "by": "league"}
    job = connection.component("describe", asked, ["tax.panel"], project=towns.PROJECT, purpose=towns.PURPOSE)
    table = job.result(120).read("summary.csv").decode()
    assert "呼和浩特" in table and "阿拉善" not in table and str(towns.CANARY) not in table
    assert "trying" not in states(job), "there is no code of a member to be tried"


def test_90_a_line_is_told_where_the_trial_failed_too_and_nowhere_else(panel):
    main = "import darkroom\nrows = darkroom.table('tax.panel').num_rows\n"
    both = run(panel, "both", main + "raise ValueError(rows)\n")
    alone = run(panel, "alone", main + "if rows < 1000:\n    raise ValueError(rows)\n" + work.MAIN)
    told = {}
    for name, job in (("both", both), ("alone", alone)):
        with pytest.raises(DarkroomError) as failure:
            job.result(120)
        told[name] = str(failure.value)
    assert "line 3 of main.py" in told["both"]
    assert "line" not in told["alone"].replace("outline", "")
    assert "600" not in without_drawn(told["alone"] + told["both"]), "an identifier of a job may hold it"


def test_a_job_that_runs_is_cancelled_and_its_boxes_end(panel):
    job = run(panel, "sleeps", SLEEPS.format(400))
    until(lambda: state(job) == "running" and len(busy(panel)) == 2)
    job.cancel()
    until(lambda: not busy(panel))
    assert state(job) == "cancelled" and job.view["retries"]
    with pytest.raises(DarkroomError):
        job.result(5)


@pytest.mark.long
def test_a_killed_dispatcher_is_replaced_and_takes_a_folder_up(panel):
    job = run(panel, "killed", SLEEPS.format(6))
    until(lambda: state(job) == "running" and len(busy(panel)) == 2)
    before = panel.supervisor.pid("dispatcher")
    os.kill(before, signal.SIGKILL)
    until(lambda: panel.supervisor.pid("dispatcher") != before)
    until(lambda: state(job) in ("released", "failed", "refused"))
    assert job.result().names == ("by_league.csv",)


@pytest.mark.long
def test_a_picture_waits_for_people_and_leaves_when_they_agree(panel):
    settings = work.SETTINGS + '"plot.png" = { form = "figure", data = "by_league.csv" }\n'
    draws = (
        "\nfrom matplotlib import pyplot\nmade['mean'].plot.bar()\npyplot.savefig(darkroom.out('plot.png'))\n"
    )
    job = run(panel, "picture", work.MAIN + draws, settings)
    until(lambda: state(job) in ("held", "released", "refused", "failed"))
    assert (job.state, job.waits_for) == ("held", "reviewers"), job.problem()
    work.enrol_reviewers(panel)
    plan, free = job.view["plan_digest"], Answer.RELEASE
    work.review(panel, plan, ("sun", free, False), ("zhou", free, False))
    time.sleep(8)
    assert state(job) == "held", "two opinions are not yet an answer"
    work.review(panel, plan, ("sun", free, True))
    until(lambda: state(job) == "released")
    assert set(job.result().names) == {"by_league.csv", "plot.png"}
    assert job.result().read("plot.png").startswith(b"\x89PNG")


@pytest.mark.long
def test_an_output_that_was_not_declared_does_not_leave(panel):
    job = run(panel, "more", work.MAIN + "darkroom.out('more.csv').write_text('a,persons\\n1,2\\n')\n")
    with pytest.raises(DarkroomError) as refusal:
        job.result(120)
    assert "more.csv" not in str(refusal.value) and refusal.value.next_step
