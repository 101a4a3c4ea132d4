-- The database's own hold on the hour: what a person may not do outside it, no command and no page can write.
-- Dropped and created again after every migration, so this file alone says what is in force.
-- now_ms() and logical_date(at, zone, day_starts_at) are registered by app/journal/store.py; a foreign connection lacks
-- them, so its writes fail instead of slipping through. The grace of 5000 ms for notes is rules.NOTE_GRACE_MS.

CREATE VIEW open_focus AS
SELECT challenge_id, local_date FROM daily_session
WHERE paused_at IS NULL AND now_ms() >= started_at AND now_ms() < focus_ends_at;

CREATE VIEW open_reflection AS
SELECT challenge_id, local_date FROM daily_session
WHERE paused_at IS NULL AND now_ms() >= focus_ends_at AND now_ms() < reflection_ends_at;

CREATE TRIGGER todo_insert_in_hour BEFORE INSERT ON todo
WHEN NEW.origin = 'person'
 AND NOT EXISTS (SELECT 1 FROM open_focus f WHERE f.challenge_id = NEW.challenge_id)
 AND NOT EXISTS (SELECT 1 FROM open_reflection r WHERE r.challenge_id = NEW.challenge_id AND NEW.planned_on > r.local_date)
BEGIN SELECT RAISE(ABORT, 'the hour is not running: todos are part of the hour'); END;

CREATE TRIGGER todo_update_in_hour BEFORE UPDATE ON todo
WHEN NEW.origin = 'person'
 AND NOT EXISTS (SELECT 1 FROM open_focus f WHERE f.challenge_id = NEW.challenge_id)
 AND NOT EXISTS (SELECT 1 FROM open_reflection r WHERE r.challenge_id = NEW.challenge_id AND NEW.planned_on > r.local_date
                 AND OLD.planned_on > r.local_date AND NEW.done_at IS OLD.done_at)
BEGIN SELECT RAISE(ABORT, 'the hour is not running: todos are part of the hour'); END;

CREATE TRIGGER experiment_insert_in_hour BEFORE INSERT ON experiment
WHEN NEW.origin = 'person'
 AND NOT EXISTS (SELECT 1 FROM open_focus f WHERE f.challenge_id = NEW.challenge_id)
BEGIN SELECT RAISE(ABORT, 'the hour is not running: experiments are part of the hour'); END;

CREATE TRIGGER experiment_update_in_hour BEFORE UPDATE ON experiment
WHEN NEW.origin = 'person'
 AND NOT EXISTS (SELECT 1 FROM open_focus f WHERE f.challenge_id = NEW.challenge_id)
BEGIN SELECT RAISE(ABORT, 'the hour is not running: experiments are part of the hour'); END;

-- A run's and a job's later changes are measurements or management, allowed at any time.
CREATE TRIGGER run_insert_in_hour BEFORE INSERT ON run
WHEN NEW.origin = 'person'
 AND NOT EXISTS (SELECT 1 FROM open_focus f WHERE f.challenge_id = NEW.challenge_id)
BEGIN SELECT RAISE(ABORT, 'the hour is not running: queueing a run is part of the hour'); END;

CREATE TRIGGER job_insert_in_hour BEFORE INSERT ON job
WHEN NEW.origin = 'person'
 AND NOT EXISTS (SELECT 1 FROM open_focus f JOIN run ON run.challenge_id = f.challenge_id WHERE run.id = NEW.run_id)
BEGIN SELECT RAISE(ABORT, 'the hour is not running: queueing a run is part of the hour'); END;

CREATE TRIGGER submission_insert_in_hour BEFORE INSERT ON submission
WHEN NEW.origin = 'person'
 AND NOT EXISTS (SELECT 1 FROM open_focus f WHERE f.challenge_id = NEW.challenge_id)
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
WHERE paused_at IS NULL AND now_ms() >= started_at AND now_ms() < reflection_ends_at + 5000;

CREATE VIEW note_over AS
SELECT challenge_id, local_date FROM daily_session
WHERE (paused_at IS NULL AND now_ms() >= reflection_ends_at) OR now_ms() >= day_ends_at;

CREATE TRIGGER note_insert_in_hour BEFORE INSERT ON note
WHEN NEW.origin = 'person'
 AND NOT EXISTS (SELECT 1 FROM note_open o WHERE o.challenge_id = NEW.challenge_id AND o.local_date = NEW.local_date)
 AND NOT (NEW.late = 1 AND (
        EXISTS (SELECT 1 FROM note_over o WHERE o.challenge_id = NEW.challenge_id AND o.local_date = NEW.local_date)
     OR NEW.local_date < (SELECT today FROM note_day d WHERE d.challenge_id = NEW.challenge_id)))
BEGIN SELECT RAISE(ABORT, 'the note of this day is not open'); END;

CREATE TRIGGER note_update_in_hour BEFORE UPDATE ON note
WHEN NEW.origin = 'person'
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
