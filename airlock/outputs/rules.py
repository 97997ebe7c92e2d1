"""The rule classes about typed outputs: what a verdict names, why, and what would help whatever the data are."""

from __future__ import annotations

from enum import StrEnum


class OutputRule(StrEnum):
    """The rule classes that verdicts and notes about typed outputs name."""

    ABSENT = "absent"
    UNDECLARED = "undeclared"
    UNREADABLE = "unreadable"
    EXECUTABLE = "executable"
    COLUMN_NAMES = "column-names"
    PERSONS_COLUMN = "persons-column"
    NO_NUMBER = "no-number"
    NO_KEYS = "no-keys"
    TOO_LARGE = "too-large"
    SMALL_GROUP = "small-group"
    ROUNDING = "rounding"
    DOMINANCE = "dominance"
    P_PERCENT = "p-percent"
    DEGREES = "degrees"
    SATURATED = "saturated"
    ZEROS = "zeros"
    CLASS_DISCLOSURE = "class-disclosure"
    MARGINS = "margins"
    EXTREMES = "extremes"
    ROW_LEVEL = "row-level"
    FREE_TEXT = "free-text"
    IDENTIFIERS = "identifiers"
    BIT_BUDGET = "bit-budget"
    LEDGER = "ledger"
    PICTURE = "picture"
    MODEL = "model"
    STRUCTURE = "structure"
    MEMORY = "memory"
    UNTRIED = "untried"
    UNROUNDED_TEXT = "unrounded-text"
    ENTERPRISES = "enterprises"
    BY_PEOPLE = "by-people"

    @property
    def sentence(self) -> str:
        """What the rule found, in a sentence that holds no value of the data."""
        return _WORDS[self][0]

    @property
    def help(self) -> str:
        """What would make the output pass; the same whatever the data are."""
        return _WORDS[self][1]


_WORDS: dict[OutputRule, tuple[str, str]] = {
    OutputRule.ABSENT: (
        "A declared output was not left.",
        "Write every declared file into DARKROOM_OUT, also when it is empty of results; try the folder on its twin.",
    ),
    OutputRule.UNDECLARED: (
        "A file was left that the task does not declare.",
        "Declare it with its form, or do not leave it.",
    ),
    OutputRule.UNREADABLE: (
        "An output is not a file of the form that was declared.",
        "Write it in a format of docs/outputs.md: UTF-8 CSV with one header, Arrow or Parquet of plain types, PNG, one"
        " flat JSON object, plain text.",
    ),
    OutputRule.EXECUTABLE: (
        "An output is in a format that runs code when it is opened, or hides files in it.",
        "Save a model as JSON, safetensors or ONNX (docs/outputs.md), and leave files unpacked.",
    ),
    OutputRule.COLUMN_NAMES: (
        "A column or a metric has a name that cannot leave.",
        "Use short, different names of letters, digits, blanks and simple signs, and no value of the data.",
    ),
    OutputRule.PERSONS_COLUMN: (
        "A table does not say on how many persons each row rests.",
        "Leave a column of whole numbers of persons, without gaps, and name it as `persons` in the task.",
    ),
    OutputRule.NO_NUMBER: (
        "A metric is not a finite number.",
        "Leave out what is NaN or infinite, or write a number in its place, before the file is saved.",
    ),
    OutputRule.NO_KEYS: (
        "The rows of a table are not told apart by a key.",
        "Leave a column that names each row: a group, a category, a term. Numbers with a fraction are no keys, and"
        " whole ones by themselves only under a name such as year, code or group.",
    ),
    OutputRule.TOO_LARGE: (
        "An output is larger than may leave at once.",
        "Leave fewer and coarser rows and columns, a smaller picture, a shorter text, a smaller model.",
    ),
    OutputRule.SMALL_GROUP: (
        "Groups of too few persons do not leave.",
        "Group by fewer or coarser columns, or filter less.",
    ),
    OutputRule.ROUNDING: ("Figures leave rounded only.", "Ask for figures that make sense when rounded."),
    OutputRule.DOMINANCE: (
        "A total is withheld where very few persons make up most of it.",
        "Use coarser groups, or a figure that no single person moves, such as a median or a count.",
    ),
    OutputRule.P_PERCENT: (
        "A total is withheld from which the largest share could be estimated.",
        "Use coarser groups, or a figure that no single person moves, such as a median or a count.",
    ),
    OutputRule.DEGREES: (
        "A fitted model has fewer residual degrees of freedom than the owner asks for.",
        "Fit fewer parameters, or to more persons.",
    ),
    OutputRule.SATURATED: (
        "A fit is perfect, so its parameters can tell the rows.",
        "Fit fewer parameters, and leave dummies of single persons out.",
    ),
    OutputRule.ZEROS: (
        "A figure of exactly zero, in which all persons agree, is withheld.",
        "Join categories, so that none is empty.",
    ),
    OutputRule.CLASS_DISCLOSURE: (
        "A group is withheld of which all persons are in one category.",
        "Join categories or groups, so that persons of a group differ.",
    ),
    OutputRule.MARGINS: (
        "Totals are computed anew from what is shown.",
        "Add the shown figures up on your own side.",
    ),
    OutputRule.EXTREMES: (
        "The smallest and the largest value are single persons' values.",
        "Ask for percentiles such as the 5th and the 95th.",
    ),
    OutputRule.ROW_LEVEL: (
        "A table looks like rows of persons, not like figures about groups.",
        "Aggregate it, or let people of the owning domain look at it.",
    ),
    OutputRule.FREE_TEXT: (
        "A table holds long or encoded texts.",
        "Replace them with short categories; keep texts of the data inside.",
    ),
    OutputRule.IDENTIFIERS: (
        "An output holds what looks like an identifier of a person or an account.",
        "Leave identifiers out, and check by which columns you group.",
    ),
    OutputRule.BIT_BUDGET: (
        "The outputs hold more bits than code of members may let out at once.",
        "Leave fewer or coarser outputs, use a component of the library, or have the code reviewed.",
    ),
    OutputRule.LEDGER: (
        "Something is withheld because of what was released before.",
        "Use an earlier answer about the same persons.",
    ),
    OutputRule.PICTURE: (
        "Only people can see whether a picture shows rows.",
        "Leave the table behind it as an output of its own, and draw on your own side.",
    ),
    OutputRule.MODEL: (
        "Models stay for scoring inside, unless a reviewer lets them out.",
        "Score inside, or wait for the review.",
    ),
    OutputRule.STRUCTURE: (
        "A model holds rows, or parts that rest on too few persons.",
        "Use fewer and larger leaves or clusters, and no method that keeps rows (neighbours, support vectors).",
    ),
    OutputRule.MEMORY: (
        "A model knows more of the persons to whom it was fitted than of others.",
        "Fit fewer parameters or larger leaves, regularise, stop earlier, or fit to more persons.",
    ),
    OutputRule.UNTRIED: (
        "No attack could be run on a model: how it is computed from columns is not known here, or too few persons were "
        "kept out. People decide.",
        "Save it as JSON of docs/outputs.md, with features that are columns of the tables, and its target.",
    ),
    OutputRule.UNROUNDED_TEXT: (
        "A text holds figures that no machine can judge.",
        "Put figures into a table or into metrics, and write rounded ones in the text.",
    ),
    OutputRule.ENTERPRISES: (
        "The owner asks for a number of enterprises behind every figure, which is not counted for tasks.",
        "Ask in SQL, where they are counted, or wait for the review.",
    ),
    OutputRule.BY_PEOPLE: (
        "The owner has people look at every output.",
        "Wait for the review.",
    ),
}
