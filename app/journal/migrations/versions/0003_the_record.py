"""Rules in full and the record: rest days, signals, corrections, note revisions, notes outside a day, references and links."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    # Rebuilds keep the column order of a blank journal, which the schema test compares. An expression index is not
    # reflected, so it is dropped and created around the rebuild of its table.
    op.drop_index("one_active_challenge", "challenge")
    with op.batch_alter_table("challenge", recreate="always") as challenge:
        challenge.add_column(
            sa.Column("strictness", sa.String(), nullable=False, server_default="strict"), insert_after="truth_path"
        )
        challenge.add_column(sa.Column("habit_at", sa.String(), nullable=True), insert_after="strictness")
        challenge.add_column(sa.Column("note_template", sa.String(), nullable=True), insert_after="habit_at")
        challenge.add_column(sa.Column("target_split", sa.String(), nullable=True), insert_after="note_template")
        challenge.add_column(sa.Column("checklist", sa.String(), nullable=True), insert_after="target_split")
    op.create_index(
        "one_active_challenge",
        "challenge",
        [sa.literal_column("(1)")],
        unique=True,
        sqlite_where=sa.text("archived_at IS NULL"),
    )
    with op.batch_alter_table("daily_session", recreate="always") as session:
        session.add_column(sa.Column("clock_moved_ms", sa.Integer(), nullable=False, server_default="0"))
    with op.batch_alter_table("session_event", recreate="always") as event:
        event.add_column(sa.Column("steady_ms", sa.Integer(), nullable=True))
        event.add_column(sa.Column("boot_id", sa.String(), nullable=True))
    with op.batch_alter_table("note", recreate="always") as note:
        note.alter_column("local_date", existing_type=sa.Date(), nullable=True)
        note.add_column(sa.Column("title", sa.String(), nullable=True), insert_after="local_date")
        note.add_column(sa.Column("kind", sa.String(), nullable=False, server_default="day"), insert_after="title")
        note.add_column(sa.Column("writer", sa.String(), nullable=False, server_default=""), insert_after="late")
    with op.batch_alter_table("todo", recreate="always") as todo:
        todo.add_column(sa.Column("priority", sa.Integer(), nullable=False, server_default="0"), insert_after="minutes")
    op.add_column("job", sa.Column("first_started_at", sa.Integer(), nullable=True))
    op.execute("UPDATE job SET first_started_at = started_at")
    op.create_index("cv_of_a_day", "run", ["challenge_id", "local_date", "cv"])
    with op.batch_alter_table("submission", recreate="always") as submission:
        submission.alter_column("run_id", existing_type=sa.Integer(), nullable=True)
        submission.alter_column("sha256", existing_type=sa.String(), nullable=True)
        submission.add_column(
            sa.Column("description", sa.String(), nullable=False, server_default=""), insert_after="path"
        )
    op.create_table(
        "reference",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("challenge_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("licence", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("taken", sa.String(), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("created_at", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["challenge_id"],
            ["challenge.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("challenge_id", "key"),
    )
    op.create_index(op.f("ix_reference_challenge_id"), "reference", ["challenge_id"], unique=False)
    op.create_table(
        "rest_day",
        sa.Column("challenge_id", sa.Integer(), nullable=False),
        sa.Column("local_date", sa.Date(), nullable=False),
        sa.ForeignKeyConstraint(
            ["challenge_id"],
            ["challenge.id"],
        ),
        sa.PrimaryKeyConstraint("challenge_id", "local_date"),
    )
    op.create_table(
        "sent_signal",
        sa.Column("challenge_id", sa.Integer(), nullable=False),
        sa.Column("local_date", sa.Date(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("sent_at", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["challenge_id"],
            ["challenge.id"],
        ),
        sa.PrimaryKeyConstraint("challenge_id", "local_date", "kind"),
    )
    op.create_table(
        "note_revision",
        sa.Column("note_id", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.Column("late", sa.Boolean(), nullable=False),
        sa.Column("saved_at", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["note_id"],
            ["note.id"],
        ),
        sa.PrimaryKeyConstraint("note_id", "revision"),
    )
    op.create_table(
        "run_reference",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("reference_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["reference_id"],
            ["reference.id"],
        ),
        sa.ForeignKeyConstraint(
            ["run_id"],
            ["run.id"],
        ),
        sa.PrimaryKeyConstraint("run_id", "reference_id"),
    )
    op.create_table(
        "todo_link",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("todo_id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=True),
        sa.Column("reference_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["reference_id"],
            ["reference.id"],
        ),
        sa.ForeignKeyConstraint(
            ["run_id"],
            ["run.id"],
        ),
        sa.ForeignKeyConstraint(
            ["todo_id"],
            ["todo.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_todo_link_todo_id"), "todo_link", ["todo_id"], unique=False)
    # What was written so far is the first revision that is kept.
    op.execute(
        "INSERT INTO note_revision (note_id, revision, body, late, saved_at)"
        " SELECT id, revision, body, late, updated_at FROM note"
    )
