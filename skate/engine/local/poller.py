"""Waiting for many sockets at once: epoll where there is one, the standard selectors elsewhere."""

from __future__ import annotations

import select
import selectors

READ = 1
WRITE = 2


class EpollPoller:
    """epoll, level-triggered."""

    def __init__(self) -> None:
        self._epoll = select.epoll()

    def fileno(self) -> int:
        """Readable when anything polled is."""
        return self._epoll.fileno()

    def add(self, fd: int, write: bool = False) -> None:
        """Watch `fd` for reading, and for room to write."""
        self._epoll.register(fd, select.EPOLLIN | (select.EPOLLOUT if write else 0))

    def change(self, fd: int, write: bool) -> None:
        """Watch `fd` for room to write too, or no more."""
        self._epoll.modify(fd, select.EPOLLIN | (select.EPOLLOUT if write else 0))

    def remove(self, fd: int) -> None:
        """Watch `fd` no more."""
        self._epoll.unregister(fd)

    def poll(self, timeout: float | None) -> list[tuple[int, int]]:
        """(fd, READ | WRITE) of those ready; empty after `timeout` seconds (None: wait for ever)."""
        events = self._epoll.poll(timeout)
        if not events:
            return events
        return [
            (fd, (READ if event & ~select.EPOLLOUT else 0) | (WRITE if event & select.EPOLLOUT else 0))
            for fd, event in events
        ]

    def close(self) -> None:
        """Free the kernel's part."""
        self._epoll.close()


class SelectorsPoller:
    """The same for systems without epoll."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()

    def fileno(self) -> int:
        """Readable when anything polled is (kqueue); selectors without a descriptor raise."""
        return self._selector.fileno()

    def add(self, fd: int, write: bool = False) -> None:
        """Watch `fd` for reading, and for room to write."""
        self._selector.register(fd, selectors.EVENT_READ | (selectors.EVENT_WRITE if write else 0))

    def change(self, fd: int, write: bool) -> None:
        """Watch `fd` for room to write too, or no more."""
        self._selector.modify(fd, selectors.EVENT_READ | (selectors.EVENT_WRITE if write else 0))

    def remove(self, fd: int) -> None:
        """Watch `fd` no more."""
        self._selector.unregister(fd)

    def poll(self, timeout: float | None) -> list[tuple[int, int]]:
        """(fd, READ | WRITE) of those ready; empty after `timeout` seconds (None: wait for ever)."""
        return [
            (
                key.fd,
                (READ if event & selectors.EVENT_READ else 0)
                | (WRITE if event & selectors.EVENT_WRITE else 0),
            )
            for key, event in self._selector.select(timeout)
        ]

    def close(self) -> None:
        """Free the kernel's part."""
        self._selector.close()


def make_poller() -> EpollPoller | SelectorsPoller:
    """The best poller of this system."""
    return EpollPoller() if hasattr(select, "epoll") else SelectorsPoller()
