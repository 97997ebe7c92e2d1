"""A model leaves neither with rows in it nor with what it remembers, and honest ones are not stopped."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from airlock.models import attacks
from airlock.models.checking import Fitted, Foreign, check_foreign, check_shape, check_tensors
from airlock.models.evaluating import leaves, losses, scores
from airlock.models.rows import MOST_PERSONS, Column, Rows, known
from airlock.models.structure import most_behind_the_smallest_leaf, rows_inside, smallest_part
from airlock.outputs.ground import Book, Ground
from airlock.outputs.models import read_model
from plans.inspection import Effect
from plans.verdict import Finding
from tests.airlock.models.cases import FEATURES, GROUND, applied, inside, linear, lying, people, tree

PEOPLE = people()


def book_of(model: dict[str, Any], rows: Rows = PEOPLE, ground: Ground = GROUND) -> Book:
    book = Book()
    check_shape(read_model(_json(model)), Fitted("model.json", (rows,)), ground, book)
    return book


def _json(model: dict[str, Any]) -> bytes:
    return json.dumps(model).encode()


# --- what remembers is refused, what does not is not ---------------------------------------------------------


def test_a_tree_that_remembers_everybody_is_refused_for_its_leaves_and_for_its_memory() -> None:
    book = book_of(tree(people(noise=2.0)), people(noise=2.0))
    assert book.finding is Finding.REFUSED
    memory = applied(book, "memory")
    assert memory.effect is Effect.REFUSED and memory.numbers["membership_by_loss"] > 25
    assert applied(book, "structure").numbers["smallest_counted"] < 10


def test_what_a_leaf_rests_on_is_counted_and_not_believed() -> None:
    honest, liar = (book_of(model) for model in (tree(PEOPLE, least=3), lying(tree(PEOPLE, least=3))))
    for book in (honest, liar):
        assert applied(book, "structure").effect is Effect.REFUSED
    control = book_of(tree(PEOPLE, least=200))
    assert applied(control, "structure").effect is Effect.PASSED, "control: large leaves pass"


def test_persons_are_counted_behind_a_leaf_and_not_their_rows() -> None:
    many = people(persons=600, rows_each=40)
    model = tree(many, least=200)
    assert smallest_part(read_model(_json(model)), many) == 5, "200 rows are those of 5 persons"
    assert applied(book_of(model, many), "structure").effect is Effect.REFUSED


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("target", ["poor", "income"])
def test_an_honest_regression_is_not_stopped(seed: int, target: str) -> None:
    rows = people(seed, noise=1.5)
    book = book_of(linear(rows, target), rows)
    assert applied(book, "memory").effect is Effect.PASSED, applied(book, "memory").numbers
    assert applied(book, "structure").effect is Effect.PASSED


@pytest.mark.parametrize("seed", range(3))
def test_a_shallow_tree_is_not_stopped(seed: int) -> None:
    rows = people(seed, noise=1.5)
    assert applied(book_of(tree(rows, least=200), rows), "memory").effect is Effect.PASSED


def test_the_same_tree_without_the_check_tells_who_was_in_it() -> None:
    """The control of the refusal: somebody with the released model tells members from others."""
    rows = people(noise=2.0)
    model = read_model(_json(tree(rows)))
    found = known(rows, FEATURES, "poor")
    assert found is not None
    missed = losses(model, found.features, found.target)
    guessed = missed < np.median(missed[~found.members])
    right = (guessed[found.members].mean() + (~guessed[~found.members]).mean()) / 2
    assert right > 0.6


def test_an_owner_who_allows_more_lets_more_pass() -> None:
    checks = dataclasses.replace(GROUND.obligations.checks, model_advantage=100)
    lax = dataclasses.replace(GROUND, obligations=dataclasses.replace(GROUND.obligations, checks=checks))
    assert applied(book_of(tree(PEOPLE, least=20), ground=lax), "memory").effect is Effect.PASSED


# --- attributes ---------------------------------------------------------------------------------------------


def test_what_a_model_tells_of_members_alone_is_an_advantage_and_what_it_tells_of_all_is_none() -> None:
    rows = people(noise=3.0)
    remembers = attacks.attack(
        read_model(_json(tree(rows, "income"))), known(rows, FEATURES, "income") or _none()
    )
    honest = attacks.attack(
        read_model(_json(linear(rows, "income"))), known(rows, FEATURES, "income") or _none()
    )
    assert remembers and honest
    assert remembers.of_attributes > 10 and remembers.attribute in FEATURES
    assert honest.of_attributes == 0


def _none() -> Any:
    raise AssertionError("the table has the features")


# --- what cannot be tried is for people ---------------------------------------------------------------------

UNTRIED: dict[str, dict[str, Any]] = {
    "no target": {"target": None},
    "a target that is no column": {"target": "wealth"},
    "a feature that is no column": {"features": ["age", "years", "children", "rooms", "city"]},
}


@pytest.mark.parametrize("what", UNTRIED)
def test_a_model_that_nobody_can_try_is_held(what: str) -> None:
    model = linear(PEOPLE) | UNTRIED[what]
    model = {name: value for name, value in model.items() if value is not None}
    book = book_of(model)
    assert applied(book, "untried").effect is Effect.HELD and book.finding is Finding.HELD


def test_too_few_persons_on_one_side_are_no_evidence_that_nothing_is_remembered() -> None:
    few = people(persons=300)
    assert int(few.held_out.sum()) < attacks.FEWEST
    assert applied(book_of(linear(few), few), "untried").effect is Effect.HELD


def test_categories_of_a_text_are_features_by_their_names() -> None:
    rows = PEOPLE.matrix(["town=west", "urban"])
    assert rows is not None and (rows[:, 0] == rows[:, 1]).all()
    assert PEOPLE.matrix(["town"]) is None and PEOPLE.matrix(["village=west"]) is None


# --- rows in numbers ----------------------------------------------------------------------------------------


def test_rows_that_lie_in_tensors_are_found_in_any_order_of_columns() -> None:
    matrix, _ = inside(PEOPLE, "poor", [*FEATURES, "income", "poor"])
    named = sorted([*FEATURES, "income", "poor"])
    by_name = PEOPLE.matrix(named)
    assert by_name is not None
    for stolen in (matrix[:50], by_name[:50], matrix[:50, :-1]):
        book = Book()
        check_tensors({"layer.weight": stolen}, Fitted("net.safetensors", (PEOPLE,)), book)
        assert applied(book, "structure").effect is Effect.REFUSED


def test_weights_that_are_no_rows_are_not_taken_for_rows() -> None:
    drawn = np.random.default_rng(4)
    weights = {"a": drawn.normal(size=(64, 7)), "b": np.zeros((32, 7)), "c": drawn.normal(size=7)}
    book = Book()
    check_tensors(weights, Fitted("net.safetensors", (PEOPLE,)), book)
    assert applied(book, "structure").effect is Effect.PASSED
    assert book.finding is Finding.HELD, "nobody knows what it computes, so people look"
    assert rows_inside({"a": np.array(3.0)}, PEOPLE) == 0


def grown(rows: Rows, least: int) -> int:
    """How many leaves a tree has whose leaves have so many of the job's rows at least."""
    return sum(each < 0 for each in tree(rows, least=least)["trees"][0]["feature"])


