"""Puts this folder on the path, so that every tier of tests can import what they share (``invariants``)."""
