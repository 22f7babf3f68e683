"""Reading ahead."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable
from typing import TypeVar

T = TypeVar("T")
# A source may hang on a pipe whose program is only ended by whoever closes this.
_PATIENCE_S = 2.0


def prefetch(items: Iterable[T], depth: int = 3) -> Generator[T, None, None]:
    """The same items, made in a thread, at most ``depth`` of them ahead, while the reader computes.

    An error of the source is raised here; a reader that stops early and closes this stops the thread, and waits for it a
    little: a thread that still computes with torch when Python ends would abort the program.
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
        thread.join(_PATIENCE_S)


class _Ended:
    def __init__(self, error: BaseException | None) -> None:
        self.error = error
