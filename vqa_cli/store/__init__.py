"""What is known already, by content: rungs, and what a model saw."""
