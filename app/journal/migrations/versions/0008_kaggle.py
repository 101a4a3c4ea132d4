"""Submissions as Kaggle knows them, what the account may still send, and its leaderboard day by day."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    with op.batch_alter_table("submission", recreate="always") as submission:
        submission.add_column(sa.Column("kaggle_ref", sa.Integer(), nullable=True))
        submission.add_column(sa.Column("kaggle_status", sa.String(), nullable=True))
        submission.add_column(sa.Column("kaggle_error", sa.String(), nullable=True))
        submission.create_unique_constraint("submission_of_kaggle", ["kaggle_ref"])
    op.create_table(
        "submission_allowance",
        sa.Column("challenge_id", sa.Integer(), nullable=False),
        sa.Column("asked_at", sa.Integer(), nullable=False),
        sa.Column("sent_today", sa.Integer(), nullable=False),
        sa.Column("left_today", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["challenge_id"], ["challenge.id"]),
        sa.PrimaryKeyConstraint("challenge_id"),
    )
    op.create_table(
        "leaderboard_snapshot",
        sa.Column("challenge_id", sa.Integer(), nullable=False),
        sa.Column("local_date", sa.Date(), nullable=False),
        sa.Column("seen_at", sa.Integer(), nullable=False),
        sa.Column("teams", sa.Integer(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=True),
        sa.Column("score", sa.Float(), nullable=True),
        sa.Column("gold_score", sa.Float(), nullable=True),
        sa.Column("silver_score", sa.Float(), nullable=True),
        sa.Column("bronze_score", sa.Float(), nullable=True),
        sa.Column("is_over", sa.Boolean(), nullable=False),
        sa.Column("public_rank", sa.Integer(), nullable=True),
        sa.Column("deadline_at", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["challenge_id"], ["challenge.id"]),
        sa.PrimaryKeyConstraint("challenge_id", "local_date"),
    )
