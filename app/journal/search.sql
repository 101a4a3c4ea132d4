-- Full-text search. Made anew after every migration, from the rows that are there; kept up to date by triggers.
-- search_row holds one line a thing that can be found: kind, where it leads, and its words. search_text indexes title and
-- body by trigrams, so that any part of a word is found, in languages without spaces too.
-- A row's id is eight times the id of its source plus the number of its kind.

DROP TABLE IF EXISTS search_text;
DROP TABLE IF EXISTS search_row;

CREATE TABLE search_row (
  id INTEGER PRIMARY KEY, challenge_id INTEGER NOT NULL, kind TEXT NOT NULL, target TEXT NOT NULL, local_date TEXT,
  title TEXT NOT NULL, body TEXT NOT NULL, source_id INTEGER NOT NULL
);
CREATE INDEX search_by_day ON search_row (challenge_id, local_date);
CREATE VIRTUAL TABLE search_text USING fts5(title, body, content='search_row', content_rowid='id', tokenize='trigram');

CREATE TRIGGER search_row_made AFTER INSERT ON search_row
BEGIN INSERT INTO search_text (rowid, title, body) VALUES (NEW.id, NEW.title, NEW.body); END;

CREATE TRIGGER search_row_gone AFTER DELETE ON search_row
BEGIN INSERT INTO search_text (search_text, rowid, title, body) VALUES ('delete', OLD.id, OLD.title, OLD.body); END;

-- What each kind of row is found by.
-- A note's target is its day, or its number where it has none; what has no day counts to the one on which it was made.
CREATE VIEW search_note AS
SELECT n.id * 8 AS id, n.challenge_id, 'note' AS kind, coalesce(n.local_date, n.id) AS target,
       coalesce(n.local_date, logical_date(n.created_at, c.time_zone, c.day_starts_at)) AS local_date,
       coalesce(n.title, '') AS title, n.body, n.id AS source_id
FROM note n JOIN challenge c ON c.id = n.challenge_id;

CREATE VIEW search_todo AS
SELECT id * 8 + 1 AS id, challenge_id, 'todo' AS kind, CAST(id AS TEXT) AS target, planned_on AS local_date, title, '' AS body,
       id AS source_id
FROM todo;

CREATE VIEW search_reference AS
SELECT r.id * 8 + 2 AS id, r.challenge_id, 'reference' AS kind, r.key AS target,
       logical_date(r.created_at, c.time_zone, c.day_starts_at) AS local_date, r.title,
       r.key || ' ' || r.author || ' ' || r.url || ' ' || r.taken AS body, r.id AS source_id
FROM reference r JOIN challenge c ON c.id = r.challenge_id;

CREATE VIEW search_run AS
SELECT run.id * 8 + 3 AS id, run.challenge_id, 'run' AS kind, run.key AS target, run.local_date, run.key AS title,
       experiment.hypothesis || ' ' || run.spec_source || ' ' || run.note || ' '
       || (SELECT coalesce(group_concat('#' || value, ' '), '') FROM json_each(CASE WHEN json_valid(run.tags) THEN run.tags ELSE '[]' END)) AS body, run.id AS source_id
FROM run JOIN experiment ON experiment.id = run.experiment_id;

CREATE VIEW search_submission AS
SELECT s.id * 8 + 4 AS id, s.challenge_id, 'submission' AS kind, coalesce(run.key, '') AS target,
       coalesce(run.local_date, logical_date(s.created_at, c.time_zone, c.day_starts_at)) AS local_date, s.path AS title,
       coalesce(run.key, '') || ' ' || coalesce(s.sha256, '') || ' ' || s.description AS body, s.id AS source_id
FROM submission s JOIN challenge c ON c.id = s.challenge_id LEFT JOIN run ON run.id = s.run_id;

CREATE VIEW search_inbox AS
SELECT id * 8 + 5 AS id, challenge_id, 'inbox' AS kind, CAST(id AS TEXT) AS target, local_date, '' AS title, body, id AS source_id
FROM inbox_item;

-- Runs that were not started here, by what W&B says of them.
CREATE VIEW search_wandb_run AS
SELECT id * 8 + 6 AS id, challenge_id, 'wandb' AS kind, CAST(id AS TEXT) AS target, local_date, name AS title,
       notes || ' ' || (SELECT coalesce(group_concat('#' || value, ' '), '') FROM json_each(tags)) || ' ' || group_name || ' ' || wandb_id
       || ' ' || entity || '/' || project AS body, id AS source_id
FROM wandb_run WHERE run_id IS NULL;

CREATE TRIGGER search_note_made AFTER INSERT ON note
BEGIN INSERT INTO search_row SELECT * FROM search_note WHERE source_id = NEW.id; END;
CREATE TRIGGER search_note_changed AFTER UPDATE OF title, body, local_date ON note
BEGIN DELETE FROM search_row WHERE id = OLD.id * 8; INSERT INTO search_row SELECT * FROM search_note WHERE source_id = NEW.id; END;
CREATE TRIGGER search_note_gone AFTER DELETE ON note
BEGIN DELETE FROM search_row WHERE id = OLD.id * 8; END;

