"""Runs as W&B knows them: where they are looked for, what they say of themselves, where their rows come from, their curves."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "wandb_source",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("challenge_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("place", sa.String(), nullable=False),
        sa.Column("server", sa.String(), nullable=False),
        sa.Column("looked_at", sa.Integer(), nullable=True),
        sa.Column("listed_at", sa.Integer(), nullable=True),
        sa.Column("heartbeat_at", sa.Integer(), nullable=True),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("created_at", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["challenge_id"], ["challenge.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("challenge_id", "kind", "place", "server"),
    )
    op.create_table(
        "wandb_run",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("challenge_id", sa.Integer(), nullable=False),
        sa.Column("entity", sa.String(), nullable=False),
        sa.Column("project", sa.String(), nullable=False),
        sa.Column("wandb_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("group_name", sa.String(), nullable=False),
        sa.Column("bundle", sa.String(), nullable=False),
        sa.Column("job_type", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("tags", sa.String(), nullable=False),
        sa.Column("notes", sa.String(), nullable=False),
        sa.Column("config", sa.String(), nullable=False),
        sa.Column("summary", sa.String(), nullable=False),
        sa.Column("score", sa.Float(), nullable=True),
        sa.Column("score_name", sa.String(), nullable=False),
        sa.Column("commit", sa.String(), nullable=False),
        sa.Column("started_at", sa.Integer(), nullable=False),
        sa.Column("heartbeat_at", sa.Integer(), nullable=False),
        sa.Column("local_date", sa.Date(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=True),
        sa.Column("experiment_id", sa.Integer(), nullable=True),
        sa.Column("gone_at", sa.Integer(), nullable=True),
        sa.Column("read_at", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["challenge_id"], ["challenge.id"]),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"]),
        sa.ForeignKeyConstraint(["experiment_id"], ["experiment.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("challenge_id", "entity", "project", "wandb_id"),
    )
    op.create_index("wandb_runs_of_a_day", "wandb_run", ["challenge_id", "local_date"])
    op.create_index("wandb_runs_by_id", "wandb_run", ["challenge_id", "project", "wandb_id"])
    op.create_index("wandb_runs_by_bundle", "wandb_run", ["challenge_id", "bundle"])
    op.create_index("ix_wandb_run_run_id", "wandb_run", ["run_id"])
    op.create_index("ix_wandb_run_experiment_id", "wandb_run", ["experiment_id"])
    op.create_table(
        "wandb_part",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("wandb_run_id", sa.Integer(), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("offset", sa.Integer(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("last_step", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["wandb_run_id"], ["wandb_run.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("wandb_run_id", "path"),
    )
    op.create_index("ix_wandb_part_path", "wandb_part", ["path"])
    op.create_table(
        "wandb_curve",
        sa.Column("part_id", sa.Integer(), nullable=False),
        sa.Column("metric", sa.String(), nullable=False),
        sa.Column("steps", sa.LargeBinary(), nullable=False),
        sa.Column("runtimes_s", sa.LargeBinary(), nullable=False),
        sa.Column("points", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["part_id"], ["wandb_part.id"]),
        sa.PrimaryKeyConstraint("part_id", "metric"),
    )
