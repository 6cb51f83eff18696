"""DuckDB, in this process: runs the declared SQL over Arrow tables, and says before it runs what is wrong with it.

``running`` runs a query; ``checking`` reads its text, and binds it to the schema of its tables without a row.
"""

from include.adapters.sql_engine.checking import SqlFault, SqlText, bound, read_text
from include.adapters.sql_engine.naming import quoted
from include.adapters.sql_engine.running import OpenDatabases, SqlFailed, connect, named_in, run_sql, semantic_hash

__all__ = [
    "OpenDatabases",
    "SqlFailed",
    "SqlFault",
    "SqlText",
    "bound",
    "connect",
    "named_in",
    "quoted",
    "read_text",
    "run_sql",
    "semantic_hash",
]
