"""Under which names a competition's data lies in its folder; until now under the usual ones alone."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("challenge", sa.Column("labels", sa.String(), nullable=True, server_default="train.csv"))
    for name, usual in (
        ("train_images", "train"),
        ("test_images", "test"),
        ("sample_submission", "sample_submission.csv"),
    ):
        op.add_column("challenge", sa.Column(name, sa.String(), nullable=False, server_default=usual))
