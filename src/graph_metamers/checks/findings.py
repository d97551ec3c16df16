"""What `check` finds, one finding a defect."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Literal

from graph_metamers.errors import CheckError

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Finding:
    """One thing about a model or a graph that a user should know before trusting a metamer.

    Attributes
    ----------
    code
        Short stable name, `cached-convolution`.
    severity
        `error`: numbers would be meaningless; `warning`: they mean something else than one would think.
    expected, got, mend
        What should be, what is, and how to mend it.
    """

    code: str
    severity: Severity
    expected: str
    got: str
    mend: str

    def __str__(self) -> str:
        return f"{self.severity} [{self.code}]: {self.expected}, got {self.got}. {self.mend}"


@dataclass(frozen=True)
class CheckReport:
    """Everything that `check` found.

    Attributes
    ----------
    findings
        Errors first; empty when model and graph are fit for metamers.
    """

    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Findings that make every number meaningless."""
        return tuple(finding for finding in self.findings if finding.severity == "error")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """Findings that change what the numbers mean."""
        return tuple(finding for finding in self.findings if finding.severity == "warning")

    @property
    def ok(self) -> bool:
        """Whether there is no error."""
        return not self.errors

    def raise_for_errors(self) -> None:
        """Raise a `CheckError` that lists the errors, if there are any."""
        if self.errors:
            raise CheckError("; ".join(str(finding) for finding in self.errors))

    def __repr__(self) -> str:
        head = f"CheckReport({len(self.errors)} errors, {len(self.warnings)} warnings)"
        return "\n  ".join([head, *map(str, self.findings)])

    def _repr_html_(self) -> str:
        rows = "".join(f"<li>{escape(str(finding))}</li>" for finding in self.findings)
        return f"<p>{len(self.errors)} errors, {len(self.warnings)} warnings</p><ul>{rows}</ul>"
