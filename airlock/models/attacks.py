"""Attacks on what a model remembers, as advantages over guessing beyond chance.

*Membership by loss* (Yeom, Giacomelli, Fredrikson and Jha 2018, section 3): whoever was in the fit is missed by less.
The advantage is the largest difference between the share of members and the share of others below a threshold of
the loss.

*Membership by shadow models* (Shokri, Stronati, Song and Shmatikov 2017): models of the same kind are fitted to random
halves of the persons who were kept from the job, so that the attacker knows who was in; a classifier learns from
them to tell the two apart by loss and score, and is tried on the model that is judged.

*Attributes* (Yeom et al., section 4): whoever knows all but one feature of a person takes the value with which the
model misses least. It counts how much more often that is right for members than for others: what it finds out about
everybody is what the model is for.

An advantage is that of a finite sample; of two samples of n and m from one distribution it is above
`CRITICAL * sqrt((n + m) / (n * m))` once in a thousand times (Smirnov 1948). So much is taken off.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from airlock.models.evaluating import losses, scores
from airlock.models.rows import Known, Numbers, Truths

CRITICAL = 1.95
SHADOWS = 8
MOST_SHADOW_ROWS = 4_000
FEWEST = 50
"""Persons of each side below which no attack is worth a sentence."""
MOST_VALUES, MOST_ATTRIBUTES = 12, 40
"""Values of a feature that an attacker tries (one with more is cut into as many bands), and features that are tried."""
_SEED = 20_250_801


@dataclass(frozen=True, slots=True)
class Advantages:
    """By how many percent each attack beats guessing, beyond chance, and by how much worse others are missed."""

    by_loss: int
    by_shadows: int
    of_attributes: int
    attribute: str
    gap_percent: int

    @property
    def largest(self) -> int:
        """The best attack's."""
        return max(self.by_loss, self.by_shadows, self.of_attributes)


def attack(model: Mapping[str, Any], known: Known) -> Advantages | None:
    """Return what attacks gain, or none where there are too few persons on one side to tell.

    `model` is of the kind `linear` or `trees`, as `airlock.outputs.models` reads it.
    """
    if min(known.sizes) < FEWEST:
        return None
    found = losses(model, known.features, known.target)
    inside, outside = found[known.members], found[~known.members]
    attribute, gained = _attributes(model, known)
    return Advantages(
        by_loss=_percent(separation(-inside, -outside), known.sizes),
        by_shadows=_percent(_shadowed(model, known, found), known.sizes),
        of_attributes=_percent(gained, known.sizes),
        attribute=attribute,
        gap_percent=_gap(inside, outside),
    )


def separation(members: Numbers, others: Numbers) -> float:
    """Return the largest difference between the shares of two samples that lie above a threshold."""
    every = np.unique(np.concatenate([members, others]))
    above = [1 - np.searchsorted(np.sort(each), every) / len(each) for each in (members, others)]
    return float(max(0.0, (above[0] - above[1]).max()))


def _percent(advantage: float, sizes: tuple[int, int]) -> int:
    members, others = sizes
    chance = CRITICAL * ((members + others) / (members * others)) ** 0.5
    return max(0, round(float(100 * (advantage - chance))))


def _gap(inside: Numbers, outside: Numbers) -> int:
    """Return by how many percent others are missed worse than members, at most a thousand."""
    mean = float(np.median(inside)) or float(inside.mean())
    return min(1_000, max(0, round(100 * (float(np.median(outside)) / mean - 1)))) if mean > 0 else 0


# --- shadow models ------------------------------------------------------------------------------------------


