"""Reading ahead."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def prefetch(items: Iterable[T], depth: int = 3) -> Iterator[T]:
    """The same items, made in a thread, at most ``depth`` of them ahead, while the reader computes.

    An error of the source is raised here; a reader that stops early stops the thread.
    """
    ahead: queue.Queue[T | _Ended] = queue.Queue(depth)
    stop = threading.Event()

    def put(item: T | _Ended) -> bool:
        while not stop.is_set():
            try:
                ahead.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for item in items:
                if not put(item):
                    return
            put(_Ended(None))
        except BaseException as err:  # handed to the reader, which raises it
            put(_Ended(err))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while not isinstance(item := ahead.get(), _Ended):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        stop.set()


class _Ended:
    def __init__(self, error: BaseException | None) -> None:
        self.error = error
