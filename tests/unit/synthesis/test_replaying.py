"""A tape is used where it agrees with the model, and never instead of it where it does not."""

from __future__ import annotations

import torch

from graph_metamers.replay import Tape
from graph_metamers.synthesis.replaying import verified_tape

START, OTHER = torch.tensor([1.0, 2.0]), torch.tensor([-1.0, 0.5])


def test_what_agrees_is_a_tape():
    tape = verified_tape(lambda x: [x.sin(), 2 * x], START, OTHER)
    assert isinstance(tape, Tape)
    torch.testing.assert_close(tape(OTHER)[1], 2 * OTHER)


def test_what_leaves_torch_on_the_way_is_noticed():
    def through_numpy(x):
        return [x + torch.from_numpy(x.detach().numpy().copy())]

    assert verified_tape(through_numpy, START, OTHER) == "something outside of torch takes part"


def test_what_cannot_be_recorded_is_said_and_not_raised():
    calls = []

    def once_only(x):
        calls.append(x)
        if len(calls) > 1:
            raise ValueError("only once")
        return [x + 1]

    assert verified_tape(once_only, START, OTHER) == "it cannot be recorded: only once"
