"""The report: one self-contained page about one or more audits, for people who were not there."""

from graph_metamers.report.sections import expected_sections
from graph_metamers.report.study_writing import write_study_report
from graph_metamers.report.writing import write_report

__all__ = ["expected_sections", "write_report", "write_study_report"]
