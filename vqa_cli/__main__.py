"""``python -m vqa_cli``."""

from vqa_cli.cli import main

if __name__ == "__main__":
    main()
