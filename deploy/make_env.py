"""Writes ``.env`` for docker-compose: a generated secret for everything that needs one. Needs Python alone.

    python3 deploy/make_env.py [FILE]

An existing file is kept: its secrets are in the databases already. Only names it lacks are added, so that a newer
release finds what it needs.
"""

from __future__ import annotations

import base64
import os
import secrets
import sys
from collections.abc import Callable
from pathlib import Path


def _password() -> str:
    """192 bits in letters, digits, - and _: safe in a URL, a shell and a config file."""
    return secrets.token_urlsafe(24)


def _login() -> str:
    """96 bits: a person types it."""
    return secrets.token_urlsafe(12)


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def _signing_key() -> str:
    """SHA-512 signatures want at least 64 bytes."""
    return secrets.token_urlsafe(64)


GENERATED: dict[str, Callable[[], str]] = {
    "POSTGRES_PASSWORD": _password,
    "AIRFLOW_DB_PASSWORD": _password,
    "MLFLOW_DB_PASSWORD": _password,
    "SLIPWAY_DB_PASSWORD": _password,
    "SOURCE_DB_PASSWORD": _password,
    "REDIS_PASSWORD": _password,
    "AIRFLOW_FERNET_KEY": _fernet_key,
    "AIRFLOW_API_SECRET_KEY": _signing_key,
    "AIRFLOW_JWT_SECRET": _signing_key,
    "SLIPWAY_AIRFLOW_PASSWORD": _login,
    "SLIPWAY_OPERATOR_PASSWORD": _login,
    "SLIPWAY_VIEWER_PASSWORD": _login,
}

HEADER = """\
# Generated secrets of docker-compose.yaml. Keep this file private; it is ignored by git and by the image.
# Postgres reads its passwords once, when its volume is empty: changing one here later needs ALTER ROLE there.
# Airflow's users: admin (SLIPWAY_AIRFLOW_PASSWORD), operator, viewer. These three may be changed; restart afterwards.
"""


def names_in(text: str) -> set[str]:
    """The variables a file sets to something."""
    pairs = (line.partition("=") for line in text.splitlines() if not line.lstrip().startswith("#"))
    return {name.strip() for name, _, value in pairs if value.strip()}


def write(file: Path) -> list[str]:
    """Add what the file lacks; the names that were added. It is readable by its owner only."""
    handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(handle, "r+", encoding="utf-8") as stream:
        os.fchmod(stream.fileno(), 0o600)
        there = stream.read()
        missing = [name for name in GENERATED if name not in names_in(there)]
        new = "" if there else HEADER
        if there and not there.endswith("\n"):
            new = "\n"
        stream.write(new + "".join(f"{name}={GENERATED[name]()}\n" for name in missing))
    return missing


def main(arguments: list[str]) -> int:
    if len(arguments) > 1 or any(a.startswith("-") for a in arguments):
        print("usage: make_env.py [FILE]; default .env beside docker-compose.yaml", file=sys.stderr)
        return 64
    file = Path(arguments[0]) if arguments else Path(__file__).resolve().parents[1] / ".env"
    try:
        added = write(file)
    except OSError as error:
        print(f"{file} could not be written: {error.strerror}.", file=sys.stderr)
        return 1
    print(f"{file}: {len(added)} secrets generated." if added else f"{file} has everything; nothing was changed.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
