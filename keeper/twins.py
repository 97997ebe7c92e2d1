"""The desk's order of a twin, and the one that comes with every ingest (`plans.twins`).

A twin of declarations alone has nothing of the data in it, so the keeper makes it itself. One with noisy marginals is
made by a box, where the bundle in force gives `twin_rho_micro`: a plan of the kind `twin`, made here, that the owner's
own launcher runs. The box judges the recipe; the keeper judges it again by the same rule, and signs it. Both are
written down before anybody hears of them, so asking again gives the same recipe, and never other noise.
"""

from __future__ import annotations

from keeper.journal import replace_durably
from keeper.keeper import Keeper
from keeper.twin_memory import CHARGE, TWIN
from keys import api as keys
from plans import names
from plans.box import BoxSpec, Entry, Input, Outputs
from plans.decision import Tier
from plans.errors import BudgetSpent, HashMismatch, NotFound, OutputRefused
from plans.handover import handover, unpadded
from plans.key import BoxKeys
from plans.manifest import Kind, Manifest
from plans.plan import Plan, PlanKind
from plans.statements import DatasetPolicy, Signed, StageRecord, Type
from plans.twins import (
    RECIPE,
    REPORT,
    Imitation,
    Making,
    Recipe,
    Twin,
    TwinReport,
    declared_recipe,
    fitted,
    reasons_against,
)
from plans.verdict import Finding, Verdict
from sandbox import api as sandbox


def at_ingest(keeper: Keeper, manifest: Manifest, repeats: bool) -> Signed:
    """Release the twin of a fresh version: of its declarations, with the weights that its lineage has paid for before.

    `repeats`: persons may have several rows, by the description.
    """
    known = keeper.twins.latest(manifest.dataset)
    if known is not None and known[1].recipe.making is Making.NOISED:
        return _release(keeper, manifest, fitted(known[1].recipe, manifest), known[1].plan)
    recipe = declared_recipe(manifest, keeper.keyring.twin_seed(manifest.dataset), repeats)
    return _release(keeper, manifest, recipe, "")


def order(keeper: Keeper, dataset: str) -> Signed:
    """Return the twin of a dataset's newest version; with noisy marginals where the owner's bundle pays for them.

    Raises:
        NotFound: there is no such dataset.
        StateConflict: no bundle is in force.
        BoxFailed: the box that counts did not end well; what was charged pays for the next try.
        OutputRefused: the recipe says more than what was declared.
    """
    manifest = _manifest(keeper, dataset)
    with keeper.ingesting:
        _, bundle = keeper.trusted.in_force()
        policy = bundle.policy(dataset)
        known = keeper.twins.latest(dataset)
        left = (policy.twin_rho_micro if policy else 0) - keeper.twins.released(dataset)
        if policy is not None and left > 0:
            return _measure(keeper, manifest, policy, left)
        if known is not None and known[1].manifest == manifest.digest:
            return known[0]
        return at_ingest(keeper, manifest, repeats=True)


def current(keeper: Keeper, dataset: str) -> Signed:
    """Return the twin that was released for a dataset's newest version, as it is.

    Raises:
        NotFound: there is no such dataset, or no twin of it yet.
    """
    manifest = _manifest(keeper, dataset)
    known = keeper.twins.latest(dataset)
    if known is None or known[1].manifest != manifest.digest:
        raise NotFound(
            "this version has no twin yet", dataset, "Order one: darkroom-server keeper twin DATASET --order."
        )
    return known[0]


def charge(keeper: Keeper, dataset: str, rho_micro: int, why: str) -> None:
    """Charge a lineage for what is about to be counted, in millionths of rho, durably; no release gives it back.

    Raises:
        BudgetSpent: the bundle in force does not give so much to twins of this dataset.
    """
    _, bundle = keeper.trusted.in_force()
    policy = bundle.policy(dataset)
    allowed = policy.twin_rho_micro if policy else 0
    if rho_micro < 1 or keeper.twins.charged(dataset) + rho_micro > allowed:
        raise BudgetSpent(
            "the owner's policy does not give so much to twins of this dataset",
            dataset,
            "A steward signs a bundle with a higher twin_rho, or the twin stays as it is.",
        )
    privacy = policy.privacy if policy else None
    with keeper.lock:
        if privacy is not None and keeper.budgets.room(dataset, privacy, "", keeper.now()).left < rho_micro:
            raise BudgetSpent(
                "the privacy budget of this lineage has not so much left within its period",
                dataset,
                "Order the twin when a part of the budget is free again.",
            )
        keeper.note(CHARGE, {"dataset": dataset, "rho_micro": rho_micro, "why": why})


def report(keeper: Keeper, dataset: str) -> TwinReport | None:
    """Return what the owner alone may know of the newest measurement, or none if there was none."""
    path = keeper.config.home / "twins" / _file(dataset)
    if not path.exists():
        return None
    secret = keeper.keyring.twin_secret(dataset, "report")
    return TwinReport.decode(keys.decrypt(secret, path.read_bytes(), dataset.encode()))


def _manifest(keeper: Keeper, dataset: str) -> Manifest:
    names.require("dataset", dataset)
    for manifest in keeper.trusted.current_manifests():
        if manifest.dataset == dataset:
            return manifest
    raise NotFound(
        "there is no such dataset",
        dataset,
        "`darkroom-server keeper status` lists the datasets that are held.",
    )


