"""Scores of one owner's rows by another's model: features travel encrypted, and come back as encrypted scores.

    finder ── cipher/key, (cipher/products,) cipher/columns ──► the model's owner ── cipher/answers ──► finder

The finder's box makes a key for this attempt alone and encrypts the features of its rows, a column for each term of the
score (`mpc.encrypted.scoring`). Where a score is of trees, it is a column for each feature and each value that a
threshold may have: whether the feature is at least that (`mpc.encrypted.trees`). The model's box multiplies, of columns
of answers those that its own thresholds ask for, and adds up, floods what comes out, and sends it back; the finder's
box decrypts once. So

- *The model's owner* sees ciphertexts under a key that it lacks, and of rows their public number.
- *The finder* sees the score of each row that it sent, and no coefficient, threshold or leaf. As many scores of rows in
  general position as there are coefficients are as many equations: the terms of the model's owner bound them
  (`JointRules.members`), or say that the model is given away. Rows that stand for nobody, up to the public number,
  repeat a row, so that they are no equation more.

Scores are whole numbers of their smallest decimal, exact; rounding, and the logistic curve, come after decryption, in
the same box. Nobody else could open anything together: there are two parties.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from keys.randomness import MaskStream
from mpc.encrypted.arithmetic import Numbers
from mpc.encrypted.envelope import Content
from mpc.encrypted.key_process import KeyProcess, ScoreTerms, key_id, probability
from mpc.encrypted.packing import Columns
from mpc.encrypted.scoring import LinearModel, Scorer
from mpc.encrypted.sums import Shape
from mpc.encrypted.trees import Tree, TreeScorer
from mpc.protocols import planning
from mpc.protocols.channel import Channel
from mpc.protocols.envelopes import Envelopes
from mpc.protocols.joint_rows import OwnRows
from mpc.protocols.layout import Attempt
from plans.errors import Malformed, RangeTooWide, TooLarge
from plans.joint import JointPlan, ScoreFunction, ScoreNode

ANSWERS_TAG = "cipher/answers"


class Part:
    """One party's part: what all messages of an attempt are bound to, and who it is.

    Args:
        channel: a link with the other party.
        joint: the plan.
        me: this party's domain.
        attempt: of the plan.
        coins: this party's own fresh randomness, for the keys of its envelopes.

    Raises:
        RangeTooWide, Malformed: see `planning.scores`.
    """

    def __init__(
        self, channel: Channel, joint: JointPlan, me: str, attempt: Attempt, coins: MaskStream
    ) -> None:
        self.owner: KeyProcess | None = None  # of the key, at who has it
        self._joint, self._me, self._reading = joint, me, joint.reading
        self._parameters = planning.scores(joint.reading).parameters
        self._envelopes = Envelopes(channel, attempt, me, self._parameters, coins)
        self._rows = joint.reading.portions[0].bound
        self._score = planning.score_of(joint.reading)
        self._features = sorted({feature for feature in self._score.features if feature >= 0})
        count = planning.encrypted_columns(joint.reading)
        self._shape = Columns(self._parameters, count, self._rows)

    def ask(self, rows: OwnRows) -> list[int]:
        """Do the finder's part; return the score of each of its rows at the scale `planning.score_decimals`.

        Raises:
            TooLarge: there are more rows than the plan's public number.
            Malformed: a feature has no value in some row.
            LinkBroken, EvidenceBroken: what came are no scores of these rows.
            PeerLost: see `Channel`.
        """
        columns = self._columns(rows)
        owner, model = self._joint.task.finder, self._reading.portions[1].domain
        first = self._envelopes.front((owner, model), Content.PUBLIC_KEY, "")
        self.owner = key = KeyProcess(self._parameters, first, planning.largest_score(self._reading))
        self._envelopes.send_key(key, model)
        if self._score.trees:
            self._envelopes.send_product_key(key, model)
        self._envelopes.send_columns(key, columns, planning.feature_cap(self._reading), model)
        due = self._envelopes.front((model, owner), Content.ANSWERS, key.key, self._rows)
        size = Shape(self._parameters, self._rows).size
        raw, secret = self._envelopes.receive(ANSWERS_TAG, due, size)
        terms = _terms(self._shape.columns, self._rows)
        return key.scores(raw, model, self._rows, terms, 0, secret)[: len(rows.keys)]

    def answer(self, rows: OwnRows) -> None:
        """Do the part of the model's owner, whose `rows` are one: its coefficients.

        Raises:
            Malformed: the model has another number of rows, or a coefficient has no value.
            RangeTooWide: a coefficient is outside what was declared.
            LinkBroken, EvidenceBroken, PeerLost: what came are no columns of this attempt; or see `Channel`.
        """
        found, finder = self._numbers(rows), self._joint.task.finder
        model = self._trees(found) if self._score.trees else self._linear(found)
        public = self._envelopes.receive_key(finder)
        key = key_id(public)
        if isinstance(model, LinearModel):
            raw = self._envelopes.receive_columns(finder, key, self._shape)
            scores = Scorer(self._parameters, public).score(raw, self._rows, model)
        else:
            products = self._envelopes.receive_product_key(finder, key)
            raw = self._envelopes.receive_columns(finder, key, self._shape)
            scorer = TreeScorer(self._parameters, public, products)
            cap = planning.leaf_cap(self._reading)
            scores = scorer.score(raw, self._shape, model, cap, self._constant(found))
        front = self._envelopes.front((self._me, finder), Content.ANSWERS, key, self._rows)
        self._envelopes.send(ANSWERS_TAG, front, scores)

    def _columns(self, rows: OwnRows) -> Iterator[Numbers]:
        """Return the columns that are encrypted, each as long as the public number of rows."""
        count, where = len(rows.keys), self._reading.portions[0].relation
        if count > self._rows:
            raise TooLarge("there are more rows than the plan's public number of rows", where)
        if not rows.present[self._features].all():
            raise Malformed("a feature has no value in some row, and nothing stands for it", where)
        places = np.minimum(np.arange(self._rows), max(count, 1) - 1)  # behind the last row it is repeated
        nobody = np.zeros(self._rows, dtype=np.int64)
        return (column[places] if count else nobody for column in self._own(rows))

    def _own(self, rows: OwnRows) -> Iterator[Numbers]:
        """Yield what is encrypted of the own rows: features of terms, or answers to questions of trees."""
        for feature, _ in self._score.terms:
            if feature >= 0:
                yield rows.values[feature]
        for feature, least in planning.bits_of(self._reading):
            yield (rows.values[feature] >= least).astype(np.int64)

    def _numbers(self, rows: OwnRows) -> list[int]:
        """Return the numbers of the model, once they are what was declared of them."""
        portion = self._reading.portions[1]
        if rows.values.shape != (len(portion.operands), 1) or not rows.present.all():
            raise Malformed("a model is one row, with a value in every column", portion.relation)
        found = [int(number) for number in rows.values[:, 0]]
        if any(
            not each.low <= number <= each.high for each, number in zip(portion.operands, found, strict=True)
        ):
            raise RangeTooWide("a coefficient is outside the declared range", portion.relation)
        return found

    def _linear(self, found: list[int]) -> LinearModel:
        """Return whole weights, one for each column, and the sum of the terms without a feature."""
        weights = tuple(weight for feature, weight in self._scaled(found) if feature >= 0)
        constant = self._constant(found)
        return LinearModel(weights, constant, max(abs(each) for each in (*weights, constant)))

    def _scaled(self, found: list[int]) -> list[tuple[int, int]]:
        terms = zip(self._score.terms, planning.powers_of(self._reading), strict=True)
        return [(feature, found[place] * 10**power) for (feature, place), power in terms]

    def _constant(self, found: list[int]) -> int:
        return sum(weight for feature, weight in self._scaled(found) if feature < 0)

    def _trees(self, found: list[int]) -> list[Tree]:
        """Return trees over the encrypted answers: at each question the one for the own threshold.

        A question that is not there is that at the root once more, with equal leaves below: it costs the same.
        """
        scale, operands = planning.score_decimals(self._reading), self._reading.portions[1].operands
        made = []
        for tree in self._score.trees:
            root, low, high = (
                self._bit(node or tree.root, found) for node in (tree.root, tree.low, tree.high)
            )
            leaves = [found[place] * 10 ** (scale - operands[place].decimals) for place in tree.four]
            made.append(Tree(root, low, high, (leaves[0], leaves[1], leaves[2], leaves[3])))
        return made

    def _bit(self, node: ScoreNode, found: list[int]) -> int:
        """Return the place of the encrypted answer to a question about the own threshold."""
        value = found[node.threshold]
        if value not in node.values:
            where = self._reading.portions[1].relation
            raise RangeTooWide("a threshold is none of the values that were declared of it", where)
        cut = planning.cut_of(self._reading, node, value)
        return planning.bits_of(self._reading).index((node.feature, cut))


def _terms(features: int, rows: int) -> ScoreTerms:
    """Return terms that the plan has looked at: its compiler and the model's keeper know whether it is given away."""
    return ScoreTerms(features, rows, 1, given_away=rows > features)


def rounded(joint: JointPlan, scores: list[int]) -> tuple[tuple[int, ...], int]:
    """Return scores in units of 10^-decimals, as the reading rounds them, and decimals; halves go away from zero, as in
    SQL.

    Args:
        joint: the plan.
        scores: whole numbers at the scale `planning.score_decimals`.

    Raises:
        Malformed: the reading has no score.
    """
    score, scale = joint.reading.score, planning.score_decimals(joint.reading)
    if score is None:
        raise Malformed("this reading has no score", "joint-reading.score")
    found, decimals = scores, score.decimals
    if score.function is ScoreFunction.LOGISTIC:
        found = [probability(each, scale, decimals) for each in scores]
    elif decimals >= scale:
        found = [each * 10 ** (decimals - scale) for each in scores]
    else:
        step = 10 ** (scale - decimals)
        found = [(abs(each) + step // 2) // step * (1 if each >= 0 else -1) for each in scores]
    return tuple(found), decimals
