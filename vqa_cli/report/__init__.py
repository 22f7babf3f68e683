"""Run document to one self-contained page."""
