"""The `darkroom` command: what a member types. The commands are in the `cli_…` modules, by what they are
about.
"""

from __future__ import annotations

import typer

from darkroom import (
    cli_access,
    cli_approvals,
    cli_asking,
    cli_code,
    cli_jobs,
    cli_joint,
    cli_notebook,
    cli_work,
)
from darkroom.terminal import SpeakingGroup

EXIT_CODES = {
    0: "done",
    1: "a defect of Darkroom's own",
    2: "the request is wrong",
    3: "refused by a rule",
    4: "not signed in, or not allowed",
    5: "not found, or not yours to see",
    6: "not reachable, or not ended yet; try again",
    7: "evidence does not hold: tampering or corruption",
}

app = typer.Typer(
    cls=SpeakingGroup,
    name="darkroom",
    help="Use data that you may never see. Results go to standard output, everything else to standard error.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for module in (cli_access, cli_asking, cli_approvals, cli_code, cli_jobs, cli_joint, cli_notebook, cli_work):
    module.add_to(app)


def main() -> None:
    """Run the command line."""
    app()
