"""Until when an errand waits because the other side asked for it."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.add_column("errand", sa.Column("not_before_at", sa.Integer(), nullable=True))
