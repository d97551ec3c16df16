"""Show a panel of observers what the searches of an audit find."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import torch

from graph_metamers.errors import ParameterError
from graph_metamers.evidence.panel import train_panel
from graph_metamers.evidence.panel_members import KIND_TEXTS, Panel, PanelMember
from graph_metamers.evidence.panel_report import PanelReport, Sight
from graph_metamers.parameters import check_choice
from graph_metamers.randomness import generator_for

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from torch import Tensor, nn

    from graph_metamers.datasets import Dataset
    from graph_metamers.evidence.panel import OnObserver
    from graph_metamers.inputs.asking import Varying
    from graph_metamers.training import FitResult
    from graph_metamers.types import Forward, Graph, Transform

Observers: TypeAlias = "Literal['none', 'panel'] | Panel | Iterable[PanelMember]"


@dataclass(frozen=True, eq=False)
class Watch:
    """A panel that has seen the reference and the unrelated graphs, and waits for what is found.

    Attributes
    ----------
    members
        The audited model itself, then the panel; empty where nobody watches.
    reference, chance
        Name -> classes on the reference, int64 [n], and on unrelated graphs, int64 [starts, n].
    """

    members: tuple[PanelMember, ...]
    reference: Mapping[str, Tensor]
    chance: Mapping[str, Tensor]

    @classmethod
    def of(
        cls,
        panel: Panel,
        predict: Callable[[Graph], Tensor],
        variables: Varying,
        *,
        seeds: Sequence[int],
    ) -> Watch:
        """Show a panel the reference, and the shuffles that every other chance level of the audit is of.

        Parameters
        ----------
        panel
            The observers.
        predict
            The audited model: from a graph to the class of every node.
        variables
            What varies.
        seeds
            Of the starts.

        Raises
        ------
        ParameterError
            If an observer is called as the model itself, or answers with anything but a class a node.
        """
        if not panel.members:
            return cls((), {}, {})
        members = Panel((PanelMember(KIND_TEXTS["itself"], "itself", predict), *panel.members)).members
        shuffled = [variables.shuffled(generator_for("shuffle", seed)) for seed in seeds]
        return cls(
            members,
            {member.name: member.classes(variables.reference) for member in members},
            _seen(members, shuffled),
        )

    def look(self, graphs: Sequence[Graph]) -> dict[str, Tensor]:
        """What every observer takes the nodes of some graphs for, int64 [graphs, n] each."""
        return _seen(self.members, graphs)

    def report(
        self, found: Mapping[str, Mapping[str, Tensor]], labels: Tensor, judged: Tensor
    ) -> PanelReport | None:
        """Put together what was seen; `None` where nobody watches.

        Parameters
        ----------
        found
            Layer -> what `look` returned.
        labels, judged
            As in `PanelReport`.
        """
        if not self.members:
            return None
        sights = [
            Sight(
                member.name,
                member.kind,
                member.facts,
                self.reference[member.name],
                self.chance[member.name],
                {layer: seen[member.name] for layer, seen in found.items()},
            )
            for member in self.members
        ]
        return PanelReport(tuple(sights), labels.cpu(), judged.cpu(), tuple(found))


def panel_of(
    observers: Observers,
    dataset: Dataset,
    model: nn.Module | FitResult[nn.Module],
    *,
    seed: int,
    forward: Forward | None,
    transform: Transform | None,
    cache: str | os.PathLike[str] | None,
    on_observer: OnObserver | None,
) -> Panel:
    """The panel that was asked for; empty for `"none"`.

    Raises
    ------
    ParameterError
        If it is no panel.
    """
    if isinstance(observers, Panel):
        return observers
    if not isinstance(observers, str):
        if not isinstance(observers, Iterable):
            raise ParameterError("observers", "'panel', 'none', a Panel, or PanelMembers", observers)
        return Panel.of(observers)
    if check_choice("observers", observers, ("panel", "none")) == "none":
        return Panel(())
    return train_panel(
        dataset,
        model,
        seed=seed,
        forward=forward,
        transform=transform,
        cache=cache,
        on_observer=on_observer,
    )


def _seen(members: Sequence[PanelMember], graphs: Sequence[Graph]) -> dict[str, Tensor]:
    return {member.name: torch.stack([member.classes(graph) for graph in graphs]) for member in members}
