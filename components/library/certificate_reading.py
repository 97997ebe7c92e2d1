"""Character recognition of certificates: on how many persons' pictures which fields can be read."""

from __future__ import annotations

import base64
import binascii
import io
import logging
import os
import unicodedata
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from components.description import Component, Offer, Parameter, Part, Sort
from plans.artifacts import Artifact, Form

if TYPE_CHECKING:
    import numpy as np

    from components.evidence import Evidence
    from components.rows import Rows

COMPONENT = Component(
    name="certificate-reading",
    title="Certificate reading",
    title_zh="证照识别",
    purpose="Reads pictures of certificates (Chinese and English print) and says on how many persons' pictures each"
    " named field stands, and how sure the reading is. The models are in the image; nothing is fetched.",
    purpose_zh="识别证照图片中的文字（中英文印刷体），统计各指定字段在多少人的证照上出现、识别的把握程度。"
    "模型在镜像内，不联网。",
    tables=("table",),
    parameters=(
        Parameter(
            name="picture", sort=Sort.COLUMN, part=Part.FEATURE,
            meaning="the column of pictures: PNG or JPEG, as bytes or as text in base64",
            meaning_zh="图片列：PNG 或 JPEG，二进制或 base64 文本",
        ),
        Parameter(
            name="fields", sort=Sort.WORDS, least="1", most="50",
            meaning="words that stand before or in the fields that are looked for", meaning_zh="要查找的字段名",
        ),
        Parameter(
            name="most", sort=Sort.WHOLE, default=10000, least="1", most="1000000",
            meaning="how many pictures are read at most", meaning_zh="最多识别的图片数",
        ),
    ),
    outputs=(
        Offer(Artifact("fields.csv", Form.TABLE, persons="persons"), "a row for each field", "每个字段一行"),
        Offer(
            Artifact("reading.csv", Form.TABLE, persons="persons"),
            "a row for each band of how sure the reading was", "每个置信度段一行",
        ),
    ),
    rules=("small-group", "dominance", "rounding"),
    disclosure="What is read never leaves, only how many persons' pictures show a field that the task names. A field"
    " has two characters at least and no digits, so that nobody's number can be looked for.",
    disclosure_zh="识别出的内容从不输出，只输出任务指定的字段在多少人的图片上出现。字段名至少两个字且不含数字，"
    "因此无法用来查找某人的号码。",
    example={"picture": "licence", "fields": ["business licence", "date"]},
)  # fmt: skip

MOST_PIXELS = 40_000_000
LARGEST_SIDE = 2_000
"""Pixels: larger pictures are not read, and larger sides are made smaller before."""

BANDS = ("not read", "below 0.80", "0.80 to 0.95", "0.95 or above")


def run(tables: Sequence[Rows], values: Mapping[str, Any], evidence: Evidence) -> dict[str, bytes]:
    """Return fields and bands."""
    import numpy as np

    from components.errors import NoFit
    from components.evidence import COUNT, Cells, Figure

    wanted = [_folded(_field(field)) for field in values["fields"]]
    rows = tables[0]
    if len(rows) > values["most"]:
        raise NoFit
    engine = _engine()
    bands = np.full(len(rows), -1)
    known: dict[str | bytes, tuple[str, float]] = {}
    found, items = [], []
    for row, picture in enumerate(rows.raw(values["picture"])):
        if picture is None:
            continue
        if picture not in known:
            known[picture] = _read(engine, picture)
        text, sure = known[picture]
        bands[row] = 0 if not text else 1 + int(np.searchsorted((0.80, 0.95), sure, side="right"))
        for place, field in enumerate(wanted):
            if field in text:
                found.append(place)
                items.append(row)
    if not found:
        raise NoFit
    ones = np.ones(len(rows))
    fields = Cells.of(rows, np.array(found), len(wanted), np.array(items))
    sureness = Cells.of(rows, bands, len(BANDS))
    return {
        "fields.csv": evidence.table(
            "fields.csv", {"field": list(values["fields"])}, fields,
            {"pictures": Figure(COUNT, fields.items, fields.largest(ones))},
        ),
        "reading.csv": evidence.table(
            "reading.csv", {"confidence": BANDS}, sureness,
            {"pictures": Figure(COUNT, sureness.items, sureness.largest(ones))},
        ),
    }  # fmt: skip


def _field(field: str) -> str:
    from plans.errors import Malformed

    if len(field.strip()) < 2 or any(map(str.isdigit, field)):
        raise Malformed(
            "a field has two characters at least and no digits",
            "parameter fields",
            "Name a field, not a value.",
        )
    return field


def _folded(text: str) -> str:
    """Return a text without blanks, case and widths, in which words are looked for."""
    return "".join(unicodedata.normalize("NFKC", text).casefold().split())


def _engine() -> Any:
    """Return the reader with the models that its wheel carries."""
    from rapidocr import RapidOCR

    threads = int(os.environ.get("OMP_NUM_THREADS", "1"))
    engine = RapidOCR(params={"EngineConfig.onnxruntime.intra_op_num_threads": threads})
    logging.getLogger("RapidOCR").setLevel(logging.CRITICAL)
    return engine


def _read(engine: Any, picture: str | bytes) -> tuple[str, float]:
    """Return all that stands on a picture, folded, and how sure that is on average; nothing for what is no picture."""
    pixels = _pixels(picture)
    if pixels is None:
        return "", 0.0
    said = engine(pixels)
    if not said.txts:
        return "", 0.0
    return _folded("".join(said.txts)), float(sum(said.scores) / len(said.scores))


def _pixels(picture: str | bytes) -> np.ndarray | None:
    """Return a picture as pixels, or none if it is damaged, too large, or no PNG or JPEG."""
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    try:
        content = base64.b64decode(picture, validate=True) if isinstance(picture, str) else picture
        with Image.open(io.BytesIO(content), formats=("PNG", "JPEG")) as opened:
            if opened.width * opened.height > MOST_PIXELS:
                return None
            image = opened.convert("RGB")
    except (binascii.Error, UnidentifiedImageError, OSError, ValueError, SyntaxError):
        return None
    image.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
    return np.asarray(image)
