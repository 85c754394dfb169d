"""Reports on finished work. They read run folders and results, and never load a model."""

from ferlab.report.evaluation_report import render_robustness, write_evaluation, write_robustness
from ferlab.report.leaderboard import render_leaderboard, write_leaderboard
from ferlab.report.report import write_report
from ferlab.report.sweep_report import write_sweep

__all__ = [
    "render_leaderboard",
    "render_robustness",
    "write_evaluation",
    "write_leaderboard",
    "write_report",
    "write_robustness",
    "write_sweep",
]
