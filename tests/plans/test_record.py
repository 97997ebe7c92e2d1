"""Every noun is frozen, canonical and read strictly: there is no way round its validation."""

from __future__ import annotations

import copy
import dataclasses
import importlib
import json
import pkgutil
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import plans
from plans import canonical, statements
from plans.decision import Decision, Obligations, Outcome, Tier
from plans.errors import Malformed, TooLarge
from plans.key import BoxKeys
from plans.manifest import FileRole, Grade, Kind
from plans.plan import Plan, PlanKind
from plans.reading import Order
from plans.record import Record
from plans.request import LONGEST_STATEMENT
from plans.statements import Type
from plans.trial import twin_of
from tests.plans import examples

NOUNS = pytest.mark.parametrize("noun", examples.NOUNS, ids=lambda noun: noun.KIND)


def all_records() -> set[type[Record]]:
    modules = [
        importlib.import_module(f"plans.{module.name}") for module in pkgutil.iter_modules(plans.__path__)
    ]
    things = [thing for module in modules for thing in vars(module).values() if isinstance(thing, type)]
    return {thing for thing in things if issubclass(thing, Record) and thing is not Record}


def test_every_noun_that_has_a_digest_of_its_own_is_among_the_examples() -> None:
    assert {kind.__name__ for kind in all_records() if kind.KIND} == {
        type(noun).__name__ for noun in examples.NOUNS
    }


def test_no_two_nouns_share_a_kind() -> None:
    kinds = [kind.KIND for kind in all_records() if kind.KIND]
    assert len(kinds) == len(set(kinds))


@NOUNS
def test_a_noun_is_read_back_from_its_bytes_as_itself(noun: Record) -> None:
    again = type(noun).decode(noun.canonical())
    assert again == noun and again.digest == noun.digest and again.canonical() == noun.canonical()
    assert type(noun).read(json.loads(json.dumps(noun.plain()))) == noun


@NOUNS
def test_a_noun_cannot_be_changed(noun: Record) -> None:
    name = dataclasses.fields(noun)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(noun, name, getattr(noun, name))


@NOUNS
def test_an_unknown_member_is_refused(noun: Record) -> None:
    with pytest.raises(Malformed, match="unknown"):
        type(noun).read({**noun.plain(), "note": "harmless"})


@NOUNS
def test_a_missing_member_is_refused(noun: Record) -> None:
    for name in noun.plain():
        with pytest.raises(Malformed, match="missing"):
            type(noun).read({k: v for k, v in noun.plain().items() if k != name})


@NOUNS
def test_a_mistyped_member_is_refused(noun: Record) -> None:
    for name, annotation in type(noun).__annotations__.items():
        for wrong in (7, True, "text", [["x"]], {"x": [7]}, 1.5, None):
            if not might_fit(wrong, str(annotation)):
                with pytest.raises(Malformed):
                    type(noun).read({**noun.plain(), name: wrong})


def might_fit(value: Any, annotation: str) -> bool:
    """Whether a value has the member's outer type; what it says then is another test's matter."""
    if annotation == "Mapping[str, Any]":
        return isinstance(value, dict)
    if annotation.startswith("tuple[tuple[str"):
        return isinstance(value, list)
    outer = {"int": 7, "bool": True, "str": "text", "None": None}
    fitting = [example for name, example in outer.items() if name in annotation.split("[")[0]]
    return any(type(value) is type(example) for example in fitting)


@NOUNS
@pytest.mark.parametrize("plain", [None, [], "plan", 3, True])
def test_what_is_no_object_is_no_noun(noun: Record, plain: Any) -> None:
    with pytest.raises(Malformed):
        type(noun).read(plain)


@NOUNS
def test_each_member_counts_for_the_digest(noun: Record) -> None:
    """Change any text or number anywhere inside: another noun, or none."""
    for path in leaves(noun.plain()):
        changed = copy.deepcopy(noun.plain())
        alter(changed, path)
        try:
            other = type(noun).read(changed)
        except Malformed:
            continue
        assert other.digest != noun.digest and other != noun, path


