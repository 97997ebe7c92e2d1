"""The story, chapter by chapter."""

from __future__ import annotations

import dataclasses
import time
from datetime import UTC, datetime, timedelta

from darkroom import signing
from darkroom.result import Result
from examples.region import generate, published
from examples.story import region as scene
from examples.story import tasks
from examples.story.state import PROJECT, PURPOSE, Story
from plans.box import Entry
from plans.errors import DarkroomError
from plans.statements import Duty
from sandbox import api as sandbox
from server import verifying

BY_SECTOR = (
    "select sector, count(*) as people, avg(income) as mean_income,\n"
    "       avg(case when banner = '白云鄂博' then income end) as mean_in_bayan_obo\n"
    "from tax.income where year = 2025 group by sector order by mean_income desc"
)


def people_arrive(story: Story) -> None:
    """Accounts, keys on everybody's own machine, rosters by the root keys."""
    story.people = scene.arrivals(story.region, story.folder / "people")
    story.teller.say(
        f"{len(story.people)} people signed in and made their own keys, each under a passphrase of their own.\n"
        "Every owner's root key signed a roster: who approves, who sets policies, which keeper, which launcher."
    )


def data_come_in(story: Story) -> None:
    """Generate the region, ingest at every owner's desk."""
    data = story.folder / "data"
    generate.generate(data, story.scale, seed=7)
    published.extract_wages(data / "wage.csv")
    rows = []
    for domain, source, description in (
        ("nm/civil", "population.csv", "population.toml"),
        ("nm/tax", "income.csv", "income.toml"),
        ("nm/health", "visits.csv", "visits.toml"),
        ("nm/tax", "wage.csv", "wage.toml"),
    ):
        started = time.monotonic()
        owner = story.region.site.owner(domain)
        manifest = scene.ingest(owner, data / source, generate.DESCRIPTIONS / description)
        seconds = f"{time.monotonic() - started:.1f} s"
        rows.append(
            [manifest.relation, f"{manifest.rows:,}", f"{manifest.persons:,}", manifest.grade.value, seconds]
        )
    story.teller.table(["dataset", "rows", "persons", "grade", "ingested in"], rows)
    story.teller.say(
        "Each became two encrypted files under two keys (identifiers apart), joined by the owner's keyed token,\n"
        "in a box without network; the keeper signed a manifest with the hash of every file."
    )


def policies_are_signed(story: Story) -> None:
    """Stewards sign bundles."""
    for domain in scene.OWNERS:
        leaf = domain.rpartition("/")[2]
        number = scene.set_policies(story.region.site.owner(domain), story.people[f"{leaf} steward"].keys)
        story.teller.say(f"{domain}: policy bundle {number}, signed by its steward, verified by its keeper")


def wang_asks_and_li_grants(story: Story) -> None:
    """An application, and a grant that is signed on the approver's machine."""
    until = (datetime.now(UTC) + timedelta(days=30)).strftime("%Y-%m-%d")
    wang, approver = story.researcher.connection, story.people["tax approver"].connection
    for dataset, columns in (
        ("nm/tax/income", ["region", "banner", "sector", "year", "income", "tax"]),
        ("nm/tax/wage", ["wage", "educ", "female", "married"]),
    ):
        wish = wang.apply(dataset, columns, PURPOSE, project=PROJECT, until=until)
        approver.trust_member(story.researcher.name, story.researcher.fingerprint)  # Wang reads it out to Li
        statement = approver.grant(str(wish["id"]))
        if not story.grant:
            story.teller.say("What the approver's own machine shows before it signs:")
            story.teller.table(["", ""], [[line.label, line.value[:90]] for line in signing.shown(statement)])
        approver.hand_in(statement, str(wish["id"]))
        story.grant = story.grant or statement.digest


def a_job_runs(story: Story) -> None:
    """One statement all the way, with suppressed cells."""
    wang = story.researcher.connection
    wang.trust_keeper("nm/tax", _keeper_key(story, "nm/tax"))
    story.teller.say(BY_SECTOR)
    started = time.monotonic()
    job = story.ask(BY_SECTOR)
    result = job.result()
    story.plan = wang.plan(job.id)
    story.teller.say(
        f"released after {time.monotonic() - started:.2f} s: submitted → … → checked → sealed to Wang"
    )
    _show(story, result)
    statement = "select female, count(*) as people, avg(wage) as wage from tax.wage group by female"
    story.teller.say(f"\nThe same on published microdata:\n{statement}")
    _show(story, story.ask(statement).result())


