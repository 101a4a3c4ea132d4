"""What a verdict compares (runs on the same folds), and what is left of a day's submissions."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    # An expression index is not reflected, so it is dropped and created around the rebuild of its table.
    op.drop_index("one_active_challenge", "challenge")
    with op.batch_alter_table("challenge", recreate="always") as challenge:
        challenge.add_column(sa.Column("submissions_per_day", sa.Integer(), nullable=True), insert_after="checklist")
    op.create_index(
        "one_active_challenge",
        "challenge",
        [sa.literal_column("(1)")],
        unique=True,
        sqlite_where=sa.text("archived_at IS NULL"),
    )
    with op.batch_alter_table("submission", recreate="always") as submission:
        submission.add_column(sa.Column("sent_at", sa.Integer(), nullable=True), insert_after="description")
    op.execute("UPDATE submission SET sent_at = created_at WHERE run_id IS NULL")
    op.execute(
        "UPDATE submission SET sent_at = (SELECT min(scored_at) FROM leaderboard_score s"
        " WHERE s.submission_id = submission.id AND s.source = 'manual') WHERE run_id IS NOT NULL"
    )
    op.create_index("cv_on_the_same_folds", "run", ["challenge_id", "metric", "data_sha256", "folds_sha256", "cv"])
