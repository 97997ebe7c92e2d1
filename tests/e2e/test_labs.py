"""A researcher's day in a lab, in a real browser: one sign-in, a lab that tells how it starts, work on look-alike data,
a refusal and its advice, a job on the real data, a result, and the end of it all.

The tests of this module follow each other, as the day does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from notebooks.names import host_of
from tests.e2e import jupyterlab
from tests.e2e.jupyter_wire import Visitor
from tests.e2e.jupyterlab import Notebook
from tests.e2e.labs_town import Guest, LabsTown, until

pytestmark = [pytest.mark.box, pytest.mark.ray]

REFUSED = "select league, max(income) as m from tax.income group by league"
TWIN = "select league, count(*) as n from tax.income group by league"
COUNTED = """
def counted():
    import os
    import darkroom
    rows = darkroom.table("tax.income").to_pandas()
    print(sorted(os.environ))
    darkroom.out("m.json").write_text('{"n": %d}' % len(rows))
tables, outputs = {"tax.income": ["league"]}, {"m.json": "metrics"}
tried = darkroom.submit(counted, on="twin", tables=tables, outputs=outputs)
print(tried.result().read("m.json").decode(), tried.result().look_alike)
print(tried.logs())
print(tried.result().notes)
"""
GREEDY = """
kept = 41
def greedy():
    import os
    held = [bytearray(os.urandom(1)) * 2**26 for _ in range(24)]
darkroom.submit(greedy, on="twin", tables=tables, outputs=outputs).result()
"""
MANY = """
def many():
    import os, time
    for _ in range(6):
        if os.fork() == 0:
            held = bytearray(os.urandom(1)) * (300 * 2**20)
            time.sleep(60)
    time.sleep(60)
