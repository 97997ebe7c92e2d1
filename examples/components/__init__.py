"""Made-up tables on which every component of the algorithm library runs with the parameters of its example.

    python -m examples.components           every component
    python -m examples.components NAME …    only these

No box is started and nothing is real; it shows what each component leaves, before the airlock rounds it.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable

import numpy as np
import pyarrow as pa
from PIL import Image, ImageDraw, ImageFont

PERSONS = 1_200
COMPLAINTS = (
    "小区供暖温度太低，物业一直不处理",
    "公交站前道路积水严重，出行不便",
    "夜间施工噪音扰民，影响休息",
    "物业收费不透明，供暖费用偏高",
    "道路施工没有提示，公交绕行",
)
COMPANIES = tuple(
    f"{place}{trade}有限公司"
    for place in ("青城", "草原", "蓝天", "白云", "绿洲")
    for trade in ("贸易", "科技", "建筑")
)


def residents(persons: int = PERSONS, seed: int = 7) -> pa.Table:
    """Return residents, a third of them with two rows: income, age and much else, some of which hangs together."""
    chance = np.random.default_rng(seed)
    who = np.concatenate([np.arange(persons), np.arange(persons // 3)])
    rows = len(who)
    age = chance.integers(18, 90, persons)[who]
    income = np.round(2_000 + 60 * age + chance.gamma(4, 400, rows), 2)
    months = np.minimum(1 + np.floor(chance.exponential(24, rows)), 60)
    insured = chance.random(rows) < 1 / (1 + np.exp(4 - age / 15))
    return pa.table(
        {
            "person": pa.array(who.astype(np.uint64)),
            "_signs": pa.array(chance.integers(0, 2**64, persons, np.uint64)[who]),
            "age": pa.array(age.astype(np.int32)),
            "income": pa.array(income),
            "banner": pa.array(chance.choice(["huimin", "saihan", "xincheng"], persons)[who]),
            "sex": pa.array(chance.choice(["f", "m"], persons)[who]),
            "insured": pa.array(insured),
            "months": pa.array(months),
            "left": pa.array(months < 60),
            "day": pa.array(
                np.datetime64("2023-01-15") + chance.integers(0, 20, rows) * np.timedelta64(30, "D")
            ),
            "complaint": pa.array(chance.choice(COMPLAINTS, rows)),
            "company": pa.array(chance.choice(COMPANIES, rows)),
        }
    )


def payments(persons: int = PERSONS, seed: int = 8) -> pa.Table:
    """Return who paid whom: two thirds of the nodes in one large part, the others in pairs."""
    chance = np.random.default_rng(seed)
    many = 2 * persons // 3
    pairs = persons - many
    payer = np.concatenate([chance.integers(0, many, many), 10_000 + 2 * np.arange(pairs)])
    payee = np.concatenate([chance.integers(0, many, many), 10_001 + 2 * np.arange(pairs)])
    who = np.arange(persons)
    return pa.table(
        {
            "person": pa.array(who.astype(np.uint64)),
            "_signs": pa.array(chance.integers(0, 2**64, persons, np.uint64)),
            "payer": pa.array(payer),
            "payee": pa.array(payee),
        }
    )


def licences(persons: int = 24) -> pa.Table:
    """Return pictures of licences; on half of them stands a date."""
    shown = [drawn("BUSINESS LICENCE", *(["Date: 2024-05-01"] if who % 2 else [])) for who in range(persons)]
    return pa.table(
        {
            "person": pa.array(np.arange(persons, dtype=np.uint64)),
            "_signs": pa.array(np.random.default_rng(9).integers(0, 2**64, persons, np.uint64)),
            "licence": pa.array(shown),
        }
    )


def drawn(*lines: str) -> str:
    """Return a small picture of lines of text, a PNG in base64."""
    image = Image.new("RGB", (340, 30 + 50 * len(lines)), "white")
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(26)
    for place, line in enumerate(lines):
        pen.text((20, 15 + 50 * place), line, fill="black", font=font)
    content = io.BytesIO()
    image.save(content, "PNG")
    return base64.b64encode(content.getvalue()).decode()


_OTHERS: dict[str, Callable[[], tuple[pa.Table, ...]]] = {
    "graph-components": lambda: (payments(),),
    "certificate-reading": lambda: (licences(),),
    "record-linkage": lambda: (residents(), residents(seed=11)),
}


def tables(component: str) -> tuple[pa.Table, ...]:
    """Return the tables on which a component's example runs."""
    return _OTHERS.get(component, lambda: (residents(),))()
