-- An event of a repeated command tells when that was decided first, which says nothing of how long it has been waiting to be published.
ALTER TABLE outbox ADD COLUMN written_at timestamptz NOT NULL DEFAULT now();

COMMENT ON COLUMN outbox.written_at IS 'When the row was written, by the clock of the database: since then its events wait.';
