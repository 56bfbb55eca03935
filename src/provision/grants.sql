-- Nothing but what follows, whatever an earlier release was given.
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM "{app}", "{operator}";

-- The service. Facts that people state (stock_change, repair) are none of its business; its own it adds, and drops when
-- they are past their retention, but cannot change. Rows are locked with UPDATE; that of command_outcome is for no more.
GRANT SELECT ON _sqlx_migrations TO "{app}";
GRANT SELECT, UPDATE (on_hand, reserved, version) ON stock TO "{app}";
GRANT SELECT, INSERT, UPDATE, DELETE ON reservation TO "{app}";
GRANT SELECT, INSERT, DELETE ON reservation_movement TO "{app}";
GRANT SELECT, INSERT, UPDATE (consumed, until) ON stock_brought_forward TO "{app}";
GRANT SELECT, INSERT, UPDATE (decided_at), DELETE ON command_outcome TO "{app}";
GRANT SELECT, INSERT, UPDATE, DELETE ON outbox TO "{app}";

-- People at the command line: stock, ledger, reservation, verify, repair.
GRANT SELECT ON _sqlx_migrations, stock_ledger, stock_brought_forward TO "{operator}";
GRANT SELECT, INSERT, UPDATE, DELETE ON stock TO "{operator}";
GRANT SELECT, INSERT ON stock_change, repair, reservation_movement TO "{operator}";
GRANT SELECT, UPDATE ON reservation TO "{operator}";
GRANT SELECT, DELETE ON command_outcome TO "{operator}";
GRANT SELECT, INSERT, UPDATE (claimed_until) ON outbox TO "{operator}";
