"""What was read and written. In: the tables and files that a step touched. Out: records in the ledger, and whether a
store still keeps what was recorded."""
