"""Ray: comparisons, sweeps and predictions on several cores or machines. Needs the extra `ray`."""
