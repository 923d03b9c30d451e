"""The visitors of a studio: each one's session, found by a secret of the page, closed when the visit ends."""

import threading
import time
from collections.abc import Callable

from jaxedit.errors import InputError
from jaxedit.studio.studio import Session

KEPT_SECONDS = 3600.0
"""Time after a visitor's last request when the visit ends."""

MOST_VISITS = 500
"""Visits at once; the one that was quiet longest ends when another begins."""


class Visits:
    """Sessions by the secret of each page. For several threads.

    Args:
        make: makes a session.
        clock: seconds, for tests.
    """

    def __init__(self, make: Callable[[], Session], clock: Callable[[], float] = time.monotonic) -> None:
        self._make, self._clock = make, clock
        self._sessions: dict[str, tuple[Session, float]] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._sessions)

    def of(self, secret: str | None) -> Session:
        """The session of a visitor, new at the first request.

        Raises:
            InputError: if a request names no visit.
        """
        if not secret:
            raise InputError("visit: expected the request of a page, got one without a session")
        with self._lock:
            session = self._found(secret) or self._make()
            session.visit = secret
            self._sessions[secret] = (session, self._clock())
        self.sweep()
        return session

    def find(self, secret: str) -> Session | None:
        """The session of a visit that has begun."""
        with self._lock:
            return self._found(secret)

    def _found(self, secret: str) -> Session | None:
        found = self._sessions.pop(secret, None)
        if found is None:
            return None
        self._sessions[secret] = (found[0], self._clock())  # the latest come last
        return found[0]

    def close(self, secret: str | None) -> None:
        """End a visit: edits, photographs and latents of it are gone."""
        with self._lock:
            found = self._sessions.pop(secret or "", None)
        if found is not None:
            found[0].close()

    def sweep(self) -> None:
        """End the visits that were quiet for an hour, and those beyond the limit."""
        now = self._clock()
        with self._lock:
            late = [k for k, (_, used) in self._sessions.items() if now - used > KEPT_SECONDS]
            late += [*self._sessions][: max(0, len(self._sessions) - MOST_VISITS)]
        for secret in late:
            self.close(secret)

    def close_all(self) -> None:
        """End all visits."""
        for secret in [*self._sessions]:
            self.close(secret)


class Sweeper:
    """Calls functions that remove what is over, also while nobody asks for anything.

    Args:
        functions: without arguments.
        seconds: between two calls.
    """

    def __init__(self, *functions: Callable[[], None], seconds: float = 60.0) -> None:
        self._functions, self._seconds, self._stopped = functions, seconds, threading.Event()
        threading.Thread(target=self._work, name="studio-sweeper", daemon=True).start()

    def stop(self) -> None:
        """Call them no more."""
        self._stopped.set()

    def _work(self) -> None:
        while not self._stopped.wait(self._seconds):
            for function in self._functions:
                function()
