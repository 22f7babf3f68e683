"""The one place where the version is written; kept free of imports so that builds can read it."""

__version__ = "0.1.0"
