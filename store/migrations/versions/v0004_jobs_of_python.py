"""Jobs beside SQL: members' folders in a table of their own, and what a job keeps while it runs or is held."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TEXTS = ("records", "trial")


def upgrade() -> None:
    """Add them; no default stays behind."""
    op.create_table(
        "folders",
        sa.Column("digest", sa.String(200), nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_folders"),
    )
    with op.batch_alter_table("jobs") as table:
        for name in _TEXTS:
            table.add_column(sa.Column(name, sa.Text, nullable=False, server_default=""))
        table.add_column(sa.Column("spent_s", sa.BigInteger, nullable=False, server_default="0"))
    with op.batch_alter_table("jobs") as table:
        for name in _TEXTS:
            table.alter_column(name, existing_type=sa.Text, existing_nullable=False, server_default=None)
        table.alter_column(
            "spent_s", existing_type=sa.BigInteger, existing_nullable=False, server_default=None
        )


def downgrade() -> None:
    """Take them away again."""
    with op.batch_alter_table("jobs") as table:
        for name in (*_TEXTS, "spent_s"):
            table.drop_column(name)
    op.drop_table("folders")
