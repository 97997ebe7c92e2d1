"""Joint computations in a table of their own: they belong to several domains, and have no box of the centre."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_TEXTS = (
    "member", "project", "state", "request", "request_signature", "parties", "digest", "plan", "problem",
)  # fmt: skip


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "joint",
        sa.Column("id", sa.String(200), nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in _TEXTS),
        sa.Column("attempt", sa.BigInteger, nullable=False),
        sa.Column("timeline", sa.Text, nullable=False),
        sa.Column("results", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_joint"),
    )
    op.create_index("ix_joint_member", "joint", ["member"])
    op.create_index("ix_joint_state_created_at", "joint", ["state", "created_at"])


def downgrade() -> None:
    """Take it away again."""
    op.drop_table("joint")
