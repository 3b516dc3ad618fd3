"""Several drivers on one study, through PostgreSQL: leases, a mirror that sees the others, a ledger that shares."""
