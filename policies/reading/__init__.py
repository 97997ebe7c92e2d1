"""The SQL guard: the first of two readers of a member's statement. Pure: it imports a parser and nouns, and
no engine.

If every column that a statement uses may be seen as it is, it is read at the level of rows (`rows`). Any
other asks for figures about groups of persons. Names of WITH and subqueries that yield rows are written into
the SELECTs that read them (`scopes`, `flat`); a statement of more than one plain SELECT is split into tables
of figures and a `finish` that computes with them after their protection (`splitting`, `cells`, `finish`).

Each plain SELECT is parsed under bounds (`bounds`); the guard finds what its names mean among the shadows
(`sources`), and translates it, node by node, into a small tree of its own (`translate`, `tree`, by the lists in
`grammar`). What has no place in that tree is refused. From the tree come:

* the *uses*: every base column, by the clause that uses it (`uses`), for `policies.decide`;
* the *counted statement*: the same SELECT, written anew, with numbers of persons beside the figures
  (`persons`);
* the outputs, the order and the limit, which the airlock applies to what is released.

**What a figure rests on.** A figure says something about the persons whose rows can change it. If these are
few, it says something about a person. So the counted statement counts, beside each cell, its persons, and
beside each figure the persons of the smallest part of the cell that the figure tells apart. `persons` has the
rules.

The second reader is the engine's own binder, on empty tables, in a box (`inside.bound`). The two must agree
about every column, and the binder must find the member's statement and the counted one to compute the same
outputs from the same rows.

A statement over relations of several owners is read by `joint`: it is cut into what each owner computes by itself.
"""

from policies.reading.forms import Forms, read, read_forms
from policies.reading.joint import read_joint
from policies.reading.predicate import read_predicate

__all__ = ["Forms", "read", "read_forms", "read_joint", "read_predicate"]
