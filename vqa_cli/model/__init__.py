"""The no-reference scorer; knows no subprocess."""