@pytest.mark.parametrize(("least", "effect"), [(1, Effect.REFUSED), (40, Effect.PASSED)])
def test_a_foreign_tree_of_more_leaves_than_the_minimum_leaves_room_for_is_refused(
    least: int, effect: Effect
) -> None:
    """Nobody knows its features, and still 2,700 persons in 1,000 leaves of ten are too few."""
    noisy = people(noise=2.0)
    book = Book()
    model = Foreign({"0/nodes_values": np.array([0.5])}, (3, grown(noisy, least)))
    check_foreign(model, Fitted("m.onnx", (noisy,)), GROUND, book)
    told = [each for each in book.applied if "most_leaves" in each.numbers]
    assert [each.effect for each in told] == [effect]
    untried = applied(book, "untried")
    assert untried.effect is Effect.HELD, "and no attack was run"
    assert "format" in str(untried.numbers["why"]), "which the record says, with the reason"


def test_a_tree_that_was_grown_on_a_join_is_not_refused_for_rows_that_no_single_table_has() -> None:
    """Ten visits of each person, joined to the person: honest leaves of ten persons, more of them than persons / ten.

    Control: the same tree of a job that read the persons alone is refused.
    """
    persons, places = people(persons=300), people(persons=20)
    model = Foreign({"0/nodes_values": np.array([0.5])}, (200,))
    effects = []
    for tables in ((persons,), (persons, places)):
        book = Book()
        check_foreign(model, Fitted("m.onnx", tables), GROUND, book)
        (told,) = (each for each in book.applied if "most_leaves" in each.numbers)
        assert told.numbers["smallest_leaf_at_most"] == 1 and told.numbers["tables"] == len(tables)
        effects.append(told.effect)
    assert effects == [Effect.REFUSED, Effect.HELD]


