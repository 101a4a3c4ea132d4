-- The database's own hold on the hour: what a person may not do outside it, no command and no page can write.
-- Dropped and created again after every migration, so this file alone says what is in force.
-- now_ms() and logical_date(at, zone, day_starts_at) are registered by app/journal/store.py; a foreign connection lacks
-- them, so its writes fail instead of slipping through. The grace of 5000 ms for notes is rules.NOTE_GRACE_MS.

CREATE VIEW open_focus AS
SELECT challenge_id, local_date FROM daily_session
WHERE paused_at IS NULL AND now_ms() >= started_at AND now_ms() < focus_ends_at;

-- In honour mode the rest of the day is open to overtime, which is seen by its time and does not count.
CREATE VIEW open_work AS
SELECT challenge_id FROM open_focus
UNION ALL
SELECT s.challenge_id FROM daily_session s JOIN challenge c ON c.id = s.challenge_id
WHERE c.strictness = 'honour' AND s.paused_at IS NULL
  AND now_ms() >= s.focus_ends_at AND now_ms() < max(s.day_ends_at, s.reflection_ends_at);

CREATE VIEW open_reflection AS
SELECT challenge_id, local_date FROM daily_session
WHERE paused_at IS NULL AND now_ms() >= focus_ends_at AND now_ms() < reflection_ends_at;

CREATE TRIGGER todo_insert_in_hour BEFORE INSERT ON todo
WHEN NEW.origin = 'person'
 AND NOT EXISTS (SELECT 1 FROM open_work f WHERE f.challenge_id = NEW.challenge_id)
 AND NOT EXISTS (SELECT 1 FROM open_reflection r WHERE r.challenge_id = NEW.challenge_id AND NEW.planned_on > r.local_date)
BEGIN SELECT RAISE(ABORT, 'the hour is not running: todos are part of the hour'); END;

CREATE TRIGGER todo_update_in_hour BEFORE UPDATE ON todo
WHEN NEW.origin = 'person'
 AND NOT EXISTS (SELECT 1 FROM open_work f WHERE f.challenge_id = NEW.challenge_id)
 AND NOT EXISTS (SELECT 1 FROM open_reflection r WHERE r.challenge_id = NEW.challenge_id AND NEW.planned_on > r.local_date
                 AND OLD.planned_on > r.local_date AND NEW.done_at IS OLD.done_at)
BEGIN SELECT RAISE(ABORT, 'the hour is not running: todos are part of the hour'); END;

CREATE TRIGGER experiment_insert_in_hour BEFORE INSERT ON experiment
WHEN NEW.origin = 'person'
 AND NOT EXISTS (SELECT 1 FROM open_work f WHERE f.challenge_id = NEW.challenge_id)
BEGIN SELECT RAISE(ABORT, 'the hour is not running: experiments are part of the hour'); END;

CREATE TRIGGER experiment_update_in_hour BEFORE UPDATE ON experiment
WHEN NEW.origin = 'person'
 AND NOT EXISTS (SELECT 1 FROM open_work f WHERE f.challenge_id = NEW.challenge_id)
BEGIN SELECT RAISE(ABORT, 'the hour is not running: experiments are part of the hour'); END;

-- A run's and a job's later changes are measurements or management, allowed at any time; but for what a person writes about it.
CREATE TRIGGER run_insert_in_hour BEFORE INSERT ON run
WHEN NEW.origin = 'person'
 AND NOT EXISTS (SELECT 1 FROM open_work f WHERE f.challenge_id = NEW.challenge_id)
BEGIN SELECT RAISE(ABORT, 'the hour is not running: queueing a run is part of the hour'); END;

CREATE TRIGGER run_note_in_hour BEFORE UPDATE OF note, tags ON run
WHEN NEW.origin = 'person' AND (NEW.note IS NOT OLD.note OR NEW.tags IS NOT OLD.tags)
 AND NOT EXISTS (SELECT 1 FROM open_work f WHERE f.challenge_id = NEW.challenge_id)
BEGIN SELECT RAISE(ABORT, 'the hour is not running: a note about a run is part of the hour'); END;

CREATE TRIGGER job_insert_in_hour BEFORE INSERT ON job
WHEN NEW.origin = 'person'
 AND NOT EXISTS (SELECT 1 FROM open_work f JOIN run ON run.challenge_id = f.challenge_id WHERE run.id = NEW.run_id)
BEGIN SELECT RAISE(ABORT, 'the hour is not running: queueing a run is part of the hour'); END;

CREATE TRIGGER submission_insert_in_hour BEFORE INSERT ON submission
WHEN NEW.origin = 'person'
 AND NOT EXISTS (SELECT 1 FROM open_work f WHERE f.challenge_id = NEW.challenge_id)
BEGIN SELECT RAISE(ABORT, 'the hour is not running: submitting is part of the hour'); END;

