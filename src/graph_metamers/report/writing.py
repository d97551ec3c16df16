"""write_report(): the page itself, written whole or not at all."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from graph_metamers import __version__
from graph_metamers.auditing import Audit
from graph_metamers.errors import ParameterError
from graph_metamers.report.labels import title
from graph_metamers.report.plots import script_json
from graph_metamers.report.sections import build_sections
from graph_metamers.report.theme import css_variables, recolouring
from graph_metamers.report.varied import lead
from graph_metamers.storage import atomic_file, ensure_writable

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence


def write_report(audits: Sequence[Audit], path: str | os.PathLike[str], *, files: Sequence[str] = ()) -> Path:
    """Write one self-contained page about one or more audits.

    The page needs no network and forbids itself every connection. The same audits give the same page.

    Parameters
    ----------
    audits
        What to report on, in the order in which it is shown.
    path
        Where the page shall be: a name that ends in `.html`. An existing file is replaced.
    files
        What was saved beside the page and shall be linked to: names relative to its folder, with `/`.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    ParameterError
        If there is no audit, or a name is not as described.
    OutputError
        If the page cannot be written there; found out before anything is computed.

    Notes
    -----
    About 5 MB, most of it plotly's script, whatever the size of the graphs. Takes about a second.
    """
    _require_audits(audits)
    target = Path(path)
    if target.suffix.lower() not in (".html", ".htm"):
        raise ParameterError("path", "a file name that ends in .html", str(path))
    links = tuple(_relative(name) for name in files)
    ensure_writable(target)
    with atomic_file(target) as temporary:
        temporary.write_text(render(audits, files=links), encoding="utf-8")
    return target


def render(audits: Sequence[Audit], *, files: Sequence[str] = ()) -> str:
    """The page as one string."""
    environment = _environment()
    own = environment.get_template("report.js").render(recolouring=script_json(json.dumps(recolouring())))
    scripts = (get_plotlyjs(), own)
    return environment.get_template("report.html.j2").render(
        title=title(audits),
        lead=lead(audits),
        sections=build_sections(audits),
        files=tuple(files),
        version=__version__,
        policy=content_security_policy(scripts),
        style=Markup(environment.get_template("report.css").render(css_variables=css_variables)),  # noqa: S704
        scripts=[Markup(script) for script in scripts],  # noqa: S704 (plotly's script and ours, no data)
    )


def content_security_policy(scripts: Sequence[str]) -> str:
    """The policy of the page: no connection at all, and no script but these, known by their hashes.

    `data:` images are the feature pictures. Inline styles have to be allowed, because plotly sets them.
    """
    hashes = " ".join(f"'sha256-{_sha256(script)}'" for script in scripts)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _require_audits(audits: Sequence[Audit]) -> None:

    if isinstance(audits, Audit) or not all(isinstance(audit, Audit) for audit in audits):
        raise ParameterError(
            "audits", "a list of audits, as [gm.audit(model, dataset)]", type(audits).__name__
        )
    if not audits:
        raise ParameterError("audits", "at least one audit", list(audits))


def _relative(name: str) -> str:
    place = PurePosixPath(name)
    if place.is_absolute() or ".." in place.parts or ":" in name or "\\" in name or not place.parts:
        raise ParameterError("files", "names relative to the folder of the page, without '..' or ':'", name)
    return str(place)


def _environment() -> Environment:

    return Environment(
        loader=PackageLoader("graph_metamers.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _sha256(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