def test_of_persons_with_many_rows_and_of_tables_that_are_not_all_there_no_more_is_said_than_follows() -> (
    None
):
    rows = people(persons=300, rows_each=4)
    assert most_behind_the_smallest_leaf((27,), (rows,)) == 40, "each of 270 persons may be in four leaves"
    assert most_behind_the_smallest_leaf((27,), (dataclasses.replace(rows, whole=False),)) is None
    assert most_behind_the_smallest_leaf((), (rows,)) is most_behind_the_smallest_leaf((3,), ()) is None


def test_centres_that_are_single_persons_are_refused() -> None:
    matrix, _ = inside(PEOPLE, "poor")
    model = {
        "kind": "centres",
        "features": FEATURES,
        "centres": matrix[:400].tolist(),
        "persons": [500] * 400,
    }
    assert applied(book_of(model), "structure").effect is Effect.REFUSED
    wide = {
        "kind": "centres",
        "features": FEATURES,
        "centres": [matrix.mean(axis=0).tolist()],
        "persons": [2_700],
    }
    assert applied(book_of(wide), "structure").effect is Effect.PASSED, "control"


# --- the evaluator, and chance ------------------------------------------------------------------------------


def test_trees_and_lines_are_computed_as_their_library_does() -> None:
    matrix, wanted = inside(PEOPLE, "income")
    from sklearn.linear_model import LinearRegression
    from sklearn.tree import DecisionTreeRegressor

    line = LinearRegression().fit(matrix, wanted).predict(matrix)
    grown = DecisionTreeRegressor(min_samples_leaf=5, random_state=1).fit(matrix, wanted).predict(matrix)
    assert np.allclose(scores(linear(PEOPLE, "income"), matrix), line)
    assert np.allclose(scores(tree(PEOPLE, "income", least=5), matrix), grown)
    assert set(leaves(tree(PEOPLE, least=5)["trees"][0], matrix)) <= set(range(len(matrix)))


def test_two_samples_of_one_distribution_are_not_told_apart() -> None:
    drawn = np.random.default_rng(5)
    above = 0
    for _ in range(400):
        one, other = drawn.normal(size=270), drawn.normal(size=2_700)
        above += attacks._percent(attacks.separation(one, other), (270, 2_700)) > 0
    assert above <= 4, "once in a thousand times"
    assert (
        attacks._percent(attacks.separation(drawn.normal(1, 1, 270), drawn.normal(size=2_700)), (270, 2_700))
        > 20
    )


def test_of_a_person_one_row_is_looked_at_and_gaps_are_left_out() -> None:
    many = people(persons=500, rows_each=3)
    age = many.columns["age"].numbers
    assert age is not None
    gaps = dict(many.columns) | {"age": Column(np.where(np.arange(len(age)) < 30, np.nan, age), None)}
    found = known(dataclasses.replace(many, columns=gaps), FEATURES, "poor")
    assert found is not None and sum(found.sizes) == 490
    assert max(found.sizes) <= MOST_PERSONS