CREATE TRIGGER standing_order_insert_in_hour BEFORE INSERT ON standing_order
WHEN NEW.origin = 'person'
 AND NOT EXISTS (SELECT 1 FROM open_work f JOIN run ON run.challenge_id = f.challenge_id WHERE run.id = NEW.run_id)
BEGIN SELECT RAISE(ABORT, 'the hour is not running: submitting is part of the hour'); END;

-- Once given, an order may be taken back at any time (deleted) and is decided by the worker; a person does not change it.
CREATE TRIGGER standing_order_update_in_hour BEFORE UPDATE ON standing_order
WHEN NEW.origin = 'person' AND (NEW.better_than IS NOT OLD.better_than OR NEW.said IS NOT OLD.said)
 AND NOT EXISTS (SELECT 1 FROM open_work f JOIN run ON run.challenge_id = f.challenge_id WHERE run.id = NEW.run_id)
BEGIN SELECT RAISE(ABORT, 'the hour is not running: submitting is part of the hour'); END;

-- Of what needs the network only sending a submission is part of the hour.
CREATE TRIGGER errand_insert_in_hour BEFORE INSERT ON errand
WHEN NEW.origin = 'person' AND NEW.kind = 'submit'
 AND NOT EXISTS (SELECT 1 FROM open_work f WHERE f.challenge_id = NEW.challenge_id)
BEGIN SELECT RAISE(ABORT, 'the hour is not running: submitting is part of the hour'); END;

CREATE TRIGGER inbox_flagged BEFORE INSERT ON inbox_item
WHEN NEW.origin = 'person' AND NEW.outside_hour = 0
 AND NOT EXISTS (SELECT 1 FROM open_focus f WHERE f.challenge_id = NEW.challenge_id)
BEGIN SELECT RAISE(ABORT, 'the hour is not running: this inbox item must be flagged'); END;

-- A day's note: free while its own session runs or reflects; afterwards, and for past days, only flagged as late; not
-- before today's hour has begun and not while it is paused.
CREATE VIEW note_day AS
SELECT c.id AS challenge_id, logical_date(now_ms(), c.time_zone, c.day_starts_at) AS today FROM challenge c;

CREATE VIEW note_open AS
SELECT challenge_id, local_date FROM daily_session
WHERE now_ms() >= started_at AND now_ms() < coalesce(paused_at, reflection_ends_at) + 5000;

CREATE VIEW note_over AS
SELECT challenge_id, local_date FROM daily_session
WHERE (paused_at IS NULL AND now_ms() >= reflection_ends_at) OR now_ms() >= day_ends_at;

CREATE TRIGGER note_insert_in_hour BEFORE INSERT ON note
WHEN NEW.origin = 'person' AND NEW.local_date IS NOT NULL
 AND NOT EXISTS (SELECT 1 FROM note_open o WHERE o.challenge_id = NEW.challenge_id AND o.local_date = NEW.local_date)
 AND NOT (NEW.late = 1 AND (
        EXISTS (SELECT 1 FROM note_over o WHERE o.challenge_id = NEW.challenge_id AND o.local_date = NEW.local_date)
     OR NEW.local_date < (SELECT today FROM note_day d WHERE d.challenge_id = NEW.challenge_id)))
BEGIN SELECT RAISE(ABORT, 'the note of this day is not open'); END;

CREATE TRIGGER note_update_in_hour BEFORE UPDATE ON note
WHEN NEW.origin = 'person' AND NEW.local_date IS NOT NULL
 AND NOT EXISTS (SELECT 1 FROM note_open o WHERE o.challenge_id = NEW.challenge_id AND o.local_date = NEW.local_date)
 AND NOT (NEW.late = 1 AND (
        EXISTS (SELECT 1 FROM note_over o WHERE o.challenge_id = NEW.challenge_id AND o.local_date = NEW.local_date)
     OR NEW.local_date < (SELECT today FROM note_day d WHERE d.challenge_id = NEW.challenge_id)))
BEGIN SELECT RAISE(ABORT, 'the note of this day is not open'); END;

-- What happened, happened.
CREATE TRIGGER session_event_is_final_update BEFORE UPDATE ON session_event
BEGIN SELECT RAISE(ABORT, 'session events are never changed'); END;

CREATE TRIGGER session_event_is_final_delete BEFORE DELETE ON session_event
BEGIN SELECT RAISE(ABORT, 'session events are never deleted'); END;

CREATE TRIGGER session_is_kept BEFORE DELETE ON daily_session
BEGIN SELECT RAISE(ABORT, 'a used hour cannot be deleted'); END;

-- A note outside any day is a thought: free while the hour runs, at other times flagged.
CREATE VIEW thought_open AS
SELECT challenge_id FROM daily_session
WHERE paused_at IS NULL AND now_ms() >= started_at AND now_ms() < focus_ends_at + 5000;

CREATE TRIGGER note_outside_insert_flagged BEFORE INSERT ON note
WHEN NEW.origin = 'person' AND NEW.local_date IS NULL AND NEW.late = 0
 AND NOT EXISTS (SELECT 1 FROM thought_open o WHERE o.challenge_id = NEW.challenge_id)
