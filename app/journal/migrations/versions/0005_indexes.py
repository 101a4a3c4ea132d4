"""The jobs that ended last, of one state or of all, and the runs that used a reference are found without reading every one."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.drop_index("ix_job_state", "job")
    op.create_index("jobs_by_state", "job", ["state", "finished_at"])
    op.create_index("ix_job_finished_at", "job", ["finished_at"])
    op.create_index("ix_run_reference_reference_id", "run_reference", ["reference_id"])