def three_refusals(story: Story) -> None:
    """No grant, a protected column by a whole-row reference, and groups that are too small."""
    for what, statement in (
        ("Nobody granted this dataset", "select sex, count(*) as n from civil.population group by sex"),
        ("A whole-row reference", "select to_json(i), count(*) as n from tax.income i group by 1"),
        (
            "Groups of very few people",
            "select sector, count(*) as n from tax.income where region = '区外' group by sector",
        ),
    ):
        story.teller.say(f"{what}:\n    {statement}")
        job = story.ask(statement)
        try:
            result = job.result()
        except DarkroomError as refusal:
            story.teller.say(f"  ✗ {refusal}\n")
        else:
            _show(story, result)


def the_centre_lies(story: Story) -> None:
    """A taken-over centre weakens an obligation in a plan that was allowed; the keeper derives it again."""
    plan = story.plan
    if plan is None or plan.decision is None or plan.decision.obligations is None:
        raise AssertionError("the chapter before made a plan")
    weaker = dataclasses.replace(plan.decision.obligations, minimum_group=1)
    forged = dataclasses.replace(plan, decision=dataclasses.replace(plan.decision, obligations=weaker))
    story.teller.say("The centre, taken over, sends Wang's plan again with a minimum group of 1:")
    launcher = sandbox.LauncherClient(story.region.site.owner("nm/tax").launcher_socket)
    launcher.put(forged)
    try:
        launcher.run(forged.digest, Entry.QUERY, 1)
    except DarkroomError as refusal:
        story.teller.say(f"  ✗ {refusal}")
    else:
        raise AssertionError("the keeper believed the centre")


def li_revokes(story: Story) -> None:
    """A revocation works at once."""
    approver = story.people["tax approver"].connection
    statement = signing.revocation_statement("nm/tax", story.grant, approver.signer(), Duty.APPROVER)
    approver.hand_in(statement)
    story.teller.say("The approver revokes the grant. Wang asks the same again:")
    try:
        story.ask(BY_SECTOR).result()
    except DarkroomError as refusal:
        story.teller.say(f"  ✗ {refusal}")
    else:
        raise AssertionError("a revoked grant still gave a result")


def the_log_is_verified(story: Story) -> None:
    """From files alone, with the keepers' signatures."""
    time.sleep(1.5)
    story.teller.say(verifying.report(story.region.site.home).sentence)


CHAPTERS = (
    ("People arrive", people_arrive),
    ("Data come in, on each owner's side", data_come_in),
    ("Stewards sign policies", policies_are_signed),
    ("Wang applies, Li grants", wang_asks_and_li_grants),
    ("A statement runs on data that Wang never sees", a_job_runs),
    ("Three refusals, and what would help", three_refusals),
    ("Wang tries code on made-up data", tasks.code_is_tried),
    ("The same code runs on data, and its table is checked", tasks.code_runs),
    ("People look at what a machine cannot judge", tasks.people_look),
    ("The library of algorithms", tasks.the_library),
    ("Two harmless questions, and seven persons between them", tasks.the_near_question),
    ("A lying centre", the_centre_lies),
    ("A revocation", li_revokes),
    ("The log is verified", the_log_is_verified),
)


def _keeper_key(story: Story, domain: str) -> str:
    """Return the keeper's key as the owner reads it out: from the owner's roster, not from the portal."""
    from server.enrolment import current_roster

    roster = current_roster(story.region.site.owner(domain))
    return next(entry.key for entry in roster.entries if entry.duty is Duty.KEEPER)


def _show(story: Story, result: Result) -> None:
    rows = result.texts()
    story.teller.table(result.columns, rows[:14])
    if len(rows) > 14:
        story.teller.say(f"  … {len(rows) - 14} more rows")
    for note in result.notes:
        story.teller.say(f"  note: {note}")
