"""The application of one worker, for every test here."""

from app_world import app_world, new_app_world, packed_bytes  # noqa: F401 - fixtures
