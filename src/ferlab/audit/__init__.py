"""The audit of a data set: copies, leaks across splits, pictures that are none, doubtful labels."""

from ferlab.audit.auditing import REASONS, Audit, Suspicion, audit
from ferlab.audit.excluding import images_to_leave_out, write_exclude
from ferlab.audit.writing import write_audit

__all__ = ["REASONS", "Audit", "Suspicion", "audit", "images_to_leave_out", "write_audit", "write_exclude"]
