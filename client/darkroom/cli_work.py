"""Commands about code: run a folder or a component beside the data, and try a folder on made-up tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from darkroom import folder as folders
from darkroom import terminal
from darkroom.cli_access import DryRun, FormatOption, room
from darkroom.cli_jobs import JobId, KeeperKey, Out, follow, price, show_result, statement_text
from darkroom.job import Job
from darkroom.signing import Text
from darkroom.terminal import Format
from plans.errors import Malformed

FolderPath = Annotated[Path, typer.Argument(help="A folder with darkroom.toml in it (docs/jobs.md).")]
Project = Annotated[
    str, typer.Option(help="The project whose grants are used; else the one in darkroom.toml.")
]
Purpose = Annotated[str, typer.Option(help="Why, as in the grant; else the one in darkroom.toml.")]
Wait = Annotated[bool, typer.Option(help="Wait for the result, or end once the job is taken.")]


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(run)
    app.command("try")(try_out)
    for command in (component, components, images, models, retry):
        app.command()(command)


def run(  # noqa: PLR0913 - each is an option that a person may type
    folder: FolderPath,
    project: Project = "",
    purpose: Purpose = "",
    wait: Wait = True,
    out: Out = None,
    keeper_key: KeeperKey = "",
    dry_run: DryRun = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Run a folder of Python beside the data and fetch its checked outputs."""
    if dry_run:
        _tell(folders.read(folder))
        return
    submitted = room().run(folder, project=project, purpose=purpose)
    _go_on(submitted, wait, (keeper_key, out, form))


def try_out(folder: FolderPath, form: FormatOption = Format.TABLE) -> None:
    """Try a folder on made-up tables of the same columns; everything that happens is shown, errors whole."""
    report = room().attempt(folder)

    def draw() -> None:
        place = f"{report.place.file}:{report.place.line}" if report.place else ""
        lines = [Text("ended", report.code or "well")]
        lines += [Text("at", place)] if place else []
        lines += [Text("left", f"{each.name}, {each.size:,} bytes") for each in report.left]
        terminal.facts(lines)
        said = report.text if report.text.strip() not in report.log else ""  # an exception is in the log, too
        for text in filter(None, (report.log, said)):
            terminal.lines(text)

    terminal.write(report.plain(), form, draw)
    if report.code:
        raise typer.Exit(3)


