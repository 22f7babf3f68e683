"""Where tasks are carried out. One method makes the difference between a laptop and a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from vqa_cli.ladder.execute import execute
from vqa_cli.ladder.outcome import Outcome
from vqa_cli.ladder.steps import Site
from vqa_cli.ladder.task import LadderTask
from vqa_cli.measure.source import Source
from vqa_cli.values import Treatment

if TYPE_CHECKING:
    from vqa_cli.ladder.job import LadderJob

OnProgress = Callable[[LadderTask, float], None]
OnNote = Callable[[str], None]
Look = Callable[[Path, Treatment], Source]


class Executor(Protocol):
    """Carries tasks out, somewhere."""

    @property
    def look(self) -> Look | None:
        """Looks at a source as :meth:`vqa_cli.measure.source.Inspector.look` does; ``None`` where this machine does."""

    def run(self, tasks: Iterable[LadderTask], on_progress: OnProgress, on_note: OnNote) -> Iterator[Outcome]:
        """Outcomes in the order in which they come.

        Tasks are drawn as there is room for them, so that there may be any number. Left early, by an error or by closing the
        iterator, it ends everything that it has begun.

        Args:
            on_progress: hears the share of a task that is done, 0..1; may be called from any thread.
            on_note: hears what users should know of the machines.

        Raises:
            ToolError: no machine can carry tasks out.
            StorageError: the disk is full or the store cannot be written.
            Interrupted: everything was stopped from outside.
        """


class Place(Protocol):
    """Where the tasks of a job go."""

    def open(self, job: LadderJob, site: Site) -> AbstractContextManager[Executor]:
        """An executor for the job; ``site`` is what this machine has.

        Raises:
            VqaError: it cannot be reached, or not used for this job.
        """


class ThisMachine:
    """The place that needs nothing."""

    @contextmanager
    def open(self, job: LadderJob, site: Site) -> Iterator[Executor]:
        """See :class:`Place`."""
        yield LocalExecutor(site, job.at_once)


class LocalExecutor:
    """Threads of this process, each with one task from beginning to end.

    They are in different phases at any time, so encoding, decoding, metrics and inference overlap, while no more encodes lie
    on disk than there are workers.
    """

    look: Look | None = None

    def __init__(self, site: Site, workers: int) -> None:
        self._site, self._workers = site, workers

    def run(self, tasks: Iterable[LadderTask], on_progress: OnProgress, on_note: OnNote) -> Iterator[Outcome]:
        waiting = iter(tasks)
        pool = ThreadPoolExecutor(self._workers)
        pending: set[Future[Outcome]] = set()
        try:
            while True:
                # One for each worker to go on with, so that none waits while the next source is looked at.
                while len(pending) < 2 * self._workers and (task := next(waiting, None)) is not None:
                    pending.add(pool.submit(self._execute, task, on_progress))
                if not pending:
                    break
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        except BaseException:
            self._site.runner.close()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
        pool.shutdown()

    def _execute(self, task: LadderTask, on_progress: OnProgress) -> Outcome:
        return execute(task, self._site, lambda share: on_progress(task, share))
