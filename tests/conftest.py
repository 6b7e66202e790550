"""Fixtures for all tests: tiny model folders, and a null-text cache of the tests' own."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import torch
from mmengine.registry import DefaultScope

from tests import tiny_models, tiny_transformers
from tests.s3_server import FaultyProxy, s3_proxy
from trace_mm.console import set_quiet

SAVED_BY = {
    "sd15": tiny_models.save_sd15,
    "sd21": tiny_models.save_sd21,
    "sdxl": tiny_models.save_sdxl,
    "pixart-alpha": tiny_transformers.save_pixart_alpha,
    "pixart-sigma": tiny_transformers.save_pixart_sigma,
    "sd3": tiny_transformers.save_sd3,
    "sd35": tiny_transformers.save_sd35,
    "flux-dev": tiny_transformers.save_flux_dev,
    "flux-schnell": tiny_transformers.save_flux_schnell,
}
"""How a tiny model of each family is saved; see :func:`model_folder`."""


def pytest_configure() -> None:
    """No test asserts a time; with ``-n``, each process keeps to its part of the cores."""
    hypothesis.settings.register_profile("no deadline", deadline=None)
    hypothesis.settings.load_profile("no deadline")
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers > 1:
        threads = max(1, (os.cpu_count() or 1) // workers)
        torch.set_num_threads(threads)
        os.environ.setdefault("OMP_NUM_THREADS", str(threads))


@pytest.fixture(scope="session", autouse=True)
def _session_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """For fixtures of more than one test, which are made before a test's own cache is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRACE_MM_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACE_MM_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(autouse=True)
def _scope() -> Iterator[None]:
    """The registry in which a test's runner looks names up is not the next test's."""
    before = DefaultScope._instance_dict.copy()
    yield
    DefaultScope._instance_dict = before


@pytest.fixture(autouse=True)
def _notes() -> Iterator[None]:
    """A command with --quiet does not silence the next test."""
    yield
    set_quiet(False)


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Gives the folder of a tiny model by its family's name; each is saved once."""
    saved: dict[tuple[str, int | None], Path] = {}

    def folder_of(name: str, text_tokens: int | None = None) -> Path:
        """A folder with text encoders, or with random text of so many tokens in their stead."""
        key = (name, text_tokens)
        if key not in saved:
            saved[key] = SAVED_BY[name](tmp_path_factory.mktemp(name), text_tokens)
        return saved[key]

    return folder_of


@pytest.fixture(scope="session")
def sd15_folder(model_folder: Callable[..., Path]) -> Path:
    return model_folder("sd15")


@pytest.fixture(scope="session")
def sdxl_folder(model_folder: Callable[..., Path]) -> Path:
    return model_folder("sdxl")


@pytest.fixture(scope="session")
def flow_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.save_flow(tmp_path_factory.mktemp("flow"))


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """Ctrl-C reaches the processes that tests start, also where a shell began pytest without it.

    Of what runs in the background a shell ignores it, and processes inherit that.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module")
def s3_server() -> Iterator[FaultyProxy]:
    """A real S3 server behind a proxy, for all tests of a module; see :func:`s3_proxy`."""
    with pytest.MonkeyPatch.context() as patch, s3_proxy(patch) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, driven by playwright; tests that need it are skipped where either is missing."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no Chromium")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    options = [
        "--no-sandbox",  # which a container does not have
        "--use-fake-device-for-media-stream",  # a webcam that shows a test picture
        "--use-fake-ui-for-media-stream",  # and is allowed
        "--disable-gpu",
        "--disable-quic",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
    ]
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=options)
        yield browser
        browser.close()
