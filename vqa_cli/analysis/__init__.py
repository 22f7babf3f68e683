"""Pure functions over the run document."""
