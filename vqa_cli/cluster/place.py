"""A Ray cluster as the place of a job."""

from __future__ import annotations

import os
import signal
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vqa_cli.cluster.executor import RayExecutor
from vqa_cli.cluster.travel import Outfit
from vqa_cli.errors import ToolError, UsageError, first_line
from vqa_cli.ladder.executor import Executor
from vqa_cli.ladder.job import LadderJob
from vqa_cli.ladder.steps import Site
from vqa_cli.media.binaries import cpu_count
from vqa_cli.model.order import ScorerOrder
from vqa_cli.scratch import scratch
from vqa_cli.values import Scorer

# What `ray.init` calls a cluster of this machine alone.
LOCAL = "local"


@dataclass(frozen=True)
class RayCluster:
    """A :class:`vqa_cli.ladder.executor.Place`, connected.

    Attributes:
        alone: Ray runs on this machine alone.
        shared: folder that all nodes see.
    """

    alone: bool
    shared: Path | None = None

    @contextmanager
    def open(self, job: LadderJob, site: Site) -> Iterator[Executor]:
        """See :class:`vqa_cli.ladder.executor.Place`."""
        with self._folder(site) as shared:
            outfit = Outfit(
                run=uuid.uuid4().hex,
                ffmpeg=_anywhere(job.ffmpeg, site.ffmpeg.path), ffmpeg_sha256=site.ffmpeg.sha256,
                encode_ffmpeg=_anywhere(job.encode_ffmpeg, site.encode_ffmpeg.path),
                encode_sha256=site.encode_ffmpeg.sha256,
                scorer=_order(site.scorer), threads=job.settings.threads, shared=shared,
            )  # fmt: skip
            executor = RayExecutor(job, site, outfit)
            try:
                yield executor
            finally:
                executor.close()

    @contextmanager
    def _folder(self, site: Site) -> Iterator[str | None]:
        """A folder of this run in the shared one, gone afterwards."""
        parent = site.scratch if self.alone else self.shared
        if parent is None:
            yield None
            return
        with scratch(parent.absolute(), alone=self.alone) as folder:
            folder.chmod(0o777)  # nodes may run as other users
            yield str(folder)


@contextmanager
def join(address: str, shared: Path | None) -> Iterator[RayCluster]:
    """Connect to a cluster, or start one of this machine alone.

    Args:
        address: :data:`LOCAL`, ``ray://HOST:PORT``, or what else ``ray.init`` takes.

    Raises:
        UsageError: Ray is not installed.
        ToolError: nobody answers, or another version of Ray or Python.
    """
    try:
        import ray
    except ImportError as err:
        raise UsageError("Ray is not installed", hint="pip install 'vqa-cli[ray]'") from err
    alone = address == LOCAL
    told: dict[str, Any] = {"num_cpus": cpu_count(), "include_dashboard": False} if alone else {}
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    _hush(ray)
    try:
        with warnings.catch_warnings(action="ignore"):  # of what the error says, too
            ray.init(address=address, log_to_driver=False, logging_level="ERROR", **told)
    except (ConnectionError, RuntimeError, ValueError, ImportError, TimeoutError) as err:
        hint = (
            None if alone else "`ray status` says whether it runs; where it asks for a token, set RAY_AUTH_MODE=token"
        )
        raise ToolError(f"cannot join Ray at {address}", detail=first_line(err), hint=hint) from err
    finally:
        for number, handler in handlers.items():  # Ray puts its own there
            signal.signal(number, handler)
    try:
        yield RayCluster(alone, shared)
    finally:
        with suppress(Exception):
            ray.shutdown()


def _hush(ray: Any) -> None:
    """What Ray has to say of dying nodes it prints on standard output, where results go; it says so in its logs too."""
    printer = "print_to_stdstream"
    if hasattr(ray._private.worker, printer):
        setattr(ray._private.worker, printer, lambda *_, **__: None)


def _anywhere(name: str | None, found: Path) -> str | None:
    """A program as any node finds it: by a bare name on its own PATH, else by its full path."""
    return name if name is None or os.sep not in name else str(found)


def _order(scorer: Scorer | None) -> ScorerOrder | None:
    if scorer is None:
        return None
    if not isinstance(order := getattr(scorer, "order", None), ScorerOrder):
        raise UsageError("this scorer cannot be loaded on other machines", hint="load it by vqa_cli.load_scorer")
    return order
