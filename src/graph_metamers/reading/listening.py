"""Hooks on a user's model that come off again, whatever happens."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self


class Listener:
    """Context manager that listens to a model while it runs, and leaves no trace on it.

    A subclass registers its hooks in `_register` and pushes what takes them off to `_cleanup`; that is called
    at the end, also if registering one of them fails.
    """

    def __init__(self) -> None:
        self._cleanup = ExitStack()

    def __enter__(self) -> Self:
        try:
            self._register()
        except BaseException:
            self._cleanup.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._cleanup.close()

    def _register(self) -> None:
        raise NotImplementedError
