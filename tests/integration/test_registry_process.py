"""Which MLflow server a process talks to, while Slipway talks to its own."""

from __future__ import annotations

import os

import mlflow

from include.adapters import model_files


def test_a_registry_asks_its_own_server_whichever_the_process_talks_to(world, tmp_path, monkeypatch):
    champion = world.first_champion().facts
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'another.db'}")
    with world.registry.fetched(world.model, int(str(champion.model_version))) as file:
        assert model_files.digest(file) == champion.artifact_digest


def test_logging_a_model_leaves_the_process_talking_to_whom_it_did(world, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", world.registry.url)
    world.first_champion()
    assert os.environ["MLFLOW_TRACKING_URI"] == world.registry.url
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert mlflow.get_tracking_uri() != world.registry.url