darkroom.submit(many, on="twin", tables=tables, outputs=outputs).result()
"""


@pytest.fixture(scope="module")
def chen(labs_town: LabsTown) -> Guest:
    """A researcher who signs in once, at the portal."""
    guest = labs_town.member("chen")
    labs_town.sign_in(guest)
    return guest


@pytest.fixture(scope="module")
def stages(labs_town: LabsTown, chen: Guest) -> list[str]:
    """What the page told while the lab started."""
    heard = labs_town.stages(chen)
    jupyterlab.wait_until_usable(chen.page)
    return heard


@pytest.fixture(scope="module")
def notebook(stages: list[str], chen: Guest) -> Iterator[Notebook]:
    """A notebook in the lab."""
    yield chen.lab.new_notebook()


def left_of(notebook: Notebook) -> tuple[int, int]:
    """Return how many uses of the grant are left, and how many it gave."""
    shown = re.search(r"(\d+) of (\d+) plans", notebook.run("darkroom.budget()").text)
    assert shown
    return int(shown[1]), int(shown[2])


def test_a_lab_tells_how_it_starts_in_both_languages_and_asks_for_no_second_sign_in(
    stages: list[str], chen: Guest
) -> None:
    told = "\n".join(stages)
    assert "JupyterLab is loading." in told and "JupyterLab 正在加载" in told, told
    assert "The lab is handed to its node" in told or "Its box is being started" in told, told
    host = host_of(chen.username, "labs.localhost", "user")
    assert f"//{host}:" in chen.page.url, "each lab has a host of its own"


def test_cells_run_and_draw(notebook: Notebook) -> None:
    assert notebook.run("print('你好'); 6 * 7").text.split() == ["你好", "42"]
    drawn = notebook.run("import matplotlib.pyplot as plt\nplt.plot([1, 3, 2]); plt.show()")
    assert drawn.pictures == 1
    named = notebook.run("def mine():\n    return [][1]\nmine()").text
    assert "IndexError" in named


def test_the_catalog_and_look_alike_data_are_there_and_cost_nothing(notebook: Notebook) -> None:
    assert "tax.income" in notebook.run("import darkroom\ndarkroom.datasets()").text
    sample = notebook.run("darkroom.sample('nm/tax/income', rows=3)").text
    assert "LOOK-ALIKE" in sample and "仿真数据" in sample
    answered = notebook.run(f"darkroom.sql('{TWIN}', on='twin').result()").text
    assert "LOOK-ALIKE" in answered and "no figure says anything about the real data" in answered
    magic = notebook.run(f"%%darkroom --on twin\n{TWIN}").text
    assert "LOOK-ALIKE" in magic
    assert "[]" in notebook.run("list(darkroom.jobs())").text, "no job came of it"


def test_a_function_runs_on_look_alike_data_within_the_walls_of_the_lab(notebook: Notebook) -> None:
    told = notebook.run(COUNTED).text
    assert '{"n": 1000} True' in told, told
    assert "DARKROOM_DATA" in told and "DARKROOM_TOKEN" not in told, "it gets nothing of the member's"
    assert "the packages of the jobs' image on which this lab's image was built" in told
    assert "Jobs have another image" not in told, "this lab's image was built on the one that jobs have"


def test_a_program_that_wants_more_memory_than_the_lab_has_ends_alone(
    labs_town: LabsTown, notebook: Notebook
) -> None:
    """Its control is the function before: it ran well in the same lab. Without the bound `MANY` ends the whole lab."""
    for code in (GREEDY, MANY):
        told = notebook.run(code).text
        assert "the program needed more memory than this lab has left for it" in told, told
        assert "Work on fewer columns or in parts" in told and "Traceback (most recent call last)" not in told
    assert notebook.run("kept + 1").text.strip() == "42", "the kernel goes on, with what was not saved"
    assert labs_town.living()


def test_what_a_labs_token_cannot_list_names_what_can_be_seen(notebook: Notebook) -> None:
    told = notebook.run("darkroom.grants()").text
    assert "a lab's token cannot list your grants" in told and "darkroom.budget() shows your grants" in told


def test_keys_are_made_in_the_lab_and_what_a_lab_may_not_do_is_done_at_the_portal(
    labs_town: LabsTown, chen: Guest, notebook: Notebook
) -> None:
    fingerprint = labs_town.make_keys(chen, notebook)
    refused = notebook.run("darkroom.apply('nm/tax/income', ['league', 'income'], until='2030-01-01')")
    assert "a lab cannot apply for you" in refused.text
    (address,) = set(re.findall(rf"{labs_town.portal}/apply\S+", refused.text))
    labs_town.apply(chen, address)
    labs_town.grant(chen, fingerprint)
    assert "Trusted for nm/tax" in labs_town.trust_keeper(chen)
    assert left_of(notebook)[0] == left_of(notebook)[1], "asking what is left costs nothing"


def test_a_refusal_names_the_rule_and_its_advice_passes(notebook: Notebook) -> None:
    refused = notebook.run(f"darkroom.sql('{REFUSED}', on='real').result()")
    assert "The owner's policy says no" in refused.text and "column-use" in refused.text
    assert "steward or approver of nm/tax" in refused.text
    assert "Traceback (most recent call last)" not in refused.text, "the member's own line and no more"
    rewritten = re.search(r"^select .*avg\(income\).*$", refused.text, re.MULTILINE)
    assert rewritten, "a text to copy"
    assert "allowed" in notebook.run("darkroom.try_it()").text
    passed = notebook.run(f'job = darkroom.sql("""{rewritten[0]}""", on="real")\njob.wait().result()')
    assert "呼和浩特" in passed.text and "verified against the keeper key" in passed.text


def test_a_job_is_watched_and_its_result_is_opened_and_drawn(notebook: Notebook) -> None:
    statement = "select league, count(*) as n, sum(income) as s from tax.income group by league"
    watched = notebook.run(f"job = darkroom.sql('{statement}', on='real')\njob.wait(); job")
    assert (
        "released" in watched.text and "submitted" in watched.text and "nobody: it has ended" in watched.text
    )
    result = notebook.run("result = job.result(); result.to_pandas().sort_values('league').n.tolist()")
    assert result.text.strip() == "[200, 200, 200]", "as the data say, without the three of the small group"
    assert notebook.run("result.plot()").pictures >= 1
    left, given = left_of(notebook)
    assert left == given - 2, "the two jobs of this day"
    notebook.run("result; job; result")
    notebook.run("job")
    assert left_of(notebook) == (left, given), "showing an object spends nothing"


def test_a_kernel_that_dies_is_told_and_the_text_stays(chen: Guest, notebook: Notebook) -> None:
    notebook.start("import os; os._exit(1)")
    said = chen.lab.dialog()
    assert "died" in said or "restart" in said.lower(), said
    chen.lab.dismiss()
    assert "os._exit(1)" in notebook.panel.inner_text()
    assert notebook.run("1 + 1").text.strip() == "2"


def test_a_notebook_that_is_too_large_is_refused_in_a_sentence(chen: Guest, notebook: Notebook) -> None:
    make = "with open('huge.ipynb', 'wb') as file: file.truncate({} * 2**20)"
    said = notebook.run(make.format(2048)).text
    assert "One file can have at most 256 MB in this lab: write it in parts" in said, "more than the home has"
    assert "单个文件最多 256 MB" in said
    notebook.run(make.format(70))
    answer = chen.visitor().ask("GET", "api/contents/huge.ipynb")
    assert answer.status_code == 413
    said = answer.json()["message"]
    assert "more than 64 MB are not opened here" in said and "超过 64 MB" in said and "Traceback" not in said
    page = chen.context.new_page()
    page.goto(chen.page.url.partition("/lab")[0] + "/lab/workspaces/another/tree/huge.ipynb")
    assert "64 MB" in jupyterlab.JupyterLab(page).dialog()
    page.close()
    notebook.run("import os; os.remove('huge.ipynb')")
    assert notebook.run("2 + 2").text.strip() == "4", "the server and the kernel go on"


def test_work_outlives_a_lab(labs_town: LabsTown, chen: Guest, notebook: Notebook) -> None:
    notebook.note("# only in the page until it is saved")
    notebook.save()
    labs_town.stop_lab(chen)
    assert until(lambda: not labs_town.living())
    labs_town.open_lab(chen)
    text = chen.visitor().ask("GET", "api/contents/Untitled.ipynb").text
    assert "only in the page until it is saved" in text
    assert "os._exit(1)" in text


def test_signing_out_ends_lab_token_and_session(labs_town: LabsTown, chen: Guest) -> None:
    token = chen.visitor().kernel().run("import os; print(os.environ['DARKROOM_TOKEN'])").text.strip()
    portal = Visitor(labs_town.portal, "/", headers={"Authorization": f"Bearer {token}"})
    assert portal.ask("GET", "/api/v1/datasets").status_code == 200, "the control: it was good"
    page = chen.context.new_page()
    page.goto(labs_town.hub + "/hub/home")
    expect(page.get_by_role("button", name="Open the lab")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(labs_town.portal + "/**")
    assert until(lambda: not labs_town.living())
    assert until(lambda: portal.ask("GET", "/api/v1/datasets").status_code == 401)
    page.goto(labs_town.portal + "/")
    if page.get_by_role("button", name="Sign out").count():
        page.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="Sign in").wait_for()
    page.goto(labs_town.hub + "/hub/home")
    page.get_by_label("Password").wait_for()
    assert page.url.startswith(labs_town.portal), "who has gone is asked at the portal again"
    page.close()
