"""Fixtures of the integration tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from forking import Forking
from journey_world import JourneyWorld, journey_world, living_in, published, registry_in_memory
from ledger_fixtures import ledger, ledger_url
from mlflow_server import MlflowServer
from pages_world import pages
from release_story import Story, tell

__all__ = ["ledger", "ledger_url", "pages"]


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """One MLflow server for all tests."""
    server = MlflowServer(tmp_path_factory.mktemp("mlflow"))
    server.start()
    yield server
    server.close()


@pytest.fixture(scope="session")
def published_days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a source and the published days of both views, to be copied."""
    return published(tmp_path_factory.mktemp("published"))


@pytest.fixture
def world(request: pytest.FixtureRequest, published_days: Path, tmp_path: Path) -> Iterator[JourneyWorld]:
    """A small world with published days and one declared model without a champion; where the test is marked light,
    with a registry in memory."""
    with _with_its_registry(request) as url, journey_world(published_days, tmp_path, url) as made:
        yield made


@pytest.fixture(scope="module")
def shared_world(
    request: pytest.FixtureRequest, published_days: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[JourneyWorld]:
    """As ``world``, one for a module whose tests only look."""
    folder = tmp_path_factory.mktemp("shared")
    with _with_its_registry(request) as url, journey_world(published_days, folder, url) as made:
        yield made


@contextmanager
def _with_its_registry(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of the MLflow that the marked test or module has; of none where it is light. In a light module a test
    whose own process asks MLflow is marked ``light(False)``."""
    mark = request.node.get_closest_marker("light")
    if mark is None or mark.args == (False,):
        server: MlflowServer = request.getfixturevalue("mlflow_server")
        yield server.url
        return
    with registry_in_memory() as registry:
        yield registry.url


@pytest.fixture(scope="session")
def told_story(published_days: Path, tmp_path_factory: pytest.TempPathFactory, mlflow_server: MlflowServer) -> Story:
    """Two champions one after the other, and the world before each step; to be used through ``story``."""
    with journey_world(published_days, tmp_path_factory.mktemp("story"), mlflow_server.url) as world:
        return tell(world, mlflow_server, tmp_path_factory.mktemp("moments"))


@pytest.fixture(scope="module")
def story(told_story: Story) -> Iterator[Story]:
    """The story as this process's world; a test goes back to the moment it is about."""
    with living_in(told_story.world.root, told_story.server.url):
        yield told_story


@pytest.fixture(scope="module")
def forking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forking]:
    helper = Forking(tmp_path_factory.mktemp("children"))
    yield helper
    helper.close()
