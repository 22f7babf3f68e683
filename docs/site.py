"""What the site has beside the pages of this folder: generated reference pages, and the project's files at its top level."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PROJECT = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md", "SECURITY.md": "security.md"}
# A link in Markdown, not to another site.
LINK = re.compile(r"\[([^\]]+)\]\((?!https?:)([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that do not lie in the folder."""
    program = os.environ.get("VQA_PYTHON", "python3")
    for name in ("commands", "presets"):
        made = subprocess.run(
            [program, "-m", "vqa_cli.cli.reference", name], capture_output=True, text=True, check=True
        )
        files.append(File.generated(config, f"{name}.md", content=made.stdout))
    for name, page in PROJECT.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=LINK.sub(_from_top, text)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links out of the folder lead to pages of the site, or are text where the site has none."""
    return LINK.sub(_from_docs, markdown)


def _from_top(link: re.Match[str]) -> str:
    text, target, anchor = link[1], link[2], link[3] or ""
    if target in PROJECT:
        return f"[{text}]({PROJECT[target]}{anchor})"
    return f"[{text}]({target.removeprefix('docs/')}{anchor})" if target.startswith("docs/") else text


def _from_docs(link: re.Match[str]) -> str:
    text, target = link[1], link[2]
    if not target.startswith("../"):
        return link[0]
    return f"[{text}]({PROJECT[target[3:]]})" if target[3:] in PROJECT else text
