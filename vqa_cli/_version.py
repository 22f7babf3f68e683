"""The one place where the version is written; kept free of imports so that builds can read it."""

__version__ = "0.2.0"

# Raised whenever code changes what is measured: decoding, scaling, metrics, the models' arithmetic. What was remembered,
# extracted or kept as a baseline under another number is not used.
MEASUREMENT = 4
