"""``slipway simulate``: a past stream through the declared policy, without Airflow, ledger or registry."""
