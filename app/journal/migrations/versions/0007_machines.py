"""Jobs on other machines: attempts, errands to the network, the code of a run, standing orders."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("challenge", sa.Column("backends", sa.String(), nullable=True))
    with op.batch_alter_table("run", recreate="always") as run:
        run.add_column(sa.Column("kind", sa.String(), nullable=False, server_default="train"))
        run.add_column(sa.Column("parent_id", sa.Integer(), nullable=True))
        run.create_foreign_key("run_of_parent", "run", ["parent_id"], ["id"])
    with op.batch_alter_table("run", recreate="always") as run:
        run.alter_column("kind", server_default=None)
    op.add_column("job", sa.Column("moves_to", sa.String(), nullable=True))
    op.add_column("job", sa.Column("estimated_low_s", sa.Float(), nullable=True))
    op.add_column("job", sa.Column("estimated_high_s", sa.Float(), nullable=True))
    op.create_table(
        "run_code",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("root", sa.String(), nullable=False),
        sa.Column("commit", sa.String(), nullable=False),
        sa.Column("branch", sa.String(), nullable=False),
        sa.Column("remote_url", sa.String(), nullable=False),
        sa.Column("diff", sa.String(), nullable=False),
        sa.Column("lock_sha256", sa.String(), nullable=False),
        sa.Column("recorded_at", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"]),
        sa.PrimaryKeyConstraint("run_id"),
    )
    op.create_table(
        "attempt",
        sa.Column("job_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("backend", sa.String(), nullable=False),
        sa.Column("slot", sa.String(), nullable=False),
        sa.Column("gpus", sa.Integer(), nullable=False),
        sa.Column("kept_before", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.Integer(), nullable=False),
        sa.Column("ended_at", sa.Integer(), nullable=True),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("gpu_s", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"]),
        sa.PrimaryKeyConstraint("job_id", "number"),
    )
    op.create_index("attempts_by_backend", "attempt", ["backend", "started_at"])
    # The last attempt of each job is all that is known of those before: the others are lost.
    op.execute(
        "INSERT INTO attempt (job_id, number, backend, slot, gpus, kept_before, started_at, ended_at, exit_code)"
        " SELECT id, attempt, backend, coalesce(slot, ''), coalesce(slot, '') LIKE 'cuda%', 0, started_at, finished_at,"
        " exit_code FROM job WHERE attempt > 0 AND started_at IS NOT NULL"
    )
    op.create_table(
        "errand",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("challenge_id", sa.Integer(), nullable=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("asked", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("answer", sa.String(), nullable=True),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("asked_at", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.Integer(), nullable=True),
        sa.Column("ended_at", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["challenge_id"], ["challenge.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("errands_by_state", "errand", ["state", "due_at"])
    op.create_index("errands_by_kind", "errand", ["kind", "subject", "id"])
    op.create_table(
        "standing_order",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("better_than", sa.Float(), nullable=False),
        sa.Column("said", sa.String(), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("created_at", sa.Integer(), nullable=False),
        sa.Column("decided_at", sa.Integer(), nullable=True),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("run_id"),
    )
