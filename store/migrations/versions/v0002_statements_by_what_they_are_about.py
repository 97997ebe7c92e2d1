"""Statements of one type about one thing are found at once: a member's grants among a domain's million."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Take what a statement is about into the index by domain and type."""
    op.create_index("ix_statements_domain_type_subject_of", "statements", ["domain", "type", "subject_of"])
    op.drop_index("ix_statements_domain_type", "statements")


def downgrade() -> None:
    """Take it out again."""
    op.create_index("ix_statements_domain_type", "statements", ["domain", "type"])
    op.drop_index("ix_statements_domain_type_subject_of", "statements")
