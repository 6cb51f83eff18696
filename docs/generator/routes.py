"""Slipway's own routes below Airflow's API server, read from the application."""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from typing import Any

from docs.generator.markdown import code, page, table
from include.config.settings import PROJECT

ROOT = "/slipway"


def application() -> Any:
    """The application as Airflow mounts it. It starts nothing and asks no other service."""
    # Airflow writes a configuration into its home when it is imported; that is not to be the reader's.
    os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="slipway-docs-"))
    plugins = str(PROJECT / "plugins")
    if plugins not in sys.path:
        sys.path.append(plugins)
    with warnings.catch_warnings():
        # Starlette, which Airflow imports a test client of, warns about the httpx that it needs.
        warnings.simplefilter("ignore")
        from slipway_airflow.pages.app import make_app

        return make_app()


def page_of(schema: dict[str, Any]) -> str:
    """The page, from the application's OpenAPI document."""
    parts = [
        "# REST",
        f"Slipway's own routes, on Airflow's API server below `{ROOT}`. The server itself has the same as OpenAPI at "
        f"`{ROOT}/openapi.json`, for whoever is signed in. {schema['info']['description']}",
        "Every error has one form; [pages](../pages.md#rest) shows it. The status of each kind of error is in "
        "[errors](errors.md). Airflow's own REST, which starts runs and backfills, is described by Airflow.",
    ]
    listed = [(path, method, route) for path, methods in schema["paths"].items() for method, route in methods.items()]
    rows = [[code(f"{method.upper()} {ROOT}{path}"), route["summary"]] for path, method, route in listed]
    parts.append(table(("route", "what it gives or does"), rows))
    for path, method, route in listed:
        fields = [*_parameters(route), *_body(schema, route)]
        if fields:
            parts += [f"## `{method.upper()} {path}`", f"{route['summary']}. Answers {_status(route)}."]
            parts.append(table(("field", "where", "type", "", "meaning"), fields))
    return page(*parts)


def _status(route: dict[str, Any]) -> str:
    return " or ".join(code(status) for status in route["responses"] if status != "422")


def _parameters(route: dict[str, Any]) -> list[list[str]]:
    return [
        [
            code(each["name"]),
            each["in"],
            each["schema"].get("type", ""),
            "required" if each["required"] else f"default `{each['schema'].get('default')}`",
            each.get("description", ""),
        ]
        for each in route.get("parameters", ())
    ]


def _body(schema: dict[str, Any], route: dict[str, Any]) -> list[list[str]]:
    content = route.get("requestBody", {}).get("content", {}).get("application/json")
    if content is None:
        return []
    body = schema["components"]["schemas"][content["schema"]["$ref"].rsplit("/", 1)[1]]
    needed = body.get("required", ())
    return [
        [
            code(name),
            "body",
            _type(field),
            "required" if name in needed else f"default `{field.get('default') or 'none'}`",
            field.get("description", ""),
        ]
        for name, field in body["properties"].items()
    ]


def _type(field: dict[str, Any]) -> str:
    kinds = [each["type"] for each in field.get("anyOf", [field]) if each.get("type") not in (None, "null")]
    longest = next((e["maxLength"] for e in field.get("anyOf", [field]) if "maxLength" in e), None)
    return " or ".join(kinds) + (f", up to {longest} characters" if longest else "")
