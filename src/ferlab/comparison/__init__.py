"""Compare models: train recipes over seeds, rank them, test their differences."""
