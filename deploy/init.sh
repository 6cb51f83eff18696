#!/usr/bin/env bash
# What must be there before any Airflow component starts. May run any number of times, and changes nothing the second time.
set -euo pipefail

echo "Airflow's database"
airflow db migrate

echo "The users' passwords"
python - <<'PYTHON'
import json, os
from pathlib import Path

from include.adapters import files

file = Path(os.environ["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"])
users = {"admin": "SLIPWAY_AIRFLOW_PASSWORD", "operator": "SLIPWAY_OPERATOR_PASSWORD", "viewer": "SLIPWAY_VIEWER_PASSWORD"}
files.write_text(file, json.dumps({user: os.environ[name] for user, name in users.items()}) + "\n", 0o600)
PYTHON

echo "The ledger's tables"
python -c "
from include.workflows.stores import open_ledger
with open_ledger():
    pass
"
echo "Ready."
