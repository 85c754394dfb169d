"""The audit of a data set: copies, leaks across splits, pictures that are none, doubtful labels."""

from ferlab.audit.audit import REASONS, Audit, Suspicion, audit
from ferlab.audit.audit_report import write_audit
from ferlab.audit.exclude_list import images_to_exclude, write_exclude

__all__ = ["REASONS", "Audit", "Suspicion", "audit", "images_to_exclude", "write_audit", "write_exclude"]
