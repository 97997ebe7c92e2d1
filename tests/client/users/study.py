# ruff: noqa: T201
"""A member's study: what the manual shows, for a type checker. It is checked, and never run."""

import pandas

import darkroom

ASK = "select region, count(*) as n from tax.income group by region order by region"
TABLES = {"tax.income": ["region"]}
OUTPUTS = {"t.csv": {"form": "table", "persons": "count"}}


def either(on: str) -> pandas.DataFrame:
    """One word between look-alike and real."""
    return darkroom.sql(ASK, on=on).result().to_pandas()


def by_region(minimum: int) -> None:
    """A program."""
    darkroom.table("tax.income").to_pandas().to_csv(darkroom.out("t.csv"))


def statements() -> None:
    """Statements on both."""
    tried = darkroom.sql(ASK, on="twin")
    print(tried.result().rows, tried.result().suppressed, tried.explain())
    job = darkroom.sql(ASK, on="real", project="housing", purpose="Study of rents", spend_micro=5)
    result = job.wait(progress=lambda each: print(each.state)).result(timeout=5)
    for row in result:
        print(row, result.rows, result.columns, result.types, len(result))
    result.plot("bar", x="region", y="n").save("chart.vl.json")
    jointly = darkroom.joint(ASK, on="real", servers=["nm/tax", "nm/housing"])
    jointly.wait().result()
    print(darkroom.joint(ASK, on="twin").result().columns)


def programs() -> None:
    """Functions and folders on both."""
    run = darkroom.submit(by_region, on="twin", arguments={"minimum": 10}, tables=TABLES, outputs=OUTPUTS)
    print(run.result().names, run.result().read("t.csv"), run.result().table().to_pandas(), run.report().log)
    real = darkroom.submit(by_region, on="real", tables=TABLES, outputs=OUTPUTS).cancel()
    real.result().save("outputs")
    darkroom.run("study").result().save("outputs")
    print(darkroom.submit("study").result().names)


def components() -> None:
    """The library."""
    found = darkroom.component("describe", {"columns": ["income"]}, ["tax.income"], on="real")
    print(found.id, found.wait().result().to_arrow())
    checked = darkroom.component("describe", {"columns": ["income"]}, ["tax.income"], on="twin")
    print(checked.result().sentence)
    asked = darkroom.component("describe", {}, ["tax.income"], on="real", statement=ASK)
    print(asked.result().to_pandas())


def connected() -> None:
    """The same by a connection."""
    room = darkroom.connect("https://portal.example", token="t")
    print(room.sql(ASK, on="real").result().rows, room.submit("study", on="twin").logs())
    print(
        darkroom.jobs()[0].state,
        darkroom.describe("tax.income")["columns"],
        darkroom.sample("tax.income").columns,
    )
