#!/usr/bin/env bash
# Runs in the Postgres container on an empty volume: a role and a database for each part, each with its own password.
set -euo pipefail

create() { # name password
  # As psql variables, so that no character of a password can be read as SQL.
  psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 --set name="$1" --set password="$2" --dbname postgres <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
SQL
}

create airflow "$AIRFLOW_DB_PASSWORD"
create mlflow "$MLFLOW_DB_PASSWORD"
create slipway "$SLIPWAY_DB_PASSWORD"
create source "$SOURCE_DB_PASSWORD"
