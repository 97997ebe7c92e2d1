"""Settings: safe without any, strict with some, and documented as they are."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from plans.errors import SettingsWrong
from store import api as store
from store import loading, reference
from store.settings import OTHER_VARIABLES

ROOT = Path(__file__).resolve().parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def load(tmp_path: Path, text: str = "", **variables: str) -> store.Settings:
    file = tmp_path / "darkroom.toml"
    file.write_text(text, encoding="utf-8")
    return store.load_settings(file, variables)


def test_without_any_setting_the_platform_stays_on_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = store.load_settings(environment={})
    assert (settings.host, settings.unsafe_public_host) == ("127.0.0.1", False)
    assert settings.database == f"sqlite:///{tmp_path}/var/centre.db"
    assert settings.limits.query.memory_mb > 0


def test_the_file_is_found_by_its_variable_or_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "darkroom.toml").write_text("port = 1")
    (tmp_path / "other.toml").write_text("port = 2")
    monkeypatch.chdir(tmp_path)
    assert store.load_settings(environment={}).port == 1
    assert store.load_settings(environment={"DARKROOM_SETTINGS": "other.toml"}).port == 2


def test_a_variable_wins_over_the_file_and_the_rest_keeps_its_default(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        'port = 1\ndata_folder = "data"\n[limits]\nattempts = 7\n[limits.query]\nmemory_mb = 99\ncpus = 1\n',
        DARKROOM_LIMITS_QUERY_CPUS="8",
        DARKROOM_PORT="9",
        DARKROOM_UNSAFE_PUBLIC_HOST="true",
        DARKROOM_TEST_PROFILE="ci",
        DARKROOM_HOME="anything",
        HOME="anything",
    )
    default = store.Limits()
    assert (settings.port, settings.unsafe_public_host, settings.limits.attempts) == (9, True, 7)
    assert settings.data_folder == tmp_path / "data"
    assert settings.limits.query == dataclasses.replace(default.query, memory_mb=99, cpus=8)
    assert settings.limits.judge == default.judge


@pytest.mark.parametrize(
    "text, hint",
    [
        ("prot = 1", "port"),
        ('databse_url = "x"', "database_url"),
        ("[limits]\nattempt = 1", "limits.attempts"),
        ("[limits.query]\nmemory = 1", "limits.query.memory_mb"),
        ("[limit]\nattempts = 1", "limits.attempts"),
        ("limits.prase = 1", "limits.parse"),
        ("[labs]\nidle_hour = 1", "labs.idle_hours"),
        ("[lab]\nidle_hours = 1", "labs.idle_hours"),
        ("[labs.profiles.big]\nmemory = 1", "labs.profiles.big.memory_mb"),
        ("[labs.profile.big]\ncpus = 1", "labs.profiles"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_known_one(tmp_path: Path, text: str, hint: str) -> None:
    with pytest.raises(SettingsWrong) as caught:
        load(tmp_path, text)
    assert "there is no setting" in caught.value.what and hint in caught.value.next_step


def test_a_misspelt_variable_is_refused_with_the_nearest_known_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsWrong) as caught:
        load(tmp_path, DARKROOM_DATABSE_URL="sqlite:///x")
    assert caught.value.next_step == "Did you mean DARKROOM_DATABASE_URL?"


@pytest.mark.parametrize(
    "text",
    [
        'port = "1"', "port = 1.5", "port = true", "port = 70000", "session_hours = 0", "unsafe_public_host = 1",
        "data_folder = 3", 'data_folder = ""', "limits = 3", "[limits.query]\nmemory_mb = 0", "[limits]\nattempts = 0",
        "[limits]\nno_such = 1", 'host = "0.0.0.0"', 'host = "tax.example"',
        "port = [", "[port]\nx = 1",
    ],
)  # fmt: skip
def test_a_bad_setting_is_refused_and_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsWrong) as caught:
        load(tmp_path, text)
    assert caught.value.where and caught.value.next_step


@pytest.mark.parametrize(
    "name, text",
    [
        ("DARKROOM_PORT", "x"),
        ("DARKROOM_PORT", ""),
        ("DARKROOM_PORT", "٣"),
        ("DARKROOM_UNSAFE_PUBLIC_HOST", "1"),
    ],
)
def test_a_bad_variable_is_refused_and_named(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(SettingsWrong) as caught:
        load(tmp_path, **{name: text})
    assert caught.value.where == name


def test_a_named_file_that_is_not_there_is_explained(tmp_path: Path) -> None:
    with pytest.raises(SettingsWrong) as caught:
        store.load_settings(environment={"DARKROOM_SETTINGS": str(tmp_path / "none.toml")})
    assert "none.toml" in caught.value.where and "DARKROOM_SETTINGS" in caught.value.next_step


def test_a_password_in_the_url_is_not_shown_with_the_settings() -> None:
    assert "hunter2" not in repr(store.Settings(database_url="postgresql+psycopg://u:hunter2@h/d"))


# ---------------------------------------------------------------------------------------------------- labs


def test_labs_are_on_with_a_weaker_and_a_stronger_profile_and_a_host_of_their_own() -> None:
    labs = store.Settings().labs
    assert labs.on and labs.public_origin == "http://labs.localhost:8471"
    assert {name: profile.tier for name, profile in labs.profiles.items()} == {"small": "T1", "strong": "T2"}
    small = labs.profiles["small"]
    assert (small.cpus, small.memory_mb, small.home_mb, small.image) == (1, 2048, 2048, "notebook")


def test_profiles_in_the_file_are_all_that_there_are_and_keep_their_defaults(tmp_path: Path) -> None:
    text = (
        '[labs]\nidle_hours = 2\nadministrator = "王"\n[labs.profiles.large]\ntitle_zh = "大型"\ncpus = 4\n'
    )
    labs = load(tmp_path, text, DARKROOM_LABS_AGE_DAYS="3").labs
    assert (labs.idle_hours, labs.age_days, labs.port, labs.administrator) == (2, 3, 8471, "王")
    assert labs.profiles == {"large": store.Profile(title_zh="大型", cpus=4)}
    with pytest.raises(TypeError):
        labs.profiles["other"] = store.Profile()  # type: ignore[index]


@pytest.mark.parametrize(
    "text",
    [
        "on = 1", "port = 0", "port = 8470", "idle_hours = 0", "age_days = 0", "token_days = 0", "memory_mb = -1",
        'host = "localhost"', 'host = "127.0.0.1"', 'host = "labs.localhost:8471"', 'host = "http://labs.localhost"',
        'host = "Labs.localhost"', 'host = ""', 'origin = "http://labs.example"', 'origin = "https://labs.example/"',
        'origin = "https://a@labs.example"', 'origin = "https://"', 'origin = "ftp://labs.example"',
        'origin = "https://labs.example?x"', 'origin = "https://127.0.0.1:9"', 'mirror = "relative"',
        'origin = "https://labs.example:443"', 'origin = "http://labs.localhost:80"', 'origin = "https://labs.example:"',
        'origin = "https://labs.example:x"', 'origin = "https://labs.example:99999"', 'origin = "https://labs.0x7f"',
        "profiles = 3", "[labs.profiles]\nbig = 3", "[labs.profiles.Big]\ncpus = 1", '[labs.profiles."a/b"]\ncpus = 1',
        "[labs.profiles.big]\ncpus = 0", "[labs.profiles.big]\ncpus = true", "[labs.profiles.big]\ngpus = 17",
        'administrator = "a\\nb"', '[labs.profiles.big]\ntier = "T3"', '[labs.profiles.big]\nimage = ""',
        "[labs.profiles.big]\nmemory_mb = 99999999", "[labs.profiles.big]\ncpus = 65",
        '[labs.profiles.big]\ntitle = "a\\u0007"',
    ],
)  # fmt: skip
def test_a_bad_setting_of_labs_is_refused_and_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsWrong) as caught:
        load(tmp_path, text if text.startswith("[") else f"[labs]\n{text}")
    assert caught.value.where.startswith("labs") and caught.value.next_step


@pytest.mark.parametrize(
    "portal, labs", [("portal.nm", "portal.nm"), ("portal.nm", "labs.portal.nm"),
                     ("portal.labs.nm", "labs.nm")],
)  # fmt: skip
def test_labs_never_lie_where_a_browser_would_send_them_the_portals_cookie(
    tmp_path: Path, portal: str, labs: str
) -> None:
    for said in (f'host = "{portal}"\nunsafe_public_host = true\n', f'origin = "https://{portal}:8443"\n'):
        text = f'{said}[labs]\norigin = "https://{{}}"\n'
        with pytest.raises(SettingsWrong, match="portal's own host"):
            load(tmp_path, text.format(labs))
        assert load(tmp_path, text.format(labs) + "on = false\n").labs.on is False
        assert load(tmp_path, text.format("labs.elsewhere.nm")).labs.on


LABS = "https://labs.example.org"


@pytest.mark.parametrize(
    "text",
    [
        'origin = "darkroom.example.org"', 'origin = "https://darkroom.example.org/"', 'origin = "https://darkroom"',
        'origin = "https://Darkroom.example.org"', 'origin = "https://darkroom.example.org:443"',
        'origin = "https://darkroom.example.org:0443"', 'origin = "https://a@darkroom.example.org"',
        'origin = "https://10.0.0.7"', 'origin = "https://[::1]:9"', 'origin = "http://darkroom.example.org"',
        'origin = "http://127.0.0.1:8470"', 'origin = "https://darkroom.example.org?x"', 'origin = 3',
        'origin = "https://darkroom.example.org\\n"', 'origin = "https://暗室.example.org"',
    ],
)  # fmt: skip
def test_the_portals_public_origin_is_https_and_spelled_as_browsers_spell_it(
    tmp_path: Path, text: str
) -> None:
    with pytest.raises(SettingsWrong) as caught:
        load(tmp_path, f'{text}\n[labs]\norigin = "{LABS}"\n')
    assert caught.value.where == "origin" and caught.value.next_step


def test_in_production_members_and_this_machine_reach_the_portal_under_two_names(tmp_path: Path) -> None:
    text = f'origin = "https://darkroom.example.org"\n[labs]\norigin = "{LABS}"\n'
    found = load(tmp_path, text)
    assert (found.public_origin, found.listening) == ("https://darkroom.example.org", "http://127.0.0.1:8470")
    assert (
        load(tmp_path, text, DARKROOM_ORIGIN="https://other.example.org:8443").public_host
        == "other.example.org"
    )
    alone = load(tmp_path)
    assert alone.public_origin == alone.listening == "http://127.0.0.1:8470"
    without_labs = 'host = "::1"\n[labs]\non = false\n'
    assert load(tmp_path, without_labs).listening == "http://[::1]:8470"


@pytest.mark.parametrize("host", ["::1", "::", "::ffff:127.0.0.1"])
def test_labs_are_told_apart_by_addresses_that_ipv6_does_not_have(tmp_path: Path, host: str) -> None:
    text = f'unsafe_public_host = true\nhost = "{host}"\n'
    with pytest.raises(SettingsWrong) as caught:
        load(tmp_path, text)
    assert caught.value.where == "host" and caught.value.next_step
    assert load(tmp_path, text + "[labs]\non = false\n").host == host, "the control"


@pytest.mark.parametrize(
    "portal, labs, fits",
    [
        ("", "", True),
        ("", LABS, False),  # browsers would be sent to their own machine to sign in
        ("", "http://labs.localhost:9", True),
        ("", "https://labs.localhost:9", True),
        ("https://darkroom.example.org", LABS, True),
        ("https://darkroom.example.org", "", False),  # and here for their labs
        ("https://darkroom.example.org", "https://labs.localhost", False),
        ("http://darkroom.localhost:9", "", True),
        ("http://darkroom.localhost:9", LABS, False),
    ],
)
def test_nobody_is_led_to_the_own_machine_for_what_is_elsewhere(
    tmp_path: Path, portal: str, labs: str, fits: bool
) -> None:
    text = f'origin = "{portal}"\n[labs]\norigin = "{labs}"\n'
    if fits:
        assert load(tmp_path, text).labs.on
    else:
        with pytest.raises(SettingsWrong) as caught:
            load(tmp_path, text)
        assert "their own" in caught.value.what and caught.value.where in ("origin", "labs.origin")
    assert load(tmp_path, text + "on = false\n").labs.on is False


def test_portal_and_labs_never_listen_on_one_port_in_production_either(tmp_path: Path) -> None:
    text = f'origin = "https://darkroom.example.org"\n[labs]\norigin = "{LABS}"\nport = 8470\n'
    with pytest.raises(SettingsWrong, match="same port"):
        load(tmp_path, text)


def test_profiles_cannot_come_by_a_variable(tmp_path: Path) -> None:
    with pytest.raises(SettingsWrong, match="settings file"):
        load(tmp_path, DARKROOM_LABS_PROFILES="small")


# ----------------------------------------------------------------------------------------------- reference


def test_the_reference_is_current() -> None:
    command = [sys.executable, ROOT / "tools" / "settings_reference.py", "--check"]
    answer = subprocess.run(command, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr


def test_the_reference_names_every_setting_and_variables_are_unmistakable() -> None:
    names = reference.every_setting()
    text = reference.settings_reference()
    assert len({loading.variable(name) for name in names}) == len(names)
    assert not {loading.variable(name) for name in names} & set(OTHER_VARIABLES)
    for name in names:
        assert f"`{name}`" in text or f"`{name.rpartition('.')[2]}`" in text


def test_every_variable_that_the_code_reads_is_known() -> None:
    """A variable that a room reads by itself belongs among the settings, or in `OTHER_VARIABLES`."""
    known = {loading.variable(name) for name in reference.every_setting()} | set(OTHER_VARIABLES)
    places = [ROOT / name for name in PYPROJECT["tool"]["importlinter"]["root_packages"] if name != "store"]
    found = {
        name: str(path)
        for place in [*places, ROOT / "client" / "darkroom", ROOT / "tools"]
        for path in place.rglob("*.py")
        for name in re.findall(r"[\"'`](DARKROOM_[A-Z_]*[A-Z])[\"'`]", path.read_text(encoding="utf-8"))
    }
    assert {name: path for name, path in found.items() if name not in known} == {}
