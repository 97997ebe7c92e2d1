"""Projects, whose members may have labs; and tokens know under which session they were made.

Sessions and tokens of before were made under none.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_TEXTS = ("title", "title_zh", "purpose", "members", "profiles")


def upgrade() -> None:
    """Add the table and the column; no default stays behind."""
    op.create_table(
        "projects",
        sa.Column("name", sa.String(200), nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in _TEXTS),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_projects"),
    )
    with op.batch_alter_table("sessions") as table:
        table.add_column(sa.Column("parent", sa.Text, nullable=False, server_default=""))
    with op.batch_alter_table("sessions") as table:
        table.alter_column("parent", existing_type=sa.Text, existing_nullable=False, server_default=None)


def downgrade() -> None:
    """Take them away again."""
    with op.batch_alter_table("sessions") as table:
        table.drop_column("parent")
    op.drop_table("projects")
