"""Reports on finished work. They read run folders and comparisons, never a model."""

from ferlab.report.writing import write_report

__all__ = ["write_report"]
