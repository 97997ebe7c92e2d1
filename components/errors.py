"""The one way in which a component that was asked rightly does not come to its end."""

from __future__ import annotations


class NoFit(Exception):
    """The data do not carry what was asked for: too few persons, too few degrees of freedom, no solution.

    Which of these it was is a finding about the data, so it is said nowhere.
    """