BEGIN SELECT RAISE(ABORT, 'the hour is not running: this note must be flagged'); END;

CREATE TRIGGER note_outside_update_flagged BEFORE UPDATE ON note
WHEN NEW.origin = 'person' AND NEW.local_date IS NULL AND NEW.late = 0
 AND NOT EXISTS (SELECT 1 FROM thought_open o WHERE o.challenge_id = NEW.challenge_id)
BEGIN SELECT RAISE(ABORT, 'the hour is not running: this note must be flagged'); END;

CREATE TRIGGER todo_delete_in_hour BEFORE DELETE ON todo
WHEN OLD.origin = 'person'
 AND NOT EXISTS (SELECT 1 FROM open_work f WHERE f.challenge_id = OLD.challenge_id)
 AND NOT EXISTS (SELECT 1 FROM open_reflection r WHERE r.challenge_id = OLD.challenge_id AND OLD.planned_on > r.local_date)
BEGIN SELECT RAISE(ABORT, 'the hour is not running: todos are part of the hour'); END;

CREATE TRIGGER reference_insert_in_hour BEFORE INSERT ON reference
WHEN NEW.origin = 'person'
 AND NOT EXISTS (SELECT 1 FROM open_work f WHERE f.challenge_id = NEW.challenge_id)
BEGIN SELECT RAISE(ABORT, 'the hour is not running: references are part of the hour'); END;

CREATE TRIGGER reference_update_in_hour BEFORE UPDATE ON reference
WHEN NEW.origin = 'person'
 AND NOT EXISTS (SELECT 1 FROM open_work f WHERE f.challenge_id = NEW.challenge_id)
BEGIN SELECT RAISE(ABORT, 'the hour is not running: references are part of the hour'); END;

CREATE TRIGGER reference_delete_in_hour BEFORE DELETE ON reference
WHEN OLD.origin = 'person'
 AND NOT EXISTS (SELECT 1 FROM open_work f WHERE f.challenge_id = OLD.challenge_id)
BEGIN SELECT RAISE(ABORT, 'the hour is not running: references are part of the hour'); END;

-- A link has no origin of its own: it is a person's where all that it joins is.
CREATE TRIGGER run_reference_insert_in_hour BEFORE INSERT ON run_reference
WHEN EXISTS (SELECT 1 FROM run JOIN reference r ON r.id = NEW.reference_id
             WHERE run.id = NEW.run_id AND run.origin = 'person' AND r.origin = 'person'
               AND NOT EXISTS (SELECT 1 FROM open_work f WHERE f.challenge_id = run.challenge_id))
BEGIN SELECT RAISE(ABORT, 'the hour is not running: references are part of the hour'); END;

CREATE TRIGGER run_reference_delete_in_hour BEFORE DELETE ON run_reference
WHEN EXISTS (SELECT 1 FROM run JOIN reference r ON r.id = OLD.reference_id
             WHERE run.id = OLD.run_id AND run.origin = 'person' AND r.origin = 'person'
               AND NOT EXISTS (SELECT 1 FROM open_work f WHERE f.challenge_id = run.challenge_id))
BEGIN SELECT RAISE(ABORT, 'the hour is not running: references are part of the hour'); END;

CREATE TRIGGER run_reference_is_not_moved BEFORE UPDATE ON run_reference
BEGIN SELECT RAISE(ABORT, 'a link is made or taken away, never changed'); END;

CREATE TRIGGER todo_link_insert_in_hour BEFORE INSERT ON todo_link
WHEN EXISTS (SELECT 1 FROM todo t WHERE t.id = NEW.todo_id AND t.origin = 'person'
               AND NOT EXISTS (SELECT 1 FROM open_work f WHERE f.challenge_id = t.challenge_id)
               AND NOT EXISTS (SELECT 1 FROM open_reflection r WHERE r.challenge_id = t.challenge_id AND t.planned_on > r.local_date))
BEGIN SELECT RAISE(ABORT, 'the hour is not running: todos are part of the hour'); END;

CREATE TRIGGER todo_link_delete_in_hour BEFORE DELETE ON todo_link
WHEN EXISTS (SELECT 1 FROM todo t WHERE t.id = OLD.todo_id AND t.origin = 'person'
               AND NOT EXISTS (SELECT 1 FROM open_work f WHERE f.challenge_id = t.challenge_id)
               AND NOT EXISTS (SELECT 1 FROM open_reflection r WHERE r.challenge_id = t.challenge_id AND t.planned_on > r.local_date))
BEGIN SELECT RAISE(ABORT, 'the hour is not running: todos are part of the hour'); END;

CREATE TRIGGER todo_link_is_not_moved BEFORE UPDATE ON todo_link
BEGIN SELECT RAISE(ABORT, 'a link is made or taken away, never changed'); END;
