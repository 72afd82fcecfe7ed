# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Notifications about changes of metadata."""

from __future__ import annotations

import asyncio


class Changes:
    """Wakes the requests that wait for a change. ``notify`` may be called from any thread."""

    def __init__(self) -> None:
        self._waiting: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}
        self.closed = False

    def notify(self) -> None:
        """Report that the metadata of an instance or project may have changed."""
        for event, loop in list(self._waiting.items()):
            loop.call_soon_threadsafe(event.set)

    def close(self) -> None:
        """Wake all waiting requests: there are no further changes."""
        self.closed = True
        self.notify()

    async def wait(self, seconds: float) -> None:
        """Return at the next notify, or after ``seconds``."""
        event = asyncio.Event()
        self._waiting[event] = asyncio.get_running_loop()
        try:
            await asyncio.wait_for(event.wait(), seconds)
        except TimeoutError:
            pass
        finally:
            self._waiting.pop(event, None)


CHANGES = Changes()
"""The changes of this process. Call ``CHANGES.notify()`` after a change of metadata."""
