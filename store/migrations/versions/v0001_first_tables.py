"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TABLES = {
    "members": ("name", "domain roles password_hash signing_key opening_key", "created_at"),
    "sessions": ("token_hash", "member kind scopes label", "created_at expires_at"),
    "domains": ("name", "title title_zh keeper_key keeper_socket launcher_socket", ""),
    "manifests": ("digest", "dataset relation domain grade title signed", "version created_at erased_at"),
    "applications": (
        "id",
        "member project purpose dataset columns reason state decided_by grant",
        "until uses created_at",
    ),
    "statements": ("digest", "type domain signer subject_of signed", "received_at"),
    "jobs": (
        "id",
        "member project state request request_signature domain plan_digest plan decision verdict"
        " release problem stage timeline",
        "attempt created_at updated_at",
    ),
}
_INDEXES = (
    ("sessions", ("member",)),
    ("sessions", ("expires_at",)),
    ("manifests", ("relation",)),
    ("applications", ("member",)),
    ("applications", ("state",)),
    ("statements", ("domain", "type")),
    ("statements", ("subject_of",)),
    ("jobs", ("member",)),
    ("jobs", ("state", "created_at")),
    ("jobs", ("plan_digest",)),
)


def upgrade() -> None:
    """Make the tables: a key of text, then texts, then whole numbers; none may be null."""
    for table, (key, texts, numbers) in _TABLES.items():
        op.create_table(
            table,
            sa.Column(key, sa.String(200), nullable=False),
            *(sa.Column(name, sa.Text, nullable=False) for name in texts.split()),
            *(sa.Column(name, sa.BigInteger, nullable=False) for name in numbers.split()),
            sa.PrimaryKeyConstraint(key, name=f"pk_{table}"),
            *_unique(table),
        )
    for table, columns in _INDEXES:
        op.create_index(f"ix_{table}_{'_'.join(columns)}", table, list(columns))


def downgrade() -> None:
    """Remove the tables."""
    for table in _TABLES:
        op.drop_table(table)


def _unique(table: str) -> list[sa.UniqueConstraint]:
    if table != "manifests":
        return []
    return [sa.UniqueConstraint("dataset", "version", name="uq_manifests_dataset_version")]