CREATE TRIGGER search_todo_made AFTER INSERT ON todo
BEGIN INSERT INTO search_row SELECT * FROM search_todo WHERE source_id = NEW.id; END;
CREATE TRIGGER search_todo_changed AFTER UPDATE OF title, planned_on ON todo
BEGIN DELETE FROM search_row WHERE id = OLD.id * 8 + 1; INSERT INTO search_row SELECT * FROM search_todo WHERE source_id = NEW.id; END;
CREATE TRIGGER search_todo_gone AFTER DELETE ON todo
BEGIN DELETE FROM search_row WHERE id = OLD.id * 8 + 1; END;

CREATE TRIGGER search_reference_made AFTER INSERT ON reference
BEGIN INSERT INTO search_row SELECT * FROM search_reference WHERE source_id = NEW.id; END;
CREATE TRIGGER search_reference_changed AFTER UPDATE ON reference
BEGIN DELETE FROM search_row WHERE id = OLD.id * 8 + 2; INSERT INTO search_row SELECT * FROM search_reference WHERE source_id = NEW.id; END;
CREATE TRIGGER search_reference_gone AFTER DELETE ON reference
BEGIN DELETE FROM search_row WHERE id = OLD.id * 8 + 2; END;

CREATE TRIGGER search_run_made AFTER INSERT ON run
BEGIN INSERT INTO search_row SELECT * FROM search_run WHERE source_id = NEW.id; END;
CREATE TRIGGER search_run_changed AFTER UPDATE OF key, local_date, spec_source, note, tags ON run
BEGIN DELETE FROM search_row WHERE id = OLD.id * 8 + 3; INSERT INTO search_row SELECT * FROM search_run WHERE source_id = NEW.id; END;
CREATE TRIGGER search_run_gone AFTER DELETE ON run
BEGIN DELETE FROM search_row WHERE id = OLD.id * 8 + 3; END;
CREATE TRIGGER search_hypothesis_changed AFTER UPDATE OF hypothesis ON experiment
BEGIN
  DELETE FROM search_row WHERE id IN (SELECT id * 8 + 3 FROM run WHERE experiment_id = NEW.id);
  INSERT INTO search_row SELECT * FROM search_run WHERE source_id IN (SELECT id FROM run WHERE experiment_id = NEW.id);
END;

CREATE TRIGGER search_submission_made AFTER INSERT ON submission
BEGIN INSERT INTO search_row SELECT * FROM search_submission WHERE source_id = NEW.id; END;
CREATE TRIGGER search_submission_changed AFTER UPDATE ON submission
BEGIN DELETE FROM search_row WHERE id = OLD.id * 8 + 4; INSERT INTO search_row SELECT * FROM search_submission WHERE source_id = NEW.id; END;
CREATE TRIGGER search_submission_gone AFTER DELETE ON submission
BEGIN DELETE FROM search_row WHERE id = OLD.id * 8 + 4; END;

CREATE TRIGGER search_inbox_made AFTER INSERT ON inbox_item
BEGIN INSERT INTO search_row SELECT * FROM search_inbox WHERE source_id = NEW.id; END;
CREATE TRIGGER search_inbox_changed AFTER UPDATE OF body, local_date ON inbox_item
BEGIN DELETE FROM search_row WHERE id = OLD.id * 8 + 5; INSERT INTO search_row SELECT * FROM search_inbox WHERE source_id = NEW.id; END;
CREATE TRIGGER search_inbox_gone AFTER DELETE ON inbox_item
BEGIN DELETE FROM search_row WHERE id = OLD.id * 8 + 5; END;

CREATE TRIGGER search_wandb_run_made AFTER INSERT ON wandb_run
BEGIN INSERT INTO search_row SELECT * FROM search_wandb_run WHERE source_id = NEW.id; END;
CREATE TRIGGER search_wandb_run_changed
AFTER UPDATE OF name, group_name, notes, tags, entity, local_date, run_id ON wandb_run
BEGIN
  DELETE FROM search_row WHERE id = OLD.id * 8 + 6;
  INSERT INTO search_row SELECT * FROM search_wandb_run WHERE source_id = NEW.id;
END;
CREATE TRIGGER search_wandb_run_gone AFTER DELETE ON wandb_run
BEGIN DELETE FROM search_row WHERE id = OLD.id * 8 + 6; END;

INSERT INTO search_row
SELECT * FROM search_note UNION ALL SELECT * FROM search_todo UNION ALL SELECT * FROM search_reference
UNION ALL SELECT * FROM search_run UNION ALL SELECT * FROM search_submission UNION ALL SELECT * FROM search_inbox
UNION ALL SELECT * FROM search_wandb_run;
