"""The error tree: everything that Darkroom says when it says no.

An error addresses a person. It says *what* is wrong, *where*, and the *next step*, and carries a stable code
that programs, documents and tests refer to (`docs/errors.md` is generated from this file). It never carries a
value of somebody's data, nor the text of an engine that has seen data.

Exit codes of the command lines: 0 done, 1 a defect of ours, 2 the request is wrong, 3 refused by a rule, 4
not signed in or not allowed, 5 not found, 6 something is not reachable, or has not ended yet (try again), 7 evidence
does not hold (tampering or corruption).
"""

from __future__ import annotations

from typing import Any, ClassVar

LONGEST_TOLD = 4_000
"""Characters of one text of an error that came from elsewhere. The longest that the house itself says list columns or
several reasons: the advice of all rules of the airlock has about 2,500, and a list of 150 columns not more.
"""


class DarkroomError(Exception):
    """The root of the tree; never raised itself.

    Args:
        what: one sentence that says what is wrong.
        where: the file, column, statement or row *number* concerned.
        next_step: what the reader can do about it.
    """

    code: ClassVar[str] = "darkroom"
    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1
    advice: ClassVar[str] = "Report this as a defect, with the code."

    def __init__(self, what: str, where: str = "", next_step: str = "") -> None:
        self.what, self.where, self.next_step = what, where, next_step or self.advice
        super().__init__(what)

    def __str__(self) -> str:
        place = f" ({self.where})" if self.where else ""
        return f"{self.what}{place}. {self.next_step} [{self.code}]"

    def problem(self) -> dict[str, Any]:
        """Return the error as a problem document (RFC 9457 section 3)."""
        return {
            "type": f"urn:darkroom:error:{self.code}",
            "title": self.what,
            "status": self.status,
            "code": self.code,
            "where": self.where,
            "next_step": self.next_step,
        }


# --- the request is wrong -----------------------------------------------------


class Malformed(DarkroomError):
    """A value, statement or message does not have the form that it must have."""

    code, status, exit_code = "value.malformed", 422, 2
    advice = "Correct the value; the reference describes its form."


class TooLarge(Malformed):
    """Something is larger than the limit that the settings state."""

    code, status = "value.too-large", 413
    advice = "Make it smaller, or ask the administrator for a higher limit."


class SettingsWrong(Malformed):
    """The settings file or a DARKROOM_ variable cannot be used."""

    code = "settings.wrong"
    advice = "Correct the setting; docs/settings.md lists them all."


class SqlSyntax(Malformed):
    """The statement does not parse, is not exactly one statement that selects, or refers to what is not there."""

    code = "sql.syntax"
    advice = "Correct the statement; `darkroom describe` shows what a dataset holds, docs/sql.md what may be written."


class SqlUnsupported(Malformed):
    """The statement parses, but uses a construct, function or operator that is not on the list."""

    code = "sql.unsupported"
    advice = "Rewrite it with what docs/sql.md lists."


class IngestRefused(Malformed):
    """A file cannot become a dataset version: format, encoding, header, types or keys."""

    code = "ingest.refused"
    advice = "Correct the file or its description and ingest again; nothing was registered."


class SourceEmpty(IngestRefused):
    """The file has no row."""

    code = "ingest.empty"
    advice = "Export the file again; nothing was registered."


class SourceMalformed(IngestRefused):
    """The file is not in the format that its description says."""

    code = "ingest.malformed"
    advice = "Write the right format into the description, or export the file again."


class SourceEncoding(IngestRefused):
    """The file is not UTF-8 text."""

    code = "ingest.encoding"
    advice = "Save or export the file as UTF-8 and ingest it again."


class SourceTooLarge(IngestRefused):
    """The file is larger than one version may be."""

    code = "ingest.too-large"
    advice = "Split it into several datasets, or by year."


class LineTooLong(IngestRefused):
    """A line is longer than any record should be; often a quote is never closed."""

    code = "ingest.line-too-long"


class QuoteWrong(IngestRefused):
    """A quoted value does not end, or goes on after its end."""

    code = "ingest.quote"
    advice = "Double every quote inside a quoted value (RFC 4180 section 2)."


class RowWidth(IngestRefused):
    """A row has more or fewer values than the header."""

    code = "ingest.row-width"
    advice = "Quote values that hold commas."


class ColumnRepeated(IngestRefused):
    """The header names a column twice."""

    code = "ingest.duplicate-column"
    advice = "Rename or remove one of them."


class ColumnMissing(IngestRefused):
    """A described column is not in the file."""

    code = "ingest.missing-column"
    advice = "Add it to the file, or correct its name or `header` in the description."


