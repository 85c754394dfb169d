"""Reports on finished work. They read run folders and results, never a model."""

from ferlab.report.evaluation_report import robustness_picture, write_evaluation, write_robustness
from ferlab.report.report import write_report

__all__ = ["robustness_picture", "write_evaluation", "write_report", "write_robustness"]
