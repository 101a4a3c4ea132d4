"""Which crops and geometric augmentations a person has looked at."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "looked_at",
        sa.Column("challenge_id", sa.Integer(), nullable=False),
        sa.Column("augmentation_key", sa.String(), nullable=False),
        sa.Column("border_share_mean", sa.Float(), nullable=True),
        sa.Column("border_share_max", sa.Float(), nullable=True),
        sa.Column("looked_at", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["challenge_id"], ["challenge.id"]),
        sa.PrimaryKeyConstraint("challenge_id", "augmentation_key"),
    )
