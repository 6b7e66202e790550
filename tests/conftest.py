"""Fixtures for all tests: tiny model folders, and a null-text cache of the tests' own."""

from pathlib import Path

import pytest

from tests import tiny_models


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACE_MM_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="session")
def sd15_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.save_sd15(tmp_path_factory.mktemp("sd15"))


@pytest.fixture(scope="session")
def sdxl_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.save_sdxl(tmp_path_factory.mktemp("sdxl"))


@pytest.fixture(scope="session")
def flow_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.save_flow(tmp_path_factory.mktemp("flow"))
