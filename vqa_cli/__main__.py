"""``python -m vqa_cli``."""

from vqa_cli.cli import program

if __name__ == "__main__":
    program()
