"""A past stream through the declared policy, without Airflow, ledger or registry. In: a stream and a declaration.
Out: what would have been decided, and its cost."""