class ColumnUnknown(IngestRefused):
    """The file has a column that is not described."""

    code = "ingest.extra-column"
    advice = "Describe it, or leave it out of the file: nothing undescribed comes in."


class TypeConflict(IngestRefused):
    """A value does not have the described type."""

    code = "ingest.type"


class OutOfRange(IngestRefused):
    """A value lies outside the described range."""

    code = "ingest.range"


class UnknownCategory(IngestRefused):
    """A value is none of the described categories."""

    code = "ingest.category"


class CheckDigitWrong(IngestRefused):
    """A code's check character does not fit."""

    code = "ingest.check-digit"


class KeyMissing(IngestRefused):
    """A row has no value in the person column."""

    code = "ingest.key-missing"


class KeyRepeated(IngestRefused):
    """The person column repeats, though it is described as unique."""

    code = "ingest.key-repeated"
    advice = "Remove the repetition, or describe the dataset with `unique = false`."


class TokenCollision(IngestRefused):
    """Two persons have the same token under the owner's key."""

    code = "ingest.token-collision"
    advice = "Tell the platform's maintainers: it happens once in millions of ingests."


class RangeTooWide(Malformed):
    """Numbers may become larger than the ring of a joint computation can hold without wrapping around."""

    code = "joint.range"
    advice = "Declare narrower ranges of the columns, or fewer digits after the point."


# --- refused by a rule -----------------------------------------------------


class Refused(DarkroomError):
    """A rule says no."""

    code, status, exit_code = "rule.refused", 403, 3
    advice = "Ask `darkroom explain` for the rule and for what would help."


class PolicyDenied(Refused):
    """`policies.decide` denies the plan."""

    code = "policy.denied"
    advice = "Apply for what is missing, or rewrite the statement."


class OutputRefused(Refused):
    """The airlock does not let the output leave."""

    code = "output.refused"
    advice = "Ask for a coarser result: larger groups, fewer cells."


class BudgetSpent(Refused):
    """What may leave about a lineage within its period is used up, or would be by this answer (docs/ledger.md)."""

    code = "budget.spent"
    advice = "Ask for fewer or coarser cells, use an earlier answer, or wait until the period is over."


class TierMissing(Refused):
    """No node offers the isolation tier that the dataset asks for."""

    code, status = "box.tier-missing", 409
    advice = "Run `darkroom-server doctor` to see what each node offers."


class PreflightFailed(Refused):
    """A party of a joint computation found that it cannot or may not take part; only its owner hears why."""

    code, status = "joint.preflight-failed", 409
    advice = "Nothing was computed; ask the party that is named; its administrator sees the reason there."


class PartyStopped(Refused):
    """A party of a joint computation ended it: an approval or a lease was revoked, or it was cancelled there."""

    code, status = "joint.party-stopped", 409
    advice = "Nothing was released; ask the party that is named, and order a new attempt if it agrees."


class StateConflict(Refused):
    """The thing is not in a state in which this can be done."""

    code, status = "state.conflict", 409
    advice = "Look at its present state first."


# --- who are you -----------------------------------------------------


class NotSignedIn(DarkroomError):
    """No session, a wrong password or passphrase, or an expired token."""

    code, status, exit_code = "access.not-signed-in", 401, 4
    advice = "Sign in with `darkroom login`."


class NotAllowed(DarkroomError):
    """Signed in, but this action is not among the roles or the token's scopes."""

    code, status, exit_code = "access.not-allowed", 403, 4
    advice = "Ask an administrator of the domain for the role."


class WrongPassphrase(NotSignedIn):
    """A key file does not open with this passphrase."""

    code = "access.wrong-passphrase"
    advice = "Try again; a lost passphrase cannot be recovered, make and enrol new keys instead."


class TooManyTries(NotSignedIn):
    """Too many wrong passwords for this account or address; the answer is the same whether the account exists."""

    code, status = "access.too-many-tries", 429
    advice = "Wait a quarter of an hour, then try again."


class NotFound(DarkroomError):
    """There is no such thing, or it is not yours to see."""

    code, status, exit_code = "thing.not-found", 404, 5
    advice = "List what you can reach, and check the spelling."


# --- not reachable -----------------------------------------------------


class Unreachable(DarkroomError):
    """A keeper, launcher, database or server does not answer."""

    code, status, exit_code = "service.unreachable", 503, 6
    advice = "Try again shortly; `darkroom-server doctor` says what is down."


class ClusterLost(Unreachable):
    """Ray does not answer any more; the platform starts a new cluster and takes the job up again."""

    code = "cluster.lost"