def _shadowed(model: Mapping[str, Any], known: Known, found: Numbers) -> float:
    """Return how well a classifier that learned from shadow models tells members of the judged model."""
    from sklearn.linear_model import LogisticRegression

    drawn = np.random.default_rng(_SEED)
    others = np.flatnonzero(~known.members)
    spread = known.features.std(axis=0)
    alike = replace(
        known, features=(known.features - known.features.mean(axis=0)) / np.where(spread > 0, spread, 1)
    )
    seen, labels = [], []
    for _ in range(SHADOWS):
        mixed = drawn.permutation(others)[:MOST_SHADOW_ROWS]
        inside = np.zeros(len(mixed), dtype=bool)
        inside[: len(mixed) // 2] = True
        signs = _shadow_signs(model, alike, mixed, inside)
        if signs is None:
            return 0.0
        seen.append(signs)
        labels.append(inside)
    told = LogisticRegression(max_iter=200).fit(np.vstack(seen), np.concatenate(labels))
    judged = told.decision_function(_signs(found, scores(model, known.features)))
    return separation(judged[known.members], judged[~known.members])


def _shadow_signs(model: Mapping[str, Any], known: Known, mixed: Any, inside: Truths) -> Numbers | None:
    """Fit one shadow model to the half that is inside, and return what an attacker sees of every row."""
    fitted = _fitted(model, known.features[mixed[inside]], known.target[mixed[inside]])
    if fitted is None:
        return None
    features, target = known.features[mixed], known.target[mixed]
    if model["family"] == "binomial":
        chance = np.clip(fitted.predict_proba(features)[:, 1], 1e-6, 1 - 1e-6)
        loss = -np.log(np.where(target > 0.5, chance, 1 - chance))
        return _signs(loss, np.log(chance / (1 - chance)))
    score = np.asarray(fitted.predict(features), dtype=np.float64)
    return _signs((target - score) ** 2, score)


def _fitted(model: Mapping[str, Any], features: Numbers, target: Numbers) -> Any:
    """Return a model of the judged one's kind and size, fitted by scikit-learn; none where the target is one value."""
    from sklearn import ensemble, linear_model

    truth = target > 0.5
    if model["family"] == "binomial" and (truth.all() or not truth.any()):
        return None
    if model["kind"] == "linear":
        if model["family"] == "binomial":
            return linear_model.LogisticRegression(max_iter=200).fit(features, truth)
        return linear_model.LinearRegression().fit(features, target)
    size: dict[str, Any] = {
        "max_iter": min(len(model["trees"]), 50),
        "max_leaf_nodes": max(2, min(64, max(tree["feature"].count(-1) for tree in model["trees"]))),
        "min_samples_leaf": 1,
        "early_stopping": False,
        "random_state": 1,
    }
    if model["family"] == "binomial":
        return ensemble.HistGradientBoostingClassifier(**size).fit(features, truth)
    return ensemble.HistGradientBoostingRegressor(**size).fit(features, target)


def _signs(loss: Numbers, score: Numbers) -> Numbers:
    """Return loss and score by their ranks: a shadow model of another size misses by other amounts."""
    return np.column_stack([_ranks(loss), np.abs(_ranks(score) - 0.5)])


def _ranks(values: Numbers) -> Numbers:
    order = np.empty(len(values))
    order[np.argsort(values, kind="stable")] = np.arange(len(values)) / len(values)
    return order


# --- attributes ---------------------------------------------------------------------------------------------


def _attributes(model: Mapping[str, Any], known: Known) -> tuple[str, float]:
    """Return the feature about whose values the model tells most of members beyond others, and by how much."""
    best, gained = "", 0.0
    for place, name in enumerate(model["features"][:MOST_ATTRIBUTES]):
        right = _guessed(model, known, place)
        if right is None:
            continue
        advantage = float(right[known.members].mean() - right[~known.members].mean())
        if advantage > gained:
            best, gained = str(name), advantage
    return best, gained


def _guessed(model: Mapping[str, Any], known: Known, place: int) -> Truths | None:
    """Return for every person whether the value with which the model misses least is the true one."""
    values = known.features[:, place]
    tried = np.unique(values)
    if len(tried) > MOST_VALUES:
        tried = np.unique(np.quantile(values, (np.arange(MOST_VALUES) + 0.5) / MOST_VALUES))
    if len(tried) < 2:
        return None
    missed = np.empty((len(tried), len(values)))
    for number, value in enumerate(tried):
        changed = known.features.copy()
        changed[:, place] = value
        missed[number] = losses(model, changed, known.target)
    nearest = np.argmin(np.abs(tried[:, None] - values[None, :]), axis=0)
    return np.asarray(np.argmin(missed, axis=0) == nearest)
