"""What other rooms may import from the catalog."""

from __future__ import annotations

from catalog.check_digits import id18_check_character, id18_is_right, uscc_check_character, uscc_is_right
from catalog.declared import declared
from catalog.description import (
    NOBODY,
    ROW,
    CheckDigit,
    DescribedColumn,
    Description,
    Format,
    Share,
    engine_type,
)
from catalog.domains import ancestors, below, children, parent
from catalog.problems import ingest_problem
from catalog.reading import read_file, read_folder, read_text
from catalog.twins import released_twin, signed_twin

__all__ = [
    "NOBODY",
    "ROW",
    "CheckDigit",
    "DescribedColumn",
    "Description",
    "Format",
    "Share",
    "ancestors",
    "below",
    "children",
    "declared",
    "engine_type",
    "id18_check_character",
    "id18_is_right",
    "ingest_problem",
    "parent",
    "read_file",
    "read_folder",
    "read_text",
    "released_twin",
    "signed_twin",
    "uscc_check_character",
    "uscc_is_right",
]
