"""What other rooms use of `policies`."""

from __future__ import annotations

from policies.constraints import short
from policies.decide import Case, Granted, decide
from policies.derive import RESULT, SEALED, TABLE, program, sql_boxes

__all__ = ["RESULT", "SEALED", "TABLE", "Case", "Granted", "decide", "program", "short", "sql_boxes"]
