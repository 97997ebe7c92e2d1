"""The reference of all settings, written from the dataclasses themselves, so that it cannot be out of date."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from plans.box import Limits as BoxLimits
from store.lab_settings import DEFAULT_PROFILES, Labs, Profile
from store.loading import leaves, variable
from store.settings import OTHER_VARIABLES, Limits, Settings

_BOX_MEANINGS = {
    "memory_mb": "MiB of memory",
    "temp_mb": "MiB of temporary files, which lie in memory and count there",
    "spill_mb": "MiB on the disk for what the engine spills, encrypted",
    "output_mb": "MiB of output",
    "cpu_s": "seconds of processor time",
    "wall_s": "seconds from start to end",
    "processes": "processes and threads",
    "files": "open files",
    "cpus": "processors",
}
_OWN_SECTIONS = ("limits", "labs", "profiles")
_HEAD = """# Settings

<!-- Generated from store/settings.py by tools/settings_reference.py; do not edit. -->

Settings come from one TOML file and from variables; a variable wins. The file is named by `DARKROOM_SETTINGS`,
or is `darkroom.toml` in the working directory; without one, the defaults below hold. A name that is not listed
here is refused. Whole numbers in variables are written in digits, yes and no as `true` and `false`.

```toml
data_folder = "/srv/darkroom"

[limits]
attempts = 2

[limits.query]
memory_mb = 8192

[labs]
idle_hours = 2

[labs.profiles.large]
title = "Large"
title_zh = "大型"
cpus = 8
memory_mb = 32768
```
"""


def settings_reference() -> str:
    """Return `docs/settings.md`."""
    return "\n".join([_HEAD, *_plain(Settings, "", "The installation"), *_plain(Limits, "limits.", "Limits"),
                      *_boxes(), *_plain(Labs, "labs.", "Labs"), *_profiles(), *_others()])  # fmt: skip


def _plain(kind: type, before: str, title: str) -> Iterator[str]:
    yield f"## {title}\n"
    yield "| setting | variable | default | meaning |"
    yield "|---|---|---|---|"
    for each in dataclasses.fields(kind):
        if not dataclasses.is_dataclass(each.default) and each.name not in _OWN_SECTIONS:
            name = before + each.name
            yield f"| `{name}` | `{variable(name)}` | {_shown(each.default)} | {each.metadata['meaning']} |"
    yield ""


def _boxes() -> Iterator[str]:
    entries = [each for each in dataclasses.fields(Limits) if isinstance(each.default, BoxLimits)]
    yield "## Limits of boxes\n"
    yield "`limits.query.memory_mb`, as a variable `" + variable("limits.query.memory_mb") + "`, and so on.\n"
    yield f"| | meaning | {' | '.join(f'`{each.name}`' for each in entries)} |"
    yield "|---" * (len(entries) + 2) + "|"
    for name, meaning in _BOX_MEANINGS.items():
        yield f"| `{name}` | {meaning} | {' | '.join(_shown(getattr(each.default, name)) for each in entries)} |"
    yield ""
    for each in entries:
        yield f"- `{each.name}`: {each.metadata['meaning']}"
    yield ""


def _profiles() -> Iterator[str]:
    yield "## Profiles of labs\n"
    yield (
        "`labs.profiles`: a table `[labs.profiles.NAME]` for each, in the file only. What is left out has the default\n"
        "of this table. A file that names any profile names all that there are.\n"
    )
    yield "| setting | default | meaning |"
    yield "|---|---|---|"
    for each in dataclasses.fields(Profile):
        yield f"| `{each.name}` | {_shown(each.default)} | {each.metadata['meaning']} |"
    listed = ", ".join(f"`{name}` ({profile.tier})" for name, profile in DEFAULT_PROFILES.items())
    yield f"\nWithout any in the file there are {listed}.\n"


def _others() -> Iterator[str]:
    yield "## Other variables\n"
    yield "They are no settings of the platform, and are not refused.\n"
    for name, meaning in OTHER_VARIABLES.items():
        yield f"- `{name}`: {meaning}"
    yield ""


def _shown(default: Any) -> str:
    if default == "":
        return "(empty)"
    if isinstance(default, bool):
        return "`true`" if default else "`false`"
    return f"{default:,}" if isinstance(default, int) else f"`{default}`"


def every_setting() -> tuple[str, ...]:
    """Return the dotted names of all settings."""
    return tuple(name for name, _ in leaves())
