"""Refuses a wheel of this project: installed beside another one, its package `include` would hide that project's."""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class OnlyEditable(BuildHookInterface):  # type: ignore[type-arg]
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version != "editable":
            raise SystemExit(
                "Slipway is a project to clone, not a package: no wheel is built of it "
                "(docs/adr/0033-no-wheel.md). Clone it and run `make setup`, or build the image of the Dockerfile."
            )
