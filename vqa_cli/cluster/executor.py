"""Carries tasks out on a Ray cluster: encodes as tasks, measuring by the crew, results into the driver's own store."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from vqa_cli.cluster import work
from vqa_cli.cluster.arrivals import Arrivals, nowhere
from vqa_cli.cluster.crew import Crew, Member
from vqa_cli.cluster.looks import Looks
from vqa_cli.cluster.travel import Lost, Made, Outfit, Unfit, seal
from vqa_cli.errors import ToolError
from vqa_cli.ladder.executor import OnNote, OnProgress
from vqa_cli.ladder.job import LadderJob
from vqa_cli.ladder.outcome import Outcome, failed
from vqa_cli.ladder.steps import Judged, Site
from vqa_cli.ladder.task import LadderTask, RungTask, SourceTask
from vqa_cli.values import ClipScore, optional_path

# How often a task is begun again because its node or process died.
LOSSES = 3
_WAIT_S, _ASK_S, _REST_S, _STOP_S, _LONELY_S = 1.0, 0.5, 2.0, 5.0, 30.0


@dataclass(frozen=True)
class Steps:
    """What is done on nodes; another one where the driver itself is measured."""

    encode: Any = work.encode
    measurer: type = work.Measurer


@dataclass
class _Flight:
    """A task in work. It waits for ``ref``, else for a member of the crew, else, when it was lost, for ``again_at``."""

    number: int
    task: LadderTask
    losses: int = 0
    again_at: float = 0.0
    ref: Any = None
    parcel: Any = None
    made: Made | None = None
    member: Member | None = None


class RayExecutor:
    """An :class:`vqa_cli.ladder.executor.Executor` whose sites are the nodes of a cluster.

    Args:
        site: the driver's: its store, and the programs that documents name.
        outfit: what nodes must have.
        todo: what is done there.
    """

    def __init__(self, job: LadderJob, site: Site, outfit: Outfit, todo: Steps | None = None) -> None:
        import ray

        todo = todo or Steps()
        self._ray: Any = ray
        self._arrivals, self._workers = Arrivals(site, optional_path(job.cache_dir)), job.workers
        self._run, self._sealed = outfit.run, seal(outfit)
        gpu = outfit.scorer is not None and outfit.scorer.device != "cpu"
        self._crew = Crew(self._sealed, outfit.threads, gpu=gpu, measurer=todo.measurer)
        self._looks = Looks(self._sealed, self._crew, job.paths)
        self.look = self._looks.look
        self._encode: Any = ray.remote(todo.encode)
        self._board: Any = ray.remote(work.Board).options(num_cpus=0, max_restarts=-1).remote()
        self._flights: dict[int, _Flight] = {}
        self._refs: dict[Any, _Flight] = {}
        self._queue: deque[_Flight] = deque()
        self._resting: list[_Flight] = []
        self._number = 0
        self._told: Any = None
        self._asked = 0.0

    def run(self, tasks: Iterable[LadderTask], on_progress: OnProgress, on_note: OnNote) -> Iterator[Outcome]:
        """See :class:`vqa_cli.ladder.executor.Executor`."""
        waiting, more, lonely = iter(tasks), True, time.monotonic()
        try:
            self._crew.tell(on_note)
            self._crew.muster()
            while more or self._flights:
                while more and len(self._flights) < self._window:
                    if (task := next(waiting, None)) is None:
                        more = False
                    elif (known := self._arrivals.recall(task, sorted(self._crew.simds))) is not None:
                        yield known
                    else:
                        self._begin(self._flight(task))
                self._rise()
                yield from self._assign()
                for ref in self._landed():
                    yield from self._take(ref)
                self._crew.look()
                self._progress(on_progress)
                if self._crew.slots:
                    lonely = time.monotonic()
                elif time.monotonic() - lonely > _LONELY_S:
                    on_note("the cluster has no node with a CPU; waiting for one")
                    lonely = float("inf")
        except BaseException:
            self._abandon()
            raise

    def close(self) -> None:
        """Let the crew go."""
        self._crew.dismiss(self._run)

    @property
    def _window(self) -> int:
        return self._workers or max(2, 2 * self._crew.slots)

    def _flight(self, task: LadderTask) -> _Flight:
        self._number += 1
        return _Flight(self._number, task)

    def _begin(self, flight: _Flight) -> None:
        self._flights[flight.number] = flight
        flight.ref = flight.parcel = flight.made = flight.member = None
        if isinstance(flight.task, SourceTask):
            self._queue.append(flight)
            return
        wanted = self._crew.wanted(flight.task.source.path)
        encode = self._encode.options(num_returns=2, max_retries=0, **wanted)
        ref, flight.parcel = encode.remote(self._sealed, flight.task, self._board, flight.number)
        self._await(flight, ref)

    def _rise(self) -> None:
        """Begin lost tasks again whose time has come: Ray needs a moment to notice that a node is dead."""
        now = time.monotonic()
        due = [flight for flight in self._resting if flight.again_at <= now]
        self._resting = [flight for flight in self._resting if flight.again_at > now]
        for flight in due:
            self._begin(flight)

    def _await(self, flight: _Flight, ref: Any) -> None:
        flight.ref = ref
        self._refs[ref] = flight

    def _assign(self) -> Iterator[Outcome]:
        """Give what waits to be measured to members of the crew with nothing to do."""
        for _ in range(len(self._queue)):
            flight = self._queue.popleft()
            task = flight.task
            member = self._crew.pick(task.source.path, flight.made.node.id if flight.made else None)
            if member is None:
                if why := self._crew.hopeless(task.source.path):
                    yield self._end(flight, nowhere(task, why))
                else:
                    self._queue.append(flight)
                continue
            member.busy, flight.member = True, member
            to = member.handle
            alone = isinstance(task, SourceTask)
            self._await(flight, to.score.remote(task) if alone else to.measure.remote(task, flight.parcel))

    def _landed(self) -> list[Any]:
        """References to what has come, waiting a moment for the first."""
        refs = [*self._refs, *self._crew.awaited]
        if not refs:
            time.sleep(_WAIT_S)
            return []
        done, rest = self._ray.wait(refs, num_returns=1, timeout=_WAIT_S)
        if done and rest:
            done += self._ray.wait(rest, num_returns=len(rest), timeout=0)[0]
        return list(done)

    def _take(self, ref: Any) -> Iterator[Outcome]:
        if ref not in self._refs:
            self._crew.hear(ref)
            return
        flight = self._refs.pop(ref)
        try:
            came = self._ray.get(ref)
            outcome = None if isinstance(came, Unfit | Lost | Made) else self._outcome(flight, came)
        except self._ray.exceptions.RayError as err:
            self._raise_if_ours(err)
            yield from self._lost(flight, type(err).__name__)
            return
        if isinstance(came, Lost):
            yield from self._lost(flight, came.reason)
            return
        if flight.member is not None:
            flight.member.busy = False
        if isinstance(came, Unfit):
            self._crew.refuse(came)
            yield from self._again(flight)
        elif isinstance(came, Made):
            flight.made, flight.ref = came, None
            self._queue.append(flight)
        elif outcome is not None:
            yield self._end(flight, outcome)

    def _raise_if_ours(self, err: Exception) -> None:
        """Raise what is no loss of a node: that Ray has died here, or an error in our own code."""
        if isinstance(err, self._ray.exceptions.LocalRayletDiedError):
            raise ToolError(
                "Ray has died on this machine", hint="start it again; the same command then goes on"
            ) from err
        of_ours = isinstance(err, self._ray.exceptions.RayTaskError)
        if of_ours and not isinstance(getattr(err, "cause", None), self._ray.exceptions.RayError):
            raise err

    def _lost(self, flight: _Flight, why: str) -> Iterator[Outcome]:
        """What to do about a task whose node or process died."""
        if flight.member is not None:
            self._crew.drop(flight.member)
        flight.losses += 1
        if flight.losses > LOSSES:
            reason = f"lost {flight.losses} times with its node or its process: {why}"
            yield self._end(flight, failed(flight.task, ToolError(reason)))
        else:
            flight.again_at = time.monotonic() + _REST_S * flight.losses
            self._resting.append(flight)

    def _again(self, flight: _Flight) -> Iterator[Outcome]:
        """Begin anew what a node refused, unless all do."""
        if why := self._crew.hopeless(flight.task.source.path):
            yield self._end(flight, nowhere(flight.task, why))
        else:
            self._begin(flight)

    def _outcome(self, flight: _Flight, came: Judged | ClipScore | Outcome) -> Outcome:
        task = flight.task
        if isinstance(came, ClipScore):
            assert isinstance(task, SourceTask)
            return self._arrivals.source(task, came)
        if isinstance(came, Judged):
            assert isinstance(task, RungTask)
            assert flight.made is not None
            return self._arrivals.rung(task, came, flight.made, lambda: self._ray.get(flight.parcel))
        return came

    def _end(self, flight: _Flight, outcome: Outcome) -> Outcome:
        del self._flights[flight.number]
        return outcome

    def _progress(self, on_progress: OnProgress) -> None:
        if self._told is None:
            if time.monotonic() - self._asked < _ASK_S:
                return
            self._asked, self._told = time.monotonic(), self._board.take.remote()
        if not self._ray.wait([self._told], timeout=0)[0]:
            return
        try:
            shares: dict[int, float] = self._ray.get(self._told)
        except self._ray.exceptions.RayError:
            shares = {}  # it died with its node, and lives elsewhere by now
        self._told = None
        for number, share in shares.items():
            if (flight := self._flights.get(number)) is not None:
                on_progress(flight.task, share)

    def _abandon(self) -> None:
        """End what is in work: looks and encodes so that they clean up, then whoever did not listen."""
        tasks = [*self._looks.begun, *(ref for ref, flight in self._refs.items() if flight.member is None)]
        self._flights.clear()
        self._refs.clear()
        self._queue.clear()
        self._resting.clear()
        try:
            for ref in tasks:
                self._ray.cancel(ref, force=False)
            rest = self._ray.wait(tasks, num_returns=len(tasks), timeout=_STOP_S)[1] if tasks else []
            for ref in rest:
                self._ray.cancel(ref, force=True)
        except (self._ray.exceptions.RayError, ConnectionError, RuntimeError):
            pass  # the cluster has gone
        self._crew.dismiss(self._run)
