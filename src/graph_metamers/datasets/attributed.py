"""Sets in the .npz layout of attributed graphs: CitationFull, Amazon and Coauthor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from graph_metamers.datasets.attributed_files import read_attributed_graph
from graph_metamers.datasets.data_root import resolve_data_root
from graph_metamers.datasets.dataset import Dataset
from graph_metamers.datasets.raw_files import RawFile, ensure_raw_files
from graph_metamers.datasets.splits import split_that_fits

if TYPE_CHECKING:
    import os

__all__ = ["AMAZON_COMPUTERS", "CITESEER_FULL", "COAUTHOR_CS", "CORA_ML", "AttributedSet", "load_attributed"]


@dataclass(frozen=True)
class AttributedSet:
    """What is known beforehand of one of the sets.

    No checksum of the published files is known, so they are not downloaded.

    Attributes
    ----------
    name
        Ours.
    folder
        Of the raw file, below the data root, as PyG's loader has it.
    file
        Name of the raw file.
    loader
        The call that makes PyTorch Geometric download it into `<data root>/<folder>`, with {root} for the
        data root.
    source
        Who made the data.
    """

    name: str
    folder: str
    file: str
    loader: str
    source: str


CORA_ML = AttributedSet(
    name="cora_ml",
    folder="citation_full/cora_ml/raw",
    file="cora_ml.npz",
    loader='CitationFull(root="{root}/citation_full", name="Cora_ML")',
    source="McCallum et al. 2000, graph of Bojchevski and Guennemann 2018 (CitationFull)",
)
CITESEER_FULL = AttributedSet(
    name="citeseer_full",
    folder="citation_full/citeseer/raw",
    file="citeseer.npz",
    loader='CitationFull(root="{root}/citation_full", name="CiteSeer")',
    source="Giles et al. 1998, graph of Bojchevski and Guennemann 2018 (CitationFull)",
)
AMAZON_COMPUTERS = AttributedSet(
    name="amazon_computers",
    folder="amazon/Computers/raw",
    file="amazon_electronics_computers.npz",
    loader='Amazon(root="{root}/amazon", name="Computers")',
    source="McAuley et al. 2015, graph of Shchur et al. 2018",
)
COAUTHOR_CS = AttributedSet(
    name="coauthor_cs",
    folder="coauthor/CS/raw",
    file="ms_academic_cs.npz",
    loader='Coauthor(root="{root}/coauthor", name="CS")',
    source="Microsoft Academic Graph, graph of Shchur et al. 2018",
)


def load_attributed(
    files: AttributedSet, *, seed: int, data_root: str | os.PathLike[str] | None = None
) -> Dataset:
    """Read one of the sets.

    Parameters
    ----------
    files
        `CORA_ML`, `CITESEER_FULL`, `AMAZON_COMPUTERS` or `COAUTHOR_CS`.
    seed
        Decides the split, see `split_that_fits`: the files bring none.
    data_root
        See `resolve_data_root`.

    Returns
    -------
    Dataset
        One graph, equal to that of PyTorch Geometric's loader. Coauthor CS takes 499 MB.

    Raises
    ------
    DatasetError
        If the file is missing.
    FileFormatError
        If the file is damaged or not safe to open.
    """
    root = resolve_data_root(data_root)
    hint = f"PyTorch Geometric downloads it: torch_geometric.datasets.{files.loader.format(root=root)}"
    raw = ensure_raw_files(root, files.folder, [RawFile(files.file)], title=files.name, hint=hint)
    found = read_attributed_graph(raw / files.file)
    numbers = tuple(f"class {number}" for number in range(int(found.graph.y.max()) + 1))
    return Dataset(
        name=files.name,
        graphs=(found.graph,),
        task_level="node",
        feature_kind=found.feature_kind,
        feature_names=found.feature_names,
        image_shape=None,
        class_names=tuple(map(_readable, found.class_names)) if found.class_names else numbers,
        split=split_that_fits(found.graph.y, seed=seed),
        source=files.source,
    )


def _readable(class_name: str) -> str:
    """Shorten "Artificial_Intelligence/Machine_Learning/Rule_Learning" to "Rule Learning"."""
    return class_name.rsplit("/", maxsplit=1)[-1].replace("_", " ")
