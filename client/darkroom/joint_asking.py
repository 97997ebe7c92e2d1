"""What a connection can ask about joint computations: ask for one, read its plan, approve it, open its answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from darkroom import joint_forms, signing
from darkroom.advice import Lesson, teach
from darkroom.joint_forms import Filled, Form
from darkroom.joint_result import JointResult, exactness, open_joint
from darkroom.joint_task import Named
from darkroom.signing import Text
from darkroom.wire import Wire, listed, segment
from keys import api as keys
from plans.errors import DarkroomError, HashMismatch, Malformed, NotFinished, StateConflict, from_problem
from plans.joint import MOST_ATTEMPTS_TOLD, JointPlan, JointTask, Part, Portion, Receipt, Shape
from plans.joint_evidence import JointEvidence, Verifier, verify_joint
from plans.joint_rules import Matching, Opening
from plans.joint_sights import together
from plans.request import Request, RequestKind
from plans.statements import Statement

JOINT_POLL_S = 0.5
"""Pause between two looks at a computation that others are working on."""

NUMBER_DIGITS = 20
"""Digits of a request's digest that are its computation's number: 80 bits, of a signed text that another must meet."""


class Joint:
    """The part of a connection that is about joint computations."""

    _wire: Wire

    if TYPE_CHECKING:

        def request(self, statement: str, *, project: str, purpose: str, kind: RequestKind) -> Request: ...
        def keys(self) -> keys.MemberKeys: ...
        def trusted_keeper(self, domain: str) -> str | None: ...

    def ask_jointly(self, task: JointTask, *, project: str, purpose: str) -> dict[str, Any]:
        """Sign and submit a joint computation; its parties' approvers see it once its plan is made.

        Raises:
            DarkroomError: what the portal says.
        """
        request = self._joint_request(task, project, purpose)
        body = {"request": request.plain(), "signature": signing.signed_request(request, self.keys().signing)}
        found: dict[str, Any] = self._wire.post("/api/v1/joint", body, again=True)
        require_asked(request, str(found["id"]))
        return found

    def ask_form(
        self, form: Form, filled: Filled, named: Named, *, project: str, purpose: str, statement: str
    ) -> dict[str, Any]:
        """Sign and submit a joint question without SQL (`darkroom.joint_forms`); it is signed only if it is, letter by
        letter, the `statement` that the member gives, as `joint_forms.statement` makes it.

        Raises:
            Malformed: a blank or a party is wrong, or the statement is another; the error says which it would be.
            DarkroomError: as `ask_jointly`.
        """
        task = joint_forms.task(form, filled, named)
        if statement != task.statement:
            raise Malformed(
                "this form is asked as a statement, and that is what you sign",
                str(form),
                f"Once you have read it, give statement={task.statement!r}",
            )
        return self.ask_jointly(task, project=project, purpose=purpose)

    def explain_jointly(self, task: JointTask, *, project: str, purpose: str) -> JointPlan:
        """Return the plan that a task would get, with its table of who would see what; nothing is asked of anybody.

        Raises:
            HashMismatch: the plan is about another request than was signed here.
            DarkroomError: which clause, rule or party stands against it.
        """
        request = self._joint_request(task, project, purpose)
        body = {"request": request.plain(), "signature": signing.signed_dry_run(request, self.keys().signing)}
        plan = JointPlan.read(self._wire.post("/api/v1/joint-plans", body, again=True)["plan"])
        if plan.request != request:
            raise HashMismatch("the plan answers another request than the one that was signed", "joint-plan")
        return plan

    def _joint_request(self, task: JointTask, project: str, purpose: str) -> Request:
        text = task.canonical().decode()
        return self.request(text, project=project, purpose=purpose, kind=RequestKind.JOINT)

    def joints(self) -> list[dict[str, Any]]:
        """Return the member's own joint computations, newest first."""
        return listed(self._wire.get("/api/v1/joint"), "joint")

    def joints_to_approve(self) -> list[dict[str, Any]]:
        """Return the joint computations that wait for an approval of this approver's domain."""
        return listed(self._wire.get("/api/v1/joint-approvals"), "joint")

    def joint(self, number: str) -> dict[str, Any]:
        """Return one joint computation: its state, its parties, and which of them have approved it."""
        return self._wire.get(f"/api/v1/joint/{segment(number)}")

    def joint_plan(self, number: str) -> JointPlan:
        """Return a joint plan, its digest computed here.

        Raises:
            HashMismatch: the portal names another digest, or hands over the plan of another request.
        """
        answer = self._wire.get(f"/api/v1/joint/{segment(number)}/plan")
        plan = JointPlan.read(answer["plan"])
        if plan.digest != answer["digest"]:
            raise HashMismatch("the joint plan is not the one that the portal names", str(answer["digest"]))
        require_asked(plan.request, number)
        return plan

    def cancel_joint(self, number: str) -> dict[str, Any]:
        """Cancel a joint computation; all parties end their boxes."""
        return self._wire.post(f"/api/v1/joint/{segment(number)}/cancel", again=True)

    def joint_results(self, number: str) -> dict[str, Any]:
        """Return what was sealed to the recipient, by who handed it over, and the receipts of all parties."""
        return self._wire.get(f"/api/v1/joint/{segment(number)}/results")

    def open_jointly(self, number: str) -> JointResult:
        """Fetch, check and open the answer of a computation that was released, with the keepers' keys that are trusted.

        Raises:
            DarkroomError: as `joint_result.open_joint`.
        """
        plan, results = self.joint_plan(number), self.joint_results(number)
        return open_joint(plan, results, self.keys(), self.trusted_keeper)

    def joint_evidence(self, number: str) -> JointEvidence:
        """Return all that the parties signed about this finished computation, checked for nothing else yet."""
        evidence = JointEvidence.read(self.joint_results(number).get("evidence"))
        require_asked(evidence.joint.request, number)
        return evidence

    def wait_jointly(
        self, number: str, patience_s: float, heard: Callable[[dict[str, Any]], None] = lambda _: None
    ) -> dict[str, Any]:
        """Wait until a computation has ended, and return it; `heard` is told of every new state.

        Raises:
            NotFinished: it has not ended in time; it goes on all the same.
            DarkroomError: it ended without an answer; the sentence says why.
        """
        until, state = time.monotonic() + patience_s, ""
        while time.monotonic() < until:
            found = self.joint(number)
            if found["state"] != state:
                state = found["state"]
                heard(found)
            if state in _ENDED:
                return _ended(found)
            time.sleep(JOINT_POLL_S)
        problem = NotFinished(
            "the joint computation has not ended in time", number, "It goes on; wait again: job.wait()"
        )
        raise teach(problem, Lesson(command=f"Look later: darkroom joint show {number}"))


