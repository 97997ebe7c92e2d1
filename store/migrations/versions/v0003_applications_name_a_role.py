"""An application names the role in which its member would act.

Grants were all given to the role `researcher` before this, so that is what the applications of then asked for.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the role; no default stays behind, so that every new application has to say one."""
    with op.batch_alter_table("applications") as table:
        table.add_column(sa.Column("role", sa.Text, nullable=False, server_default="researcher"))
    with op.batch_alter_table("applications") as table:
        table.alter_column("role", existing_type=sa.Text, existing_nullable=False, server_default=None)


def downgrade() -> None:
    """Take it away again."""
    with op.batch_alter_table("applications") as table:
        table.drop_column("role")
