"""The bodies that calls may have. Strict: a member that is not named here is an error, so nobody sets what is
not theirs to set.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Body(BaseModel):
    """A JSON object with exactly these members, of exactly these types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class SignIn(Body):
    """Member and password."""

    member: str = Field(max_length=400)
    password: str = Field(max_length=1_000)


class NewPassword(Body):
    """The password so far, and the one from now on."""

    old: str = Field(max_length=1_000)
    new: str = Field(max_length=1_000)


class Keys(Body):
    """The public halves of a member's keys: `ed25519:<hex>` and `x25519:<hex>`."""

    signing_key: str = Field(max_length=100)
    opening_key: str = Field(max_length=100)


class NewToken(Body):
    """A token's scopes, what it is for, and how many seconds it lasts."""

    scopes: list[str] = Field(max_length=10)
    label: str = Field(max_length=200)
    lasts: int


class LabToken(Body):
    """The project of a lab."""

    project: str = Field(max_length=100)


class Application(Body):
    """What is applied for; `until` in Unix seconds, `role` empty for the first of the caller's own that may ask."""

    dataset: str = Field(max_length=400)
    columns: list[str] = Field(max_length=500)
    project: str = Field(max_length=100)
    purpose: str = Field(max_length=2_000)
    until: int
    uses: int
    role: str = Field("", max_length=100)


class Decline(Body):
    """Why an application is declined."""

    reason: str = Field(max_length=2_000)


class Statement(Body):
    """A signed statement (`plans.statements.Signed`), and for a grant the application that it answers."""

    signed: dict[str, Any]
    application: str | None = None


class Job(Body):
    """A request (`plans.request.Request`) and its member's signature over it, in hex."""

    request: dict[str, Any]
    signature: str = Field(max_length=200)


class FolderJob(Job):
    """A request for a task of Python, and the folder that it names by hash (`plans.trial.Folder`)."""

    folder: dict[str, Any]


class Component(Body):
    """Parameters of an entry of the algorithm library, and the tables that it is to read."""

    parameters: dict[str, Any]
    relations: list[str] = Field(max_length=8)


class Trial(Body):
    """A task of Python (`plans.tasks.PythonTask`) and its folder, to be tried on made-up tables."""

    task: dict[str, Any]
    folder: dict[str, Any]


class Nothing(Body):
    """An empty object."""
