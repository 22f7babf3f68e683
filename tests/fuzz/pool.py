"""Attacks side by side, each process watched: one that hangs is ended, one that dies is told of, and both are begun anew."""

from __future__ import annotations

import multiprocessing
import queue
import resource
import threading
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from fuzz.targets import BUG, Ending, limit_memory, open_target

# What takes longer hangs, also on a busy machine.
PATIENCE_S = 600.0
_STARTING_S = 600.0
HUNG, DIED = -1, -2


@dataclass(frozen=True)
class Done:
    """An attack, how it ended, and the most memory that its process has taken so far."""

    number: int
    ending: Ending
    peak_mb: float


def run_all(target: str, seed: int, numbers: Iterable[int], workers: int) -> Iterator[Done]:
    """Attack by every number, in whatever order."""
    waiting: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    done: queue.SimpleQueue[Done | None] = queue.SimpleQueue()
    for number in numbers:
        waiting.put(number)
    for _ in range(workers):
        waiting.put(None)
        threading.Thread(target=_watch, args=(target, seed, waiting, done), daemon=True).start()
    left = workers
    while left:
        if (one := done.get()) is None:
            left -= 1
        else:
            yield one


def _watch(target: str, seed: int, waiting: Any, done: Any) -> None:
    worker = _Worker(target, seed)
    try:
        while (number := waiting.get()) is not None:
            one = worker.attack(number)
            done.put(one)
            if one.ending.code in (HUNG, DIED):
                worker.end()
                worker = _Worker(target, seed)
    finally:
        worker.end()
        done.put(None)


class _Worker:
    """A process that attacks one target."""

    def __init__(self, target: str, seed: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, target, seed), daemon=True)
        self._process.start()
        theirs.close()
        if not self._pipe.poll(_STARTING_S):
            raise RuntimeError(f"{target} cannot be made ready")
        self._pipe.recv()

    def attack(self, number: int) -> Done:
        try:
            self._pipe.send(number)
            if not self._pipe.poll(PATIENCE_S):
                return Done(number, Ending(HUNG, "", f"no end after {PATIENCE_S:g} s"), 0)
            ending, peak = self._pipe.recv()
        except (EOFError, OSError):
            self._process.join(5)
            return Done(number, Ending(DIED, "", f"the process died: {self._process.exitcode}"), 0)
        return Done(number, ending, peak)

    def end(self) -> None:
        self._process.kill()
        self._process.join()


def _serve(pipe: Connection, target: str, seed: int) -> None:
    limit_memory()
    with open_target(target, seed) as attack:
        pipe.send("ready")
        while True:
            number = pipe.recv()
            try:
                ending = attack(number)
            except BaseException as err:  # whatever it is, a user would have seen it
                where = "".join(traceback.format_exception(err)[-3:])
                ending = Ending(BUG, repr(err)[:300], f"{type(err).__name__}: {err}"[:300] + "\n" + where)
            pipe.send((ending, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))
