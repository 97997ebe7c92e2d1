"""The component box: runs an entry of the algorithm library on tables that a loader streams to it.

Unlike a member's program a component is the platform's own code, and the owner trusts it by the image's digest. The
libraries below it are not ours and work on data, so nothing that they say leaves: their texts go nowhere, and what went
wrong is one of few codes. Which of all reasons that lie in the data it was is not told (`component.failed`).

What the component made is packed and sealed for the box that re-encodes it: `files/` its outputs, and `evidence/` what
stands beside each row of a table (`components.evidence`). For the owner's keeper it leaves the fingerprints of the sets
of persons, a table for each output that is a table or a model, in the order of the task (`plans.sets`).
"""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from components import api as components
from inside import leavings, streams
from inside.session import BoxFailure, Session
from plans import sets
from plans.artifacts import Form
from plans.box import Limits
from plans.decision import Obligations
from plans.errors import DarkroomError, Malformed
from plans.handover import EVIDENCE, FILES, OUTPUT, SETS
from plans.tasks import ComponentTask, task_of

if TYPE_CHECKING:
    import pyarrow as pa

_THREADS = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "RAYON")
_OF_LIBRARIES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What libraries raise when data do not suit them."""


def warm(limits: Limits) -> None:
    """Load what every component needs, after telling the libraries how many processors there are."""
    for library in _THREADS:
        os.environ[f"{library}_NUM_THREADS"] = str(limits.cpus)
    os.environ["LOKY_MAX_CPU_COUNT"] = str(limits.cpus)
    importlib.import_module("components.evidence")


def run(session: Session) -> dict[str, Any]:
    """Run the task's component and write what it made; the report says nothing.

    Raises:
        BoxFailure: `component.task` for a task that does not fit its component or its tables; `component.inputs` when
            a table does not come to its end; `component.memory`; `component.failed` for every reason in the data.
    """
    task, obligations = _asked(session)
    with _silent():
        try:
            values = components.require_task(task)
            tables = [_received(session, link.name) for link in session.plan.stage(session.stage).links]
            rules = _rules(obligations)
            relations = [need.relation for need in task.needs]
            work = components.perform(task.component, tables, values, rules, relations)
        except MemoryError:
            raise BoxFailure("component.memory") from None
        except DarkroomError:
            raise BoxFailure("component.task") from None
        except (components.NoFit, *_OF_LIBRARIES):
            raise BoxFailure("component.failed") from None
    _write(session, task, work)
    return {}


def _asked(session: Session) -> tuple[ComponentTask, Obligations]:
    plan = session.plan
    task = task_of(plan.request) if plan.request else None
    if not isinstance(task, ComponentTask) or plan.decision is None or plan.decision.obligations is None:
        raise Malformed("a component needs a task and obligations", "plan")
    return task, plan.decision.obligations


def _rules(obligations: Obligations) -> components.Rules:
    """Return what the component must know; only the image of components carries what knows of margins."""
    margins = importlib.import_module("airlock.secondary").complete if obligations.checks.margins else None
    return components.Rules(obligations.minimum_group, obligations.checks.degrees, margins)


def _received(session: Session, link: str) -> pa.Table:
    """Return the table that comes over a link.

    Raises:
        BoxFailure: `component.inputs`: it broke off, or is not what the loader sent.
    """
    import pyarrow as pa
    from pyarrow import ipc

    try:
        with session.links[link].open() as stream:
            source = streams.receive(stream, session.keys.links[link], link)
            with ipc.open_stream(source) as reader:
                table = reader.read_all()
            if source.read(1):  # also says that the end was the sender's
                raise BoxFailure("component.inputs")
    except MemoryError:
        raise
    except (DarkroomError, pa.ArrowException, OSError):
        raise BoxFailure("component.inputs") from None
    return table


def _write(session: Session, task: ComponentTask, work: components.Work) -> None:
    files = {f"{FILES}{name}": content for name, content in work.files.items()}
    files |= {f"{EVIDENCE}{name}.json": content for name, content in work.evidence.items()}
    session.write(OUTPUT, leavings.pack(files))
    counted = [each.name for each in task.artifacts if each.form in (Form.TABLE, Form.MODEL)]
    session.write(SETS, sets.pack([work.sets[name] for name in counted]))


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Send what libraries print nowhere: on standard output the box speaks with its launcher.

    The descriptor is turned away, too, since libraries of C do not ask Python.
    """
    kept = os.dup(1)
    try:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            os.dup2(nowhere.fileno(), 1)
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
