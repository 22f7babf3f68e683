"""The functions of :mod:`vqa_cli` that put others together, as commands do; ``docs/python.md`` shows them."""
