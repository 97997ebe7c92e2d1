"""Names, settings, choices and sentences: what is decided without any process."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notebooks import config, planning, stages
from notebooks.forms import Node
from notebooks.names import host_of, member_of, username_of
from notebooks.planning import Choice
from notebooks.settings import LabsSettings
from plans.box import Limits
from plans.errors import (
    BoxFailed,
    BoxLimit,
    DarkroomError,
    DiskFull,
    NotAllowed,
    NotFound,
    NotSignedIn,
    SettingsWrong,
    StateConflict,
    TierMissing,
    Unreachable,
)
from plans.labs import home_of
from plans.plan import Plan
from sandbox.bubblewrap import offer
from sandbox.contract import Cause
from sandbox.stage import KILLED
from tests.notebooks.fakes import PROFILE, PROJECT
from tests.notebooks.test_porter import settings_in

SEGMENT = st.from_regex(r"(?!any)[a-z][a-z0-9_]{0,8}", fullmatch=True)
MEMBER = st.builds(
    lambda before, domain: f"{before}@{'/'.join(domain)}",
    st.from_regex(r"[a-z][a-z0-9._-]{0,12}", fullmatch=True),
    st.lists(SEGMENT, min_size=1, max_size=4),
)
SECRETS = {"oauth": "a", "cookie": "00" * 32, "state": "11" * 32, "proxy": "b"}
ME = {"name": "li@nm/tax", "projects": [PROJECT], "profiles": {"small": PROFILE}}


@given(MEMBER)
def test_a_name_at_the_hub_means_one_member(member: str) -> None:
    assert "/" not in username_of(member) and member_of(username_of(member)) == member


@given(MEMBER, MEMBER)
def test_two_members_never_have_one_host(one: str, other: str) -> None:
    hosts = {host_of(username_of(member), "labs.localhost", "user") for member in (one, other)}
    assert len(hosts) == len({one, other})
    for host in hosts:
        label = host.partition(".")[0]
        assert len(label) <= 63 and label[2:4] != "--" and host.endswith(".labs.localhost")


def test_settings_have_exactly_their_members(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, 1, 2)
    assert LabsSettings.read(json.loads(json.dumps(settings.plain()))) == settings
    for wrong in (
        {**settings.plain(), "more": 1},
        {**settings.plain(), "hub_port": "1"},
        {**settings.plain(), "keys": ""},
        [],
    ):
        with pytest.raises(SettingsWrong):
            LabsSettings.read(wrong)


def test_the_plan_of_a_lab_is_what_the_portal_said_and_below_the_ceiling(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, 1, 2)
    plan = planning.plan_of(settings, ME, Choice("income", "small"), PROFILE["image"])
    spec = plan.stages[0]
    assert Plan.read(plan.plain()).digest == plan.digest
    assert (
        spec.home is not None
        and spec.home.name == home_of("li@nm/tax")
        and spec.home.mb == PROFILE["home_mb"]
    )
    assert {link.peer for link in spec.links} == {"service:hub", "service:api"}
    assert spec.limits.within(Limits.read(settings.limits))


def test_a_lab_is_told_whom_to_ask_where_somebody_is_named(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, 1, 2)
    plan = planning.plan_of(settings, ME, Choice("income", "small"), PROFILE["image"])
    assert "DARKROOM_ADMINISTRATOR" not in planning.environment_of(settings, plan, "token")
    named = replace(settings, administrator="Wang, extension 12")
    assert LabsSettings.read(json.loads(json.dumps(named.plain()))) == named
    told = planning.environment_of(named, plan, "token")
    assert told["DARKROOM_ADMINISTRATOR"] == "Wang, extension 12"


def test_only_what_is_offered_may_be_chosen() -> None:
    assert planning.chosen(ME, None) == Choice("income", "small")
    for wrong in (Choice("other", "small"), Choice("income", "large")):
        with pytest.raises(NotAllowed):
            planning.chosen(ME, wrong)
    with pytest.raises(NotFound):
        planning.chosen({**ME, "projects": []}, None)


def test_the_form_reads_the_number_of_gpus_as_the_launcher_says_it() -> None:
    """The words of an offer are those of `sandbox.bubblewrap`: were they others, GPUs would count as absent."""
    for gpus in (0, 2, 16):
        told = [{"name": each.name, "how": each.how} for each in offer(True, "memory", gpus).protections]
        node = Node.read([{"tier": "T1", "protections": told}])
        assert node.gpus == {"T1": gpus}
        assert node.lacks({"tier": "T1", "gpus": gpus}) == ("", "")
        assert f"{gpus} GPUs" in node.lacks({"tier": "T1", "gpus": gpus + 1})[0]
        assert "no T2" in node.lacks({"tier": "T2", "gpus": 0})[0]


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        (NotSignedIn("x", "portal"), "sign-in-ended"), (NotFound("x", "project"), "no-project"),
        (NotFound("there is no image 'x'", "y"), "image"), (TierMissing("x"), "tier"),
        (NotAllowed("x", "portal"), "not-allowed"), (StateConflict("x"), "lives-already"),
        (Unreachable("x", "portal"), "portal-down"), (Unreachable("x", "open"), "node-down"),
        (DiskFull("x"), "disk"), (BoxFailed("x", "y"), "box"), (NotAllowed("x", "lab"), "refused"),
    ],
)  # fmt: skip
def test_every_failure_has_a_word_and_a_sentence_in_both_languages(
    problem: DarkroomError, reason: str
) -> None:
    failure = stages.failure(problem)
    assert failure.reason == reason
    assert failure.said.english.endswith((".", "]")) and failure.said.chinese.endswith("。")


def test_why_a_lab_ended_is_whole_in_chinese_and_quoted_where_nobody_translated_it() -> None:
    sentence, advice = KILLED[Cause.MEMORY]
    ended = stages.stopped(BoxLimit(sentence, Cause.MEMORY, advice)).said
    assert "the box reached its limit of memory. Ask for less" in ended.english
    assert "暗盒达到内存限额。请减少所用数据" in ended.chinese and "the box" not in ended.chinese
    assert not re.search(
        "[a-z]{5}", stages.failure(StateConflict("the box of this home has ended")).said.chinese
    )
    foreign = stages.failure(BoxFailed("<i>nobody says this</i>", "x")).said
    assert "<i>nobody says this</i>" in foreign.english and "<i>nobody says this</i>" in foreign.chinese


def test_waiting_says_the_place_and_why() -> None:
    said = stages.waiting({"before": 3, "why": "memory"})
    assert "3 labs are before yours" in said.english and "memory" in said.english and "3 个" in said.chinese


def test_the_configuration_is_that_for_users_who_are_not_trusted(tmp_path: Path) -> None:
    made = config.configure(settings_in(tmp_path, 1, 2), SECRETS)
    hub, spawner, sign_in = made.JupyterHub, made.Spawner, made.OAuthenticator
    assert (
        hub.subdomain_host == "http://labs.localhost:1"
        and not hub.allow_named_servers
        and not hub.admin_access
    )
    assert hub.oauth_require_pkce and hub.cleanup_servers is False and hub.cleanup_proxy is False
    assert (
        spawner.disable_user_config and spawner.env_keep == [] and spawner.oauth_client_allowed_scopes == []
    )
    assert (
        sign_in.enable_pkce and sign_in.basic_auth and sign_in.auth_refresh_strict and not sign_in.admin_users
    )
    scopes = {role["name"]: set(role["scopes"]) for role in hub.load_roles}
    assert "self" not in scopes["user"] and not any(
        "token" in scope or "shares" in scope for scope in scopes["user"]
    )
    assert scopes["server"] == {"users:activity!user", "access:servers!server"}


def test_cookies_are_host_ones_where_browsers_take_them(tmp_path: Path) -> None:
    from dataclasses import replace

    here = settings_in(tmp_path, 1, 2)
    plain = replace(here, address="http://labs.example.org")
    assert not config.configure(plain, SECRETS).JupyterHub.cookie_host_prefix_enabled
    assert config.configure(here, SECRETS).JupyterHub.cookie_host_prefix_enabled, "browsers trust *.localhost"
    secure = config.configure(replace(plain, address="https://labs.example.org"), SECRETS).JupyterHub
    assert secure.cookie_host_prefix_enabled and secure.tornado_settings["cookie_options"]["secure"]


def test_behind_tls_browsers_and_labs_know_the_public_name_and_the_hub_asks_at_the_inner_one(
    tmp_path: Path,
) -> None:
    public, inner = "https://darkroom.example.org", "http://127.0.0.1:8470"
    here = settings_in(tmp_path, 1, 2)
    there = replace(here, address="https://labs.example.org", portal_page=public, portal=inner)
    made = config.configure(there, SECRETS)
    sign_in, hub = made.OAuthenticator, made.JupyterHub
    assert sign_in.authorize_url.startswith(public) and sign_in.logout_redirect_url.startswith(public)
    assert sign_in.oauth_callback_url == "https://labs.example.org/hub/oauth_callback"
    assert sign_in.token_url.startswith(inner) and sign_in.userdata_url.startswith(inner)
    assert hub.trusted_downstream_ips == ["127.0.0.1"]
    assert config.configure(here, SECRETS).JupyterHub.trusted_downstream_ips == [], "the control"
    plan = planning.plan_of(there, ME, Choice("income", "small"), PROFILE["image"])
    told = planning.environment_of(there, plan, "token")
    assert told["DARKROOM_URL"] == told["DARKROOM_PORTAL_PAGE"] == public
    assert not any(inner in value for value in told.values())


def test_labs_are_looked_after_as_often_as_memberships_are_to_be_asked_about(tmp_path: Path) -> None:
    here = settings_in(tmp_path, 1, 2)
    assert config.configure(replace(here, membership_s=1), SECRETS).Spawner.poll_interval == 1
    assert config.configure(here, SECRETS).Spawner.poll_interval == 10, (
        "the control: a lab that ended is seen sooner"
    )
