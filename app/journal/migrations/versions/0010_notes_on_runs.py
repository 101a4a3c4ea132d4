"""What a person writes about a run, its tags, and which columns of runs they want to see; indices that hold all that is asked."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("run", sa.Column("note", sa.String(), nullable=False, server_default=""))
    op.add_column("run", sa.Column("tags", sa.String(), nullable=False, server_default="[]"))
    op.create_index("runs_in_order", "run", ["challenge_id", "metric", "cv", "gpu_s", "key"])
    op.drop_index("cv_of_a_day", "run")
    op.create_index("cv_of_a_day", "run", ["challenge_id", "metric", "local_date", "cv"])
    op.drop_index("cv_on_the_same_folds", "run")
    on_folds = ["challenge_id", "metric", "data_sha256", "folds_sha256", "cv", "kind"]
    op.create_index("cv_on_the_same_folds", "run", on_folds)
    op.add_column("challenge", sa.Column("run_columns", sa.String(), nullable=True))
