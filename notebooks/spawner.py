"""The spawner: how JupyterHub has a lab started, watched and ended by the launcher of labs.

    start   portal: who, which project, a token ─► plan ─► porter: a port ─► launcher: put, run ─► it answers
    poll    launcher: does it live; portal (once a minute): is its member still one, and in the project
    part    a member may not have the lab, or nobody uses it, or it is old: its pages save, then it is stopped
    stop    launcher: cancel; porter: close; portal: end the token

The Hub may be killed at any moment: what it must know of a lab (plan, port, the sealed token) is in its database
before the launcher hears of it. What the Hub knows nothing of is ended by `notebooks.rounds`.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hmac
import html
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any, ClassVar

from jupyterhub import crypto
from jupyterhub.spawner import Spawner, SpawnException

from notebooks import forms, parting, planning, stages
from notebooks.asking import Launcher, Porter
from notebooks.entrance import Portal
from notebooks.forms import Node
from notebooks.names import member_of
from notebooks.parting import Parting
from notebooks.planning import Choice
from notebooks.settings import LabsSettings
from notebooks.stages import Failure, Said
from plans import frames
from plans.box import BoxState
from plans.errors import DarkroomError, NotFound, NotSignedIn, StateConflict, Unreachable
from plans.labs import loopback_of, notice_key
from plans.plan import Plan

AWAY_S = 60.0
"""For how long a launcher that does not answer is waited for, before its labs count as ended."""

AGAIN_S = 30.0
"""For how long a start is tried anew when the launcher is busy, away, or still ends an older lab of the member."""

ASKED_S = 30.0
"""For how long a page waits for a start that has not begun: the Hub asks the portal about the member first, which may
take it 20 s (Tornado's patience), and sends the browser to the page of starts after a second in any case.
"""

LOOK_S = 0.25
"""How often the porter is asked whether a lab answers."""


class NoLab(SpawnException):
    """Why there is no lab, in both languages, for the page that waited."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure
        both = (
            f"<span lang=en>{html.escape(failure.said.english)}</span><br>"
            f"<span lang=zh>{html.escape(failure.said.chinese)}</span>"
        )
        super().__init__(str(failure.said), reason=failure.reason, message_html=both)
        self.jupyterhub_message, self.jupyterhub_html_message = str(failure.said), both  # for the form


class Neighbours:
    """The processes that the Hub asks."""

    def __init__(self, settings: LabsSettings, secret: str) -> None:
        self.settings = settings
        self.launcher = Launcher(settings.launcher_socket)
        self.porter = Porter(settings.porter_desk)
        self.portal = Portal(settings.portal, secret)


class Story:
    """What was said of a start so far; whoever listens later hears it all."""

    def __init__(self) -> None:
        self._said: list[Said] = []
        self._news = asyncio.Condition()
        self._over = False

    @property
    def last(self) -> Said | None:
        """What was said last."""
        return self._said[-1] if self._said else None

    async def tell(self, said: Said) -> None:
        """Say something, unless it was just said."""
        if self.last != said:
            async with self._news:
                self._said.append(said)
                self._news.notify_all()

    async def end(self) -> None:
        """Nothing more will be said."""
        async with self._news:
            self._over = True
            self._news.notify_all()

    async def heard(self) -> AsyncIterator[Said]:
        """Give everything that was said and will be."""
        at = 0
        while True:
            async with self._news:
                await self._news.wait_for(lambda: self._over or len(self._said) > at)  # noqa: B023
                fresh, over = self._said[at:], self._over
            for said in fresh:
                yield said
            at += len(fresh)
            if over and not fresh:
                return


class LabSpawner(Spawner):
    """One member's lab."""

    neighbours: ClassVar[Neighbours]

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.plan = ""
        self.choice = ""
        self.sealed_token = ""
        self.ended: dict[str, str] = {}
        self._story, self._image = Story(), ("", "")
        self._looked, self._away_since = time.monotonic(), 0.0
        self._asked = float("-inf")
        self._parting: Parting | None = None
        self._stops_at, self._warns_at = 0.0, float("-inf")

    # --- what the Hub's database keeps -------------------------------------

    def get_state(self) -> dict[str, Any]:
        """Return what must survive the Hub; why the last lab ended outlives the lab."""
        kept = {"plan": self.plan, "port": self.port, "choice": self.choice, "token": self.sealed_token}
        return {name: value for name, value in {**kept, "ended": self.ended}.items() if value}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take up what an earlier life of the Hub left."""
        super().load_state(state)
        self.plan, self.port = str(state.get("plan", "")), int(state.get("port", 0))
        self.choice, self.sealed_token = str(state.get("choice", "")), str(state.get("token", ""))
        self.ended = dict(state.get("ended") or {})

    def clear_state(self) -> None:
        """Forget a lab that is gone."""
        super().clear_state()
        self.plan = self.choice = self.sealed_token = ""
        self.port = 0

    def _keep(self) -> None:
        """Write the state now: a Hub that is killed the next moment must find the lab again."""
        self.orm_spawner.state = self.get_state()
        if self.server is not None:
            self.server.proto, self.server.ip, self.server.port = "http", loopback_of(self.port), self.port
        self.user.db.commit()

    # --- what the member chooses -------------------------------------------

    async def get_options_form(self) -> str:
        """Return the form of projects and profiles; nothing where there is no choice."""
        try:
            me = await self.neighbours.portal.me(await self._entrance())
        except DarkroomError:
            return ""  # the start says why
        offered = planning.choices(me)
        if len(offered) < 2:
            self._forget_choice()  # the only one there is counts, and not one that was had before
            return ""
        last = str((self.user_options or {}).get("choice", ""))
        return forms.options_form(me, offered, await self._node(me), last)

    def _forget_choice(self) -> None:
        """Forget what was chosen at an earlier start, which JupyterHub takes where no form is shown."""
        self.user_options = {}
        if self.orm_spawner is not None and self.orm_spawner.user_options:
            self.orm_spawner.user_options = {}
            self.db.commit()

    async def _node(self, me: Mapping[str, Any]) -> Node | None:
        """Return what the node offers; none where it does not say so now, and the start says why."""
        absent = await asyncio.to_thread(planning.absent, self.neighbours.settings, me)
        try:
            return Node.read(await self.neighbours.launcher.tiers(), absent)
        except (DarkroomError, LookupError, TypeError, ValueError):
            return None

    def run_options_from_form(self, form_data: dict[str, Any]) -> dict[str, str]:
        """Return the choice of a posted form; anything else in it is left aside."""
        words = form_data.get("choice") or [""]
        return {"choice": str(words[0])[:200]}

    def options_from_query(self, query_data: dict[str, Any]) -> dict[str, str]:
        """As from the form."""
        return self.run_options_from_form(query_data)

    # --- the start -----------------------------------------------------------

    def expect_start(self) -> None:
        """Remember that the member has asked for the lab."""
        self._asked = time.monotonic()

    @property
    def is_expected(self) -> bool:
        """Whether a start was asked for just now and has not begun; the page of starts waits for it."""
        return time.monotonic() - self._asked < ASKED_S

    async def start(self) -> str:
        """Start the lab and return where it is reached.

        Raises:
            NoLab: says why there is none.
        """
        self.ended, self._story, self._image = {}, Story(), ("", "")
        self._parting, self._warns_at = None, float("-inf")
        try:
            return await self._start()
        except DarkroomError as problem:
            raise NoLab(await self._why(stages.failure(problem, self._image[0]))) from None
        except NoLab as none:
            raise NoLab(await self._why(none.failure)) from None
        finally:
            await self._story.end()

    async def _why(self, failure: Failure) -> Failure:
        """Return why there is no lab. What did not come up in an image that is not whole any more has that reason."""
        image, digest = self._image
        if failure.reason not in stages.OF_BOXES or not digest:
            return failure
        whole = await asyncio.to_thread(planning.is_whole, self.neighbours.settings, digest)
        return failure if whole else stages.damaged(image)

    async def _start(self) -> str:
        neighbours, settings = self.neighbours, self.neighbours.settings
        await self._story.tell(stages.ASKED)
        entrance = await self._entrance()
        me = await neighbours.portal.me(entrance)
        choice = planning.chosen(me, Choice.read(str((self.user_options or {}).get("choice", ""))))
        named = str(me["profiles"][choice.profile]["image"])
        self._image = named, ""
        image = planning.image_of(settings, named)
        self._image = named, image
        plan = planning.plan_of(settings, me, choice, image)
        token = str((await neighbours.portal.lab_token(entrance, choice.project))["token"])
        self.plan, self.choice, self.sealed_token = plan.digest, choice.word, await sealed(token)
        self.port = 8888  # the server's own, in its box
        environment = {**self.get_env(), **planning.environment_of(settings, plan, token)}
        self.port = await neighbours.porter.open(plan.digest, environment)
        self._looked = time.monotonic()
        self._keep()
        await self._story.tell(stages.HANDED_IN)
        await self._run(plan, environment)
        await self._story.tell(stages.ANSWERS)
        return f"http://{loopback_of(self.port)}:{self.port}"

    async def _run(self, plan: Plan, environment: dict[str, str]) -> None:
        """Have the plan run; return once its server answers. A busy node, or an older lab that ends, is waited for."""
        until = time.monotonic() + AGAIN_S
        while True:
            try:
                await self.neighbours.launcher.put(plan)
                return await self._attend(plan, environment)
            except (Unreachable, StateConflict):
                if time.monotonic() > until:
                    raise
            await self._story.tell(stages.BUSY)
            await asyncio.sleep(1)

    async def _attend(self, plan: Plan, environment: dict[str, str]) -> None:
        """Listen to the launcher until the lab's server answers; raises what ended it before."""
        settings, runs = self.neighbours.settings, asyncio.Event()
        async with self.neighbours.launcher.run(plan.digest) as told:
            ended = asyncio.create_task(self._listen(told, runs))
            answers = asyncio.create_task(self._answers(plan.digest, environment, runs))
            try:
                await self._first(ended, runs.wait(), settings.wait_s, stages.too_long(settings.wait_s, None))
                await self._first(ended, answers, settings.answer_s, stages.silent(settings.answer_s))
            finally:
                for task in (ended, answers):
                    task.cancel()
                await asyncio.gather(ended, answers, return_exceptions=True)

    async def _first(self, ended: asyncio.Task[None], other: Any, within_s: float, else_: Failure) -> None:
        """Wait for `other`; raises what ended the lab if that comes first, and `NoLab` when time is over."""
        wanted = asyncio.ensure_future(other)
        done, _ = await asyncio.wait({ended, wanted}, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        if ended in done:
            wanted.cancel()
            await ended
        elif wanted in done:
            await wanted
        else:
            wanted.cancel()
            last = self._story.last
            raise NoLab(stages.too_long(int(within_s), last) if else_.reason == "waited-too-long" else else_)

    async def _listen(self, told: AsyncIterator[dict[str, Any]], runs: asyncio.Event) -> None:
        """Tell what the launcher tells; raises what ended the lab."""
        async for frame in told:
            if "waiting" in frame:
                await self._story.tell(stages.waiting(frame["waiting"]))
            elif "state" in frame:
                if frame["state"] == BoxState.STARTING:
                    await self._story.tell(stages.STARTING)
                elif frame["state"] == BoxState.RUNNING:
                    runs.set()
            else:
                frames.settle(frame, "launcher")
                raise NoLab(stages.stopped(None))
        raise Unreachable("the launcher ended the conversation", "launcher")

    async def _answers(self, plan: str, environment: dict[str, str], runs: asyncio.Event) -> None:
        """Wait until the lab's server answers at the porter; a porter that was restarted gets the settings again."""
        await runs.wait()
        await self._story.tell(stages.RUNNING)
        while True:
            with contextlib.suppress(Unreachable, NotFound):
                status = await self.neighbours.porter.status(plan)
                if not status["settings"]:
                    self.port = await self.neighbours.porter.open(plan, environment)
                if status["asked"]:
                    await self._story.tell(stages.SERVER)
                if status["asked"] and status["answers"]:
                    return
            await asyncio.sleep(LOOK_S)

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        """Give the stages of the start as they come, for the page that waits."""
        async for said in self._story.heard():
            yield {
                "progress": said.progress,
                "message": str(said),
                "html_message": f"<span lang=en>{html.escape(said.english)}</span><br>"
                f"<span lang=zh>{html.escape(said.chinese)}</span>",
            }

    # --- its life ------------------------------------------------------------

    async def poll(self) -> int | None:
        """Return none while the lab lives or waits, else a number; why it ended is kept for the member."""
        if not self.plan:
            return 0
        if self.ended:
            return 1  # the Hub asks again before it believes it, and the first reason is the true one
        try:
            lives = self.plan in await self.neighbours.launcher.living()
            lives = lives or self.plan in await self.neighbours.launcher.living(fresh_s=0)
        except Unreachable:
            self._away_since = self._away_since or time.monotonic()
            if time.monotonic() - self._away_since < AWAY_S:
                return None
            return await self._over(stages.LAUNCHER_DOWN)
        self._away_since = 0.0
        if not lives:
            problem = await self.neighbours.launcher.ending(self.plan)
            return await self._over(self._parting.over if self._parting else stages.stopped(problem))
        if self._parting is None and (unwelcome := await self._unwelcome()) is not None:
            await self.part(unwelcome)
        if self._parting is not None and time.monotonic() >= self._stops_at:
            await self.stop()
            return 1
        await self._warn()
        return None

    async def _unwelcome(self) -> Parting | None:
        """Return why the member may not have this lab any more, as far as the portal says so."""
        if time.monotonic() - self._looked < self.neighbours.settings.membership_s:
            return None
        self._looked = time.monotonic()
        try:
            projects = await self.neighbours.portal.projects(member_of(self.user.name))
        except DarkroomError:
            return None  # while the portal is down nobody can have been told anything else
        if not projects:
            return parting.MEMBERSHIP_ENDED
        return None if Choice.read(self.choice).project in projects else parting.PROJECT_ENDED

    def look_again(self) -> None:
        """Ask the portal at the next look whether the member may have the lab, however short ago it was asked."""
        self._looked = float("-inf")

    @property
    def is_parting(self) -> bool:
        """Whether the lab is about to end, and its pages save."""
        return self._parting is not None

    async def cull(self) -> None:
        """Begin the end of a lab that nobody uses, or that is as old as it may be; else change nothing."""
        settings, kept = self.neighbours.settings, self.orm_spawner
        if parting.hours_since(kept.last_activity or kept.started) >= settings.idle_hours:
            await self.part(parting.idle(settings.idle_hours))
        elif parting.hours_since(kept.started) >= 24 * settings.age_days:
            await self.part(parting.old(settings.age_days))

    async def part(self, why: Parting) -> None:
        """Begin the lab's end: rights that the member may not have end first, then its pages are told."""
        if self._parting is not None:
            return
        self._parting, grace_s = why, self.neighbours.settings.grace_s
        self._stops_at = time.monotonic() + grace_s + parting.HEAR_S
        token = await opened(self.sealed_token)
        if why.rights:
            await self._end_rights(token)
        heard = await self._say(token, {"kind": parting.ENDING, "left_s": grace_s, **why.told()})
        self._stops_at = time.monotonic() + (grace_s if heard else 0)

    async def _warn(self) -> None:
        """Say once, early enough, that the lab will be as old as it may be; again where its server did not hear."""
        days = self.neighbours.settings.age_days
        left_s = 3600 * (24 * days - parting.hours_since(self.orm_spawner.started))
        if time.monotonic() < self._warns_at or self._parting or not parting.is_warned(days, left_s):
            return
        self._warns_at = time.monotonic() + parting.WARNED_AGAIN_S  # this look waits until it is heard
        said = parting.warning(days)
        token = await opened(self.sealed_token)
        if await self._say(token, {"kind": parting.WARNING, "left_s": left_s, **said}):
            self._warns_at = float("inf")

    async def _say(self, token: str, said: Mapping[str, Any]) -> bool:
        """Say something to the lab's pages; return whether its server heard."""
        if not token or self.server is None:
            return False
        return await parting.tell(self.port, self.server.base_url, notice_key(token), said)

    async def _over(self, why: Failure) -> int:
        """Note why the lab ended, and let go of what was its."""
        plan, token = self.plan, self.sealed_token
        await self._note(why)
        await self._let_go(plan, token)
        return 1

    async def _note(self, why: Failure) -> None:
        """Note why the lab ended: for the Hub's pages, and for the lab's own, which show the key that they have."""
        token = await opened(self.sealed_token)
        self.ended = {"english": why.said.english, "chinese": why.said.chinese, "reason": why.reason}
        self.ended |= {"key": notice_key(token)} if token else {}

    def why_ended(self, key: str) -> dict[str, Any] | None:
        """Return why the lab ended, for a page of it that shows its key; none where it lives, or the key is another."""
        known = self.ended.get("key", "")
        if not known or not hmac.compare_digest(known.encode(), key.encode()):
            return None
        again = not parting.is_for_good(self.ended["reason"])
        return {"en": self.ended["english"], "zh": self.ended["chinese"], "again": again}

    async def stop(self, now: bool = False) -> None:
        """End the lab; its home stays. A look meanwhile can have the Hub forget the lab: what it had is read first."""
        plan, token = self.plan, self.sealed_token
        if self._parting is not None:
            await self._note(self._parting.over)
        try:
            with contextlib.suppress(Unreachable):
                await self.neighbours.launcher.cancel(plan)
                for _ in range(60):
                    if plan not in await self.neighbours.launcher.living(fresh_s=0):
                        break
                    await asyncio.sleep(LOOK_S)
        finally:
            await self._let_go(plan, token)

    async def _let_go(self, plan: str, token: str) -> None:
        """Close a lab's port and end its token, which is given sealed."""
        self._parting = None
        with contextlib.suppress(DarkroomError):
            await self.neighbours.porter.close(plan)
        if self.sealed_token == token:
            self.sealed_token = ""
        await self._end_rights(await opened(token))

    async def _end_rights(self, token: str) -> None:
        if token:
            with contextlib.suppress(DarkroomError):
                await self.neighbours.portal.end(token)

    async def _entrance(self) -> str:
        """Return the member's entrance token; raises `NotSignedIn` if there is none."""
        kept = await self.user.get_auth_state()
        token = (kept or {}).get("access_token")
        if not token:
            raise NotSignedIn("the sign-in has ended", "portal")
        return str(token)


async def sealed(token: str) -> str:
    """Return a token under the key of the Hub's state, as text."""
    return base64.b64encode(await crypto.encrypt({"token": token})).decode()


async def opened(text: str) -> str:
    """Return the token of such a text; nothing if it is not under today's key."""
    try:
        return str((await crypto.decrypt(base64.b64decode(text)))["token"]) if text else ""
    except (crypto.EncryptionUnavailable, crypto.InvalidToken):
        return ""
