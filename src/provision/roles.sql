-- The owner of the tables, who is not the service: for `inventory migrate`.
DO $do$
BEGIN
    IF NOT pg_has_role(current_user, '{owner}', 'USAGE') THEN
        EXECUTE format('GRANT "{owner}" TO %I', current_user);
    END IF;
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO "{owner}", "{app}", "{operator}"', current_database());
    -- `inventory stock import` reads a file into a temporary table.
    EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO "{operator}"', current_database());
END $do$;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO "{owner}";
GRANT USAGE ON SCHEMA public TO "{app}", "{operator}";

-- What somebody else has made so far.
DO $do$
DECLARE
    item name;
BEGIN
    FOR item IN
        SELECT relname FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v') AND relowner <> '{owner}'::regrole
          AND relname IN ('_sqlx_migrations', 'command_outcome', 'outbox', 'repair', 'reservation',
                          'reservation_amendment', 'reservation_movement', 'stock', 'stock_brought_forward',
                          'stock_change', 'stock_ledger')
    LOOP
        EXECUTE format('ALTER TABLE public.%I OWNER TO "{owner}"', item);
    END LOOP;
END $do$;