def require_asked(request: Request, number: str) -> None:
    """Check that a number stands for this request. It is the beginning of the request's digest, so whoever signed the
    request knows which answer is its own: a portal may hand over the one of another question, or of an earlier day.

    Raises:
        HashMismatch: it stands for another.
    """
    if request.digest.removeprefix("sha256:")[:NUMBER_DIGITS] != number:
        raise HashMismatch(
            "the portal answers with the joint computation of another request",
            number,
            "Report it to its operators.",
        )


def verified(evidence: JointEvidence, roots: Mapping[str, str]) -> tuple[Receipt, ...]:
    """Return the receipts of all parties, if everything that they signed fits together from their root keys on.

    Raises:
        DarkroomError: as `plans.joint_evidence.verify_joint`.
    """
    return verify_joint(evidence, roots, Verifier(keys.verify, keys.verify_request))


def approval_of(plan: JointPlan, domain: str, signer: str) -> Statement:
    """Return the approval of exactly this joint plan by one of its parties, not yet signed."""
    plan.party(domain)
    return signing.joint_approval_statement(plan.digest, domain, signer)


def plan_lines(plan: JointPlan) -> list[Text]:
    """Return the lines that say what a joint plan does, and under which model."""
    request = plan.request
    return [
        Text("asked by", f"{request.member}, whose requests are signed by {request.signer}"),
        Text("result sealed to", request.recipient),
        Text("project", request.project),
        Text("purpose", request.purpose),
        Text("statement", plan.task.statement),
        *(
            Text(
                party.domain,
                f"{', '.join(parts(plan, party.domain))}; administered by {party.administration}, hosted by "
                f"{party.hosting}, software of {party.software}",
            )
            for party in plan.parties
        ),
        *(
            Text(f"{portion.domain} computes", f"{portion.stand_in} ({_sent(plan, portion)})")
            for portion in plan.reading.portions
        ),
        Text("matching", _matched(plan)),
        Text("opening", opening_of(plan)),
        *_scheme_lines(plan),
        *_attempt_lines(plan),
        *(Text("exactness", sentence) for sentence in exactness(plan)),
        Text("adversary", plan.trust.adversary),
        Text("randomness", plan.trust.randomness),
        *(Text("if they collude", sentence) for sentence in plan.trust.collusions),
    ]


def _scheme_lines(plan: JointPlan) -> list[Text]:
    scheme, shape = plan.scheme, plan.reading.shape
    reasons = [Text("parameters", sentence) for sentence in scheme.reasons]
    if shape in _AT_MOST:
        return [Text("at most", _AT_MOST[shape].format(scheme.matched)), *reasons]
    counted = "in all parts" if shape is Shape.STACKED else "after matching"
    ring = [Text("ring", f"{scheme.ring_bits} bits, {scheme.matched:,} rows {counted}")]
    return [
        *(ring if plan.task.shared else reasons),
        Text("smallest group", f"{scheme.minimum_group} persons"),
        Text("dominance", f"the two largest persons are at most {scheme.dominance} % of a total"),
    ]


