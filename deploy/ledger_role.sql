-- A role for workers, which writes the ledger and does not own it: it appends, and can neither change nor remove what was
-- appended, nor take the triggers away. Run this as the owner in the ledger's database and schema, after each upgrade:
--   psql "$OWNER_URL" -f deploy/ledger_role.sql
-- and then give the role a password, and name it in the workers' SLIPWAY_LEDGER_URL. Upgrades are the owner's: any verb
-- with the owner's URL makes them, for example `slipway repair history --check`.
DO $$
DECLARE
  part regclass;
  appended boolean;
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'slipway_tasks') THEN
    CREATE ROLE slipway_tasks LOGIN;
  END IF;
  EXECUTE format('GRANT USAGE ON SCHEMA %I TO slipway_tasks', current_schema());
  FOR part IN SELECT c.oid::regclass FROM pg_class c
                 WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' LOOP
    appended := EXISTS (SELECT FROM pg_trigger WHERE tgrelid = part AND tgname LIKE '%\_no\_truncate');
    EXECUTE format('REVOKE ALL ON %s FROM slipway_tasks', part);
    IF appended THEN
      EXECUTE format('GRANT SELECT, INSERT ON %s TO slipway_tasks', part);
    ELSIF part::text LIKE '%ledger_version' THEN
      EXECUTE format('GRANT SELECT ON %s TO slipway_tasks', part);
    ELSIF part::text LIKE '%overrides' THEN
      EXECUTE format('GRANT SELECT, INSERT, UPDATE (ended_at) ON %s TO slipway_tasks', part);
    ELSE
      EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO slipway_tasks', part);
    END IF;
  END LOOP;
END $$;
