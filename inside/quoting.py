"""Names and texts as SQL writes them (`plans.quoting`). Apart from the engine, which boxes that only read and judge do
not import.
"""

from __future__ import annotations

from plans.quoting import identifier as identifier
from plans.quoting import literal as literal
