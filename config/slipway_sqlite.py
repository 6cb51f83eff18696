"""How long Airflow's processes wait for one another on a SQLite metadata database.

Many write, one at a time. The scheduler and the others wait long: giving up ends them. The API server waits briefly:
its request log writes on the event loop, so while that waits for the lock, the request that holds the lock cannot
finish. Eight triggers at once: four errors with SQLite's five seconds for all, none with these.
"""

import sys

CONNECT_ARGS = {"timeout": 3.0 if "api-server" in sys.argv else 30.0}
"""Arguments of ``sqlite3.connect``; seconds."""
