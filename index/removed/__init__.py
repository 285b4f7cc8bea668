"""What was deleted, rejected or replaced: kept apart, restored, or removed for good."""
