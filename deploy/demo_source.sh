#!/usr/bin/env bash
# Loads 2013's flights, weather and planes into the source system's database, once.
set -euo pipefail

python -c "
from include.adapters.nycflights import load_flights
from include.config.settings import settings
counts = load_flights(settings().source_url)
print('The source system has', ', '.join(f'{rows:,} {table}' for table, rows in counts.items()) + '.')
"