def _measure(keeper: Keeper, manifest: Manifest, policy: DatasetPolicy, rho_micro: int) -> Signed:
    dataset = manifest.dataset
    known = keeper.twins.latest(dataset)
    repeats = known[1].recipe.table.repeats if known else True
    plan = _plan(keeper, manifest, policy, (rho_micro, repeats))
    owing = keeper.twins.released(dataset) + rho_micro - keeper.twins.charged(dataset)
    if owing > 0:
        charge(keeper, dataset, owing, f"twin of version {manifest.version}")
    keeper.expect_ingest(plan, _box_keys(keeper, manifest, plan))
    try:
        keeper.launcher.put(plan)
        answer = keeper.launcher.run(plan.digest, Entry.TWIN, 1)
        record = StageRecord.read(answer.record.statement.body)
    finally:
        keeper.forget_ingest(plan)
    recipe = _judged(keeper, plan, record)
    told = TwinReport.decode(_opened(keeper, plan, record, REPORT))
    folder = keeper.config.home / "twins"
    folder.mkdir(mode=0o700, exist_ok=True)
    secret = keeper.keyring.twin_secret(dataset, "report")
    replace_durably(folder / _file(dataset), keys.encrypt(secret, told.canonical(), dataset.encode()))
    return _release(keeper, manifest, recipe, plan.digest)


def _plan(keeper: Keeper, manifest: Manifest, policy: DatasetPolicy, price: tuple[int, bool]) -> Plan:
    rho_micro, repeats = price
    shown = [column.name for column in manifest.columns if column.kind is not Kind.IDENTIFIER]
    asked = Imitation(
        manifest=manifest,
        columns=tuple(name for name in shown if policy.about(name)),
        row_filter=policy.row_filter,
        rho_micro=rho_micro,
        seed=keeper.keyring.twin_seed(manifest.dataset),
        repeats=repeats,
    )
    file = manifest.attributes
    box = BoxSpec(
        entry=Entry.TWIN,
        image=keeper.config.images[0],
        inputs=(Input(file.name, file.sha256),),
        limits=keeper.config.limits[Entry.TWIN],
        tier=max(policy.tier, Tier.T1, key=lambda tier: tier.level),
        outputs=Outputs(2, (RECIPE, REPORT)),
    )
    return Plan(
        kind=PlanKind.TWIN,
        domain=keeper.config.domain,
        request=None,
        request_signature="",
        decision=None,
        program=None,
        material=asked.canonical().decode(),
        stages=(box,),
        nonce=keys.fresh_nonce(),
        made_at=keeper.now(),
    )


def _box_keys(keeper: Keeper, manifest: Manifest, plan: Plan) -> BoxKeys:
    file = manifest.attributes.name
    return BoxKeys(
        inputs={file: keeper.keyring.data_key(file).hex()},
        outputs={name: keeper.keyring.stage_key(plan.digest, 1, name).hex() for name in (RECIPE, REPORT)},
        token="",
        signs=keeper.keyring.twin_secret(manifest.dataset, "choice").hex(),
    )


def _judged(keeper: Keeper, plan: Plan, record: StageRecord) -> Recipe:
    """Return the recipe of a box's verdict, judged again.

    Raises:
        OutputRefused: the verdict is no, here or there.
        HashMismatch: the verdict is about another plan or recipe.
    """
    verdict = Verdict.read(record.report.get("verdict"))
    sealed = {output.name: output.sha256 for output in record.outputs}
    if verdict.plan != plan.digest or record.plan != plan.digest or set(sealed) != {RECIPE, REPORT}:
        raise HashMismatch("the verdict is about another twin", "stage records")
    if verdict.finding is not Finding.PASS:
        raise OutputRefused("the box does not let the recipe leave", ", ".join(verdict.reasons))
    recipe = Recipe.decode(_opened(keeper, plan, record, RECIPE))
    if (recipe.digest, sealed[RECIPE]) != (verdict.content, verdict.sealed):
        raise HashMismatch("the recipe is not the one that was judged", "stage records")
    return recipe


def _opened(keeper: Keeper, plan: Plan, record: StageRecord, name: str) -> bytes:
    """Return in clear what the box left under a name."""
    stage = sandbox.StageName(record.plan, record.stage, record.attempt)
    with sandbox.open_output(keeper.config.launcher_home, stage, name) as file:
        content = file.read()
    key = keeper.keyring.stage_key(plan.digest, record.attempt, name)
    return unpadded(keys.decrypt(key, content, handover(plan, record.attempt, name)))


def _release(keeper: Keeper, manifest: Manifest, recipe: Recipe, plan: str) -> Signed:
    """Judge a recipe, sign its release, and write it down."""
    reasons = reasons_against(recipe, manifest, keeper.twins.charged(manifest.dataset))
    if reasons:
        raise OutputRefused("the recipe says more than what was declared and paid for", ", ".join(reasons))
    body = Twin(manifest.version, manifest.digest, recipe, Finding.PASS, plan)
    signed = keeper.sign(Type.TWIN, body)
    keeper.note(TWIN, {"dataset": manifest.dataset, "signed": signed.plain()})
    return signed


def _file(dataset: str) -> str:
    return dataset.replace("/", ".")
