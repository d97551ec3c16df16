"""Record what a function computes once, as a flat program of tensor operations, and run that again."""

from __future__ import annotations

from graph_metamers.replay.recording import NotReplayable, record
from graph_metamers.replay.tape import Tape

__all__ = ["NotReplayable", "Tape", "record"]
