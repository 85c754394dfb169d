"""Audit a dataset: copies, leaks across splits, non-face images, doubtful labels."""

from ferlab.audit.audit import REASONS, Audit, Suspicion, audit
from ferlab.audit.audit_report import write_audit
from ferlab.audit.exclude_list import images_to_exclude, write_exclude
from ferlab.audit.summary import AuditSummary

__all__ = [
    "REASONS",
    "Audit",
    "AuditSummary",
    "Suspicion",
    "audit",
    "images_to_exclude",
    "write_audit",
    "write_exclude",
]