def component(  # noqa: PLR0913 - each is an option that a person may type
    name: Annotated[str, typer.Argument(help="A component: darkroom components lists them.")],
    parameters: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME=VALUE]...", help="Lists are written a,b,c.")
    ] = None,
    table: Annotated[
        list[str] | None, typer.Option(help="A table that it reads, such as tax.income; several in order.")
    ] = None,
    project: Annotated[str, typer.Option(help="The project whose grants are used.")] = ...,  # type: ignore[assignment]
    purpose: Annotated[str, typer.Option(help="Why, as in the grant.")] = ...,  # type: ignore[assignment]
    statement: Annotated[
        Path | None,
        typer.Option(
            help="A file with the statement that it is asked as; else that is shown and you are asked."
        ),
    ] = None,
    wait: Wait = True,
    out: Out = None,
    keeper_key: KeeperKey = "",
    dry_run: DryRun = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Run an entry of the algorithm library beside the data and fetch its checked outputs."""
    connection = room()
    described = {str(each["name"]): each for each in connection.components()}
    if name not in described:
        raise Malformed("the library has no such component", name, f"There are {', '.join(described)}.")
    values = _values(described[name], parameters or [])
    text = connection.asked_as(name, values, table or [])
    if text:
        terminal.say(f"Figures of {', '.join(table or [])} leave with noise, so this is asked: {text}")
    if dry_run and text:
        price(text, project=project, purpose=purpose, spend_micro=0, form=form)
        return
    if dry_run:
        terminal.say(f"Would sign and submit {name} on {', '.join(table or [])} for {project}: {values}")
        return
    meant = _meant(text, statement)
    submitted = connection.component(
        name, values, table or [], project=project, purpose=purpose, statement=meant, on="real"
    )
    _go_on(submitted, wait, (keeper_key, out, form))


def _meant(text: str, file: Path | None) -> str:
    """Return the statement that the member means: of the file, or the one shown, after an explicit yes; none of none.

    Raises:
        Malformed: nobody said yes.
    """
    if file is not None:
        return statement_text("", file).strip()
    if text:
        instead = "Give the statement that you mean to ask, in a file: --statement FILE."
        terminal.confirm("Is this the statement that you mean to sign?", yes=False, instead=instead)
    return text


def components(
    name: Annotated[str, typer.Argument(help="One of them, to see its parameters.")] = "",
    form: FormatOption = Format.TABLE,
) -> None:
    """List the algorithm library 算法库, or describe one entry: its parameters, what leaves and by which rule."""
    found = [each for each in room().components() if name in ("", each["name"])]
    if not found:
        raise Malformed("the library has no such component", name, "List them: darkroom components")

    def draw() -> None:
        if not name:
            lines = [(each["name"], each["title"], each["title_zh"]) for each in found]
            terminal.rows(("name", "what", "中文"), lines)
            return
        each = found[0]
        facts = [Text(key, str(each[key])) for key in ("name", "title", "title_zh", "purpose", "purpose_zh")]
        facts += [Text("reads", ", ".join(each["tables"]))]
        facts += [Text("rule", str(each["disclosure"])), Text("规则", str(each["disclosure_zh"]))]
        terminal.facts(facts)
        terminal.rows(("parameter", "sort", "default", "meaning", "含义"), map(_row, each["parameters"]))  # type: ignore[arg-type]

    terminal.write(found, form, draw)


def images(form: FormatOption = Format.TABLE) -> None:
    """List the images that code may run in, and how many modules each has; --format json names them."""
    found = room().images()
    lines = [(each["name"], each["stage"], len(each["modules"]), each["digest"]) for each in found]
    terminal.write(found, form, lambda: terminal.rows(("name", "for", "modules", "digest"), lines))


def models(form: FormatOption = Format.TABLE) -> None:
    """List kept models 留存模型 of your projects, which stay with their owner: a task may score with them."""
    found = room().models()
    lines = [
        (
            f"{each['job']}/{each['artifact']}",
            each["member"],
            each["project"],
            each["purpose"],
            _read(each["tables"]),
        )
        for each in found
    ]
    heads = ("model", "by", "project", "purpose", "a task that uses it reads")
    terminal.write(found, form, lambda: terminal.rows(heads, lines))


def _read(tables: dict[str, list[str]]) -> str:
    return "; ".join(f"{name}: {', '.join(columns)}" for name, columns in sorted(tables.items()))


def retry(number: JobId, dry_run: DryRun = False) -> None:
    """Have a job that failed or was cancelled run anew."""
    found = room().job(number)
    if dry_run:
        terminal.say(f"Would run {found.id} anew, which is {found.state}.")
        return
    terminal.say(found.retry().sentence)


def _go_on(submitted: Job, wait: bool, shown: tuple[str, Path | None, Format]) -> None:
    keeper_key, out, form = shown
    terminal.say(f"Job {submitted.id}")
    if wait:
        follow(submitted)
        show_result(submitted, keeper_key, form, out)
    else:
        terminal.write(submitted.view, form, lambda: typer.echo(submitted.id))
        terminal.say(f"Next: darkroom result {submitted.id}")


def _tell(work: folders.Work) -> None:
    size = sum(map(len, work.folder.content().values()))
    lines = [Text("starts", " ".join((work.folder.main, *work.folder.arguments)))]
    lines += [Text("files", f"{len(work.folder.files)}, {size:,} bytes, {work.folder.digest}")]
    lines += [Text(f"reads {need.relation}", ", ".join(need.columns)) for need in work.needs]
    lines += [Text(f"scores with {name}", which) for name, which in work.models.items()]
    lines += [Text("leaves", f"{each.name} ({each.form})") for each in work.artifacts]
    terminal.facts(lines)


def _values(described: dict[str, Any], given: list[str]) -> dict[str, Any]:
    """Return parameters as they were typed, each of the sort that the component's description gives it.

    Raises:
        Malformed: one is not written NAME=VALUE, or has a value of another sort.
    """
    sorts = {str(each["name"]): str(each["sort"]) for each in described["parameters"]}
    values: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or name not in sorts:
            what = "there is no such parameter" if equals else "a parameter is written NAME=VALUE"
            raise Malformed(what, text[:60], f"Its parameters are {', '.join(sorts)}.")
        values[name] = _value(sorts[name], value, name)
    return values


def _value(sort: str, text: str, name: str) -> Any:
    if sort in ("words", "columns"):
        return [part for part in text.split(",") if part]
    if sort == "truth" and text in ("true", "false"):
        return text == "true"
    if sort == "whole":
        try:
            return int(text)
        except ValueError:
            raise Malformed("this is a whole number", f"parameter {name}") from None
    if sort == "truth":
        raise Malformed("this is true or false", f"parameter {name}")
    return text


def _row(parameter: dict[str, Any]) -> tuple[str, ...]:
    default = parameter.get("default")
    return (
        str(parameter["name"]),
        str(parameter["sort"]),
        "-" if default is None else str(default),
        str(parameter["meaning"]),
        str(parameter["meaning_zh"]),
    )
