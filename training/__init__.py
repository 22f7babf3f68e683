"""What made the models that ship, and what judges them; run from a checkout, not part of the package."""