def _attempt_lines(plan: JointPlan) -> list[Text]:
    """Return the line about attempts where an owner is told something before all have ended; none where nobody is."""
    told = " and ".join(dict.fromkeys(filter(None, (plan.task.inspector, plan.learner))))
    if not told:
        return []
    often = f"at most {MOST_ATTEMPTS_TOLD}, if some fail: of each {told} may have had what it is told by then"
    return [Text("attempts", f"{often}, and it is charged")]


_AT_MOST = {
    Shape.COMMON: "{:,} persons in the list",
    Shape.SCORED: "{:,} persons are scored",
    Shape.LOOKUP: "{:,} persons are looked up, and as many questions asked, however few there are",
}


def _sent(plan: JointPlan, portion: Portion) -> str:
    bound, task = portion.bound, plan.task
    if plan.reading.shape is Shape.STACKED:
        form = "shares" if task.shared else "ciphertexts"
        return f"adds up at most {bound:,} rows, and sends {form} of its sums"
    if plan.reading.shape is Shape.COMMON:
        return f"sends {bound:,} pseudonyms, those of nobody among them"
    if plan.reading.shape is Shape.SCORED:
        own = f"sends ciphertexts of {bound:,} rows, those of nobody among them, and has the key"
        return own if portion.domain == task.finder else "answers with ciphertexts of scores, and has no key"
    if plan.reading.shape is Shape.LOOKUP:
        own = f"asks {bound:,} times, for nobody where there are fewer persons, and never says for whom"
        return own if portion.domain == task.finder else f"answers from at most {bound:,} records"
    if portion.domain == task.collector:
        return "multiplies ciphertexts with its own rows, and has no key"
    return f"sends {'ciphertexts of ' if task.collector else ''}{bound:,} rows"


def opening_of(plan: JointPlan) -> str:
    """Return who sees figures, or what is told of persons, first, in words."""
    task = plan.task
    if task.inspector:
        return f"inspected: the airlock of {task.inspector} sees every figure, and opens what may leave"
    if task.finder:
        return f"{task.opening}: {task.finder} learns {_LEARNED[task.opening]}"
    return "oblivious: nobody sees figures but the recipient, and small ones are withheld on shares"


_LEARNED = {
    Opening.INTERSECTION: "which of its own persons all others have, too",
    Opening.SCORES: "what the other's model says of each of its own persons, each an equation about its coefficients",
    Opening.RECORDS: "what the register has of the persons that it asks for, and of nobody else",
}


def _matched(plan: JointPlan) -> str:
    task = plan.task
    if task.helper:
        return f"helper: {task.helper} compares pseudonyms"
    if task.matching is Matching.DIFFIE_HELLMAN:
        found = "diffie-hellman: pseudonyms under exponents of all owners"
        if not plan.learner or task.finder:
            return found
        return (
            f"{found}; {plan.learner} learns which of its own rows match, {plan.scheme.matched:,} at the most"
        )
    return f"none: {_UNMATCHED[plan.reading.shape]}"


_UNMATCHED = {
    Shape.STACKED: "owners hold one table in parts, and each adds up its own rows",
    Shape.SCORED: "each row is scored by itself, and the model is about nobody",
    Shape.LOOKUP: "a register answers without learning which of its records are asked for",
}


def sight_lines(plan: JointPlan) -> list[list[object]]:
    """Return the visibility table as rows: step, parties with their parts, form, at most how many, what."""
    return [
        [
            seen.sight.step.value,
            ", ".join(f"{party} ({part})" for party, part in seen.parties),
            seen.sight.form.value,
            f"{seen.sight.bound:,}" if seen.sight.bound else "",
            seen.sight.what,
        ]
        for seen in together(plan.sights)
    ]


def parts(plan: JointPlan, domain: str) -> list[str]:
    """Return what a domain is in a plan; it may be several things."""
    task, serves = plan.task, plan.serves(domain)
    found = [Part.OWNER.value] if plan.owns(domain) is not None else []
    found += [f"{Part.SERVER} {serves}"] if serves is not None else []
    named = {
        Part.HELPER: task.helper,
        Part.INSPECTOR: task.inspector,
        Part.FINDER: task.finder,
        Part.COLLECTOR: task.collector,
    }
    return found + [part.value for part, who in named.items() if who == domain]


_ENDED = ("released", "refused", "failed", "cancelled")


def _ended(found: dict[str, Any]) -> dict[str, Any]:
    if found["state"] == "released":
        return found
    raise problem_of(found)


def problem_of(found: dict[str, Any]) -> DarkroomError:
    """Return why a computation ended without an answer, as an error."""
    if found["problem"]:
        return from_problem(found["problem"])
    return StateConflict(f"the joint computation is {found['state']}", str(found["id"]))


def domains(text: str) -> tuple[str, ...]:
    """Return domains that a person wrote with commas between."""
    return tuple(each.strip() for each in text.split(",") if each.strip())