def leaves(plain: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    pairs = plain.items() if isinstance(plain, dict) else enumerate(plain) if isinstance(plain, list) else ()
    inner = [leaf for name, value in pairs for leaf in leaves(value, (*path, name))]
    return inner or ([] if isinstance(plain, dict | list) else [path])


def alter(plain: Any, path: tuple[Any, ...]) -> None:
    *way, last = path
    for step in way:
        plain = plain[step]
    value = plain[last]
    if isinstance(value, str):
        plain[last] = value[:-1] + ("0" if value[-1:] != "0" else "1")
    else:
        plain[last] = (value or 0) + 1 if not isinstance(value, bool) else not value


def test_digests_of_different_nouns_with_the_same_bytes_differ() -> None:
    approval, revocation = (
        statements.Approval(examples.digest("a")),
        statements.Revocation(examples.digest("a")),
    )
    grant = canonical.digest("grant", approval.plain())
    assert len({approval.digest, grant, revocation.digest}) == 3


def test_the_body_of_each_statement_type_has_that_types_digest() -> None:
    """So `statement.subject` is the body's own digest, and nobody has to remember two."""
    kinds = {kind.KIND for kind in all_records()}
    without_body = {Type.SIGN_IN}
    assert {kind.value for kind in Type} - {kind.value for kind in without_body} <= kinds


# --------------------------------------------------------------- built in code is as strict as read from bytes


@pytest.mark.parametrize(
    "build",
    [
        lambda: dataclasses.replace(examples.GRANT, uses=True),
        lambda: dataclasses.replace(examples.GRANT, uses="10"),
        lambda: dataclasses.replace(examples.GRANT, columns=["income"]),
        lambda: dataclasses.replace(examples.GRANT, columns=("income", 7)),
        lambda: dataclasses.replace(examples.GRANT, columns=()),
        lambda: dataclasses.replace(examples.GRANT, uses=0),
        lambda: dataclasses.replace(examples.GRANT, dataset="income"),
        lambda: dataclasses.replace(examples.GRANT, recipient=examples.SIGNING),
        lambda: dataclasses.replace(examples.REQUEST, recipient="x25519:" + "G" * 64),
        lambda: dataclasses.replace(examples.REQUEST, nonce=""),
        lambda: dataclasses.replace(examples.STATEMENT, body={"a": 1.5}),
        lambda: dataclasses.replace(examples.STATEMENT, domain="nm/../health"),
        lambda: dataclasses.replace(examples.MANIFEST, files=examples.MANIFEST.files[1:]),
        lambda: dataclasses.replace(examples.MANIFEST, columns=examples.MANIFEST.columns[:1] * 2),
        lambda: dataclasses.replace(examples.OBLIGATIONS, minimum_group=0),
        lambda: dataclasses.replace(examples.LIMITS, memory_mb=0),
        lambda: dataclasses.replace(examples.LIMITS, temp_mb=-1),
        lambda: dataclasses.replace(examples.LIMITS, spill_mb=-1),
        lambda: dataclasses.replace(examples.LIMITS, temp_mb=examples.LIMITS.memory_mb + 1),
        lambda: dataclasses.replace(examples.RELEASED, salt="ab"),
        lambda: dataclasses.replace(examples.RELEASED, columns=examples.RELEASED.columns[:1]),
        lambda: Order(-1, False, False),
        lambda: dataclasses.replace(examples.OUTPUTS[0], persons=-1),
        lambda: dataclasses.replace(examples.CELLS, hidden=1),
        lambda: dataclasses.replace(examples.READING, order=(Order(3, False, False),)),
        lambda: dataclasses.replace(examples.READING, relations=()),
        lambda: dataclasses.replace(examples.PROGRAM, finish="SELECT 1 FROM cells_0"),
        lambda: dataclasses.replace(examples.PROGRAM, limit=-1),
        lambda: BoxKeys({"result.bin": 7}, {}, ""),
    ],
)  # fmt: skip
def test_a_noun_that_contradicts_itself_cannot_be_built(build: Any) -> None:
    with pytest.raises(Malformed):
        build()


def test_a_request_longer_than_the_limit_is_refused_as_too_large() -> None:
    with pytest.raises(TooLarge, match="characters"):
        dataclasses.replace(examples.REQUEST, statement="x" * (LONGEST_STATEMENT + 1))


def test_a_denial_has_reasons_and_no_obligations() -> None:
    denied = Decision(Outcome.DENY, (examples.REASON,), 3, 1, (), (), None)
    for wrong in ({"obligations": examples.OBLIGATIONS}, {"reasons": ()}, {"outcome": Outcome.ALLOW}):
        with pytest.raises(Malformed):
            dataclasses.replace(denied, **wrong)


@pytest.mark.parametrize(
    "change",
    [
        {"request": None},
        {"decision": None},
        {"program": None},
        {"material": "x"},
        {"stages": examples.PLAN.stages[:2]},
        {"stages": examples.PLAN.stages[::-1]},
        {"kind": PlanKind.INGEST},
        {"kind": PlanKind.CHECK},
    ],
)
def test_a_plan_holds_what_its_kind_asks_for_and_nothing_else(change: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        dataclasses.replace(examples.PLAN, **change)


def test_what_goes_into_a_record_cannot_be_changed_from_outside_afterwards() -> None:
    """Otherwise a statement could be checked with one body and signed with another."""
    body = examples.GRANT.plain()
    statement = dataclasses.replace(examples.STATEMENT, body=body)
    before = statement.canonical()
    body["uses"] = 1_000
    assert statement.canonical() == before


def test_keys_do_not_show_in_a_boxs_keys() -> None:
    shown = repr(BoxKeys({"result.bin": "aa" * 32}, {"table.bin": "bb" * 32}, "cc" * 32))
    assert "aaaa" not in shown and "bbbb" not in shown and "cccc" not in shown


# ------------------------------------------------------------------------------------------- small algebras

RULES = st.builds(
    Obligations, st.integers(1, 99), st.integers(1, 99), st.integers(1, 99), st.sampled_from(Tier)
)


@given(RULES, RULES, RULES)
def test_the_strictest_obligations_satisfy_both_in_any_order(
    a: Obligations, b: Obligations, c: Obligations
) -> None:
    both = a.strictest(b)
    assert both == b.strictest(a) and both.strictest(c) == a.strictest(b.strictest(c)) and a.strictest(a) == a
    assert both.minimum_group >= a.minimum_group and both.rounding >= a.rounding
    assert both.largest_result <= a.largest_result and both.tier.level >= a.tier.level


def test_grades_and_tiers_are_in_order() -> None:
    assert [grade.level for grade in Grade] == list(range(6)) and Grade.CORE.level == 5
    assert Tier.T1.level < Tier.T2.level < Tier.T3.level


def test_the_shadow_of_a_manifest_holds_the_token_and_all_columns() -> None:
    assert [c.name for c in examples.SHADOW.columns] == ["person", "income", "id_number"]
    assert examples.MANIFEST.attributes.role is FileRole.ATTRIBUTES


def test_the_shadow_of_a_dataset_about_nobody_has_no_token() -> None:
    columns = tuple(column for column in examples.MANIFEST.columns if column.kind is not Kind.IDENTIFIER)
    files = (examples.MANIFEST.attributes,)
    codes = dataclasses.replace(examples.MANIFEST, person="", persons=0, columns=columns, files=files)
    assert not codes.about_persons and [c.name for c in codes.shadow().columns] == ["income"]
    assert [column.name for column in twin_of(codes).columns] == ["income"]
    with pytest.raises(Malformed):
        dataclasses.replace(codes, columns=())


@NOUNS
def test_a_digest_is_always_that_of_the_record_as_it_is(noun: Record) -> None:
    """It is kept where nothing can change: no copy, no changed copy and no equal record depends on that."""
    anew = type(noun).decode(noun.canonical())
    expected = canonical.digest_bytes(type(noun).KIND or type(noun).__name__, noun.canonical())
    assert noun.digest == noun.digest == anew.digest == copy.copy(noun).digest == expected
    assert dataclasses.replace(noun) == noun == anew and dataclasses.replace(noun).digest == expected


def test_a_record_that_holds_a_mapping_is_hashed_whenever_it_is_asked() -> None:
    """A mapping can be changed by whoever finds it; a statement that was is another statement, and does not verify."""
    statement = dataclasses.replace(examples.STATEMENT)
    before = statement.digest
    dict.__setitem__(statement.body, "smuggled", 1)  # type: ignore[arg-type]
    assert statement.digest != before


def test_the_digest_of_a_changed_copy_is_its_own() -> None:
    known = examples.PLAN.digest
    other = dataclasses.replace(examples.PLAN, nonce="0" * len(examples.PLAN.nonce))
    assert other.digest != known == examples.PLAN.digest


def test_a_plan_finds_its_stages() -> None:
    for spec in examples.PLAN.stages:
        assert examples.PLAN.stage(spec.entry) is spec
    with pytest.raises(Malformed):
        Plan.stage(examples.PLAN, statements.Entry.CHECK)
