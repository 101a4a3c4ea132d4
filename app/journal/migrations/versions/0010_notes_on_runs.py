"""What a person writes about a run, its tags, and which columns of runs they want to see."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("run", sa.Column("note", sa.String(), nullable=False, server_default=""))
    op.add_column("run", sa.Column("tags", sa.String(), nullable=False, server_default="[]"))
    op.create_index("runs_in_order", "run", ["challenge_id", "metric", "cv", "gpu_s", "key"])
    op.add_column("challenge", sa.Column("run_columns", sa.String(), nullable=True))