class PeerLost(Unreachable):
    """A party of a joint computation stopped answering, or closed its link, before its part was done."""

    code = "joint.peer-lost"
    advice = "Nothing was released; start the stage again once the party is there."


class NotFinished(DarkroomError, TimeoutError):
    """What was waited for has not ended in the time that its caller gave; it goes on all the same."""

    code, status, exit_code = "job.not-finished", 504, 6
    advice = "Wait longer, or look again later."


class Defect(DarkroomError):
    """Something in Darkroom itself went wrong, in a way that nobody foresaw. What was asked for fails closed."""

    code = "platform.defect"


class BoxFailed(DarkroomError):
    """A box ended without a result: killed at a limit, lost, or its engine refused."""

    code, status, exit_code = "box.failed", 502, 3
    advice = (
        "Submit it again; if it fails again, ask for less, or tell the administrator the word in parentheses."
    )


class BoxLimit(BoxFailed):
    """A box reached its limit of memory, time, processes or space and was killed."""

    code = "box.limit"
    advice = "Ask for less data, or ask the administrator for a higher limit (docs/settings.md)."


class PartyFailed(BoxFailed):
    """A party's box in a joint computation ended without a result; why, hears its owner."""

    code = "joint.party-failed"
    advice = "Nothing was released; start a new attempt, and if it fails again, ask the party that is named."


class DiskFull(DarkroomError):
    """There is no space left to write."""

    code, status, exit_code = "disk.full", 507, 6
    advice = "Free some space and run the command again; nothing was half-registered."


# --- evidence does not hold -----------------------------------------------------


class EvidenceBroken(DarkroomError):
    """A signature, hash, number or proof does not hold. Somebody tampered with something, or it is damaged."""

    code, status, exit_code = "evidence.broken", 409, 7
    advice = "Do not go on; tell the owner of the data and the auditor."


class SignatureWrong(EvidenceBroken):
    """A signature does not fit its statement, or its signer is not in the roster for this role."""

    code = "evidence.signature"


class Outdated(EvidenceBroken):
    """A statement is expired, not yet valid, revoked, used up, or older than one that was seen before."""

    code = "evidence.outdated"
    advice = "Obtain a current one from its signer."


class HashMismatch(EvidenceBroken):
    """Bytes are not the bytes that a manifest, plan or release names."""

    code = "evidence.hash"


class RederivationMismatch(EvidenceBroken):
    """The keeper derived another decision or another query than the plan claims."""

    code = "evidence.rederivation"


class LinkBroken(EvidenceBroken):
    """A party of a joint computation sent a message of another kind, size or place than the plan makes it."""

    code = "joint.link-broken"
    advice = (
        "Nothing was released; ask the party which version and plan its side runs, and start a new attempt."
    )


class SharesDisagree(EvidenceBroken):
    """Two servers of a joint computation say different things of the share that both hold."""

    code = "joint.shares-disagree"
    advice = (
        "Nothing was opened; one of the two servers is damaged or lies, so do not repeat before it is known."
    )


class LogBroken(EvidenceBroken):
    """The audit log does not verify."""

    code = "audit.broken"


def by_code() -> dict[str, type[DarkroomError]]:
    """Return every error of the tree by its code, the root left out."""
    found: dict[str, type[DarkroomError]] = {}
    waiting = list(DarkroomError.__subclasses__())
    while waiting:
        kind = waiting.pop()
        found[kind.code] = kind
        waiting += kind.__subclasses__()
    return dict(sorted(found.items()))


def from_problem(problem: dict[str, Any]) -> DarkroomError:
    """Return the error that a problem document describes; an unknown code gives the nearest known root. Others wrote
    its texts, and a traceback goes to a terminal as it is: control and direction characters become escapes, and what
    is longer than `LONGEST_TOLD` is cut and says so, since it is kept, and shown on pages, as it comes.
    """
    kind = by_code().get(str(problem.get("code")), Refused)
    return kind(*(_shown(str(problem.get(name, ""))) for name in ("title", "where", "next_step")))


def _shown(text: str) -> str:
    shown = "".join(map(_legible, text[: LONGEST_TOLD + 1]))
    if len(shown) <= LONGEST_TOLD:
        return shown
    note = f" … (cut; it had {len(text):,} characters)"
    return (
        shown[: LONGEST_TOLD - len(note)] + note
    )  # not longer with its note, so that the next who reads it cuts none


def _legible(sign: str) -> str:
    return sign if sign.isprintable() or sign == "\n" else sign.encode("unicode_escape").decode()
