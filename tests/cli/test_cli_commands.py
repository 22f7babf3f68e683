"""What all commands share: help in sections, groups that explain themselves, hints that can be followed, errors as JSON."""

from __future__ import annotations

import ast
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from conftest import Vqa, make_clip
from documents import ladder as rungs_of
from documents import make_run

import vqa_cli
from vqa_cli.cli import COMMANDS, cli
from vqa_cli.cli.command import Command, flags_in, flags_of, possible
from vqa_cli.cli.gate import command as gate
from vqa_cli.cli.ladder import command as ladder

CONTEXT = click.Context(cli, info_name="vqa")


def commands(group: click.Group = cli, path: str = "vqa") -> Iterator[tuple[str, click.Command]]:
    """Every command below ``vqa``, by its full name."""
    yield path, group
    for name in group.list_commands(CONTEXT):
        found = group.get_command(CONTEXT, name)
        assert found is not None
        if isinstance(found, click.Group):
            yield from commands(found, f"{path} {name}")
        else:
            yield f"{path} {name}", found


ALL = dict(commands())


def hints() -> Iterator[str]:
    """Every hint that is written down in the package; what is filled in later is an asterisk."""
    for path in Path(vqa_cli.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            found = [keyword.value for keyword in getattr(node, "keywords", ()) if keyword.arg == "hint"]
            for value in found:
                for text in (n for n in ast.walk(value) if isinstance(n, ast.JoinedStr | ast.Constant)):
                    parts = text.values if isinstance(text, ast.JoinedStr) else [text]
                    yield "".join(
                        p.value if isinstance(p, ast.Constant) and isinstance(p.value, str) else "*" for p in parts
                    )


def test_every_command_is_of_the_one_kind() -> None:
    assert all(isinstance(command, (Command, click.Group)) for command in ALL.values())
    assert {name.split()[1] for name in ALL if " " in name} == set(COMMANDS)


def test_every_option_says_what_it_is_for() -> None:
    options = [(name, p) for name, command in ALL.items() for p in command.params if isinstance(p, click.Option)]
    assert [(name, option.opts[0]) for name, option in options if not option.hidden and not option.help] == []


def test_every_hint_names_options_that_some_command_has() -> None:
    flags = frozenset({"--help"}).union(*map(flags_of, ALL.values()))
    written = list(hints())
    assert len(written) > 80
    for hint in written:
        assert set(flags_in(hint)) <= flags, hint
        for line in re.findall(r"`(vqa [^`]*)`", hint):
            words = [word for word in shlex.split(line) if word != "*"]
            name = max((known for known in ALL if line == known or line.startswith(f"{known} ")), key=len)
            assert name != "vqa", line
            assert {word for word in words if word.startswith("-")} <= flags_of(ALL[name]), line


def test_a_hint_keeps_what_the_command_can_do() -> None:
    hint = 'free some; -o writes elsewhere; `vqa ladder --crf 3` or "--aq-mode" are others\' affair'
    assert possible(hint, ("-o",)) == hint
    assert possible(hint, ()) == 'free some; `vqa ladder --crf 3` or "--aq-mode" are others\' affair'
    assert possible("--tonemap helps", ()) is None and possible(None, ("-o",)) is None
    assert (
        possible("--tonemap helps", (), through="--flags", passed=lambda: ("--tonemap",))
        == "in --flags: --tonemap helps"
    )
    assert gate.possible("--skip-missing drops the others; --crf 20 is another") == "in --flags: --crf 20 is another"
    assert gate.possible("leave --ffmpeg out") == "leave --ffmpeg out"


@pytest.mark.ffmpeg
def test_a_hint_is_for_the_command_at_hand(vqa: Vqa, media: Path, tmp_path: Path) -> None:
    fields = make_clip(media / "fields.mp4", args=("-vf", "interlace", "-flags", "+ildct+ilme", "-c:v", "mpeg2video"))
    out, flags = ("-o", tmp_path / "o"), "--codec x264 --crf 30 --height 180 --display 180"
    said = {
        "ladder": vqa("ladder", fields, *flags.split(), *out), "score": vqa("score", fields),
        "search": vqa("search", fields, "--target", "90"), "gate": vqa("gate", fields, "--preset", "mobile", "--flags", flags),
    }  # fmt: skip
    for name, done in said.items():
        assert done.returncode == 3, (name, done.stderr)
        hint = (
            "in --flags: --deinterlace turns it into frames first"
            if name == "gate"
            else "--deinterlace turns it into frames first"
        )
        assert done.stderr.splitlines()[-1] == f"hint: {hint}", name
    address = "http://a/b.mp4"
    for args in (("score", address), ("gate", address, "--preset", "mobile")):
        assert vqa(*args).stderr.splitlines()[-1] == "hint: fetch it first; --allow-protocols does that"


@pytest.mark.parametrize("name", [name for name, command in ALL.items() if isinstance(command, click.Group)])
def test_a_group_alone_prints_its_help(vqa: Vqa, name: str) -> None:
    done = vqa(*name.split()[1:])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == vqa(*name.split()[1:], "--help").stdout
    assert done.stdout.startswith(f"Usage: {name} [OPTIONS] COMMAND [ARGS]...")


def sections(text: str) -> dict[str, list[str]]:
    """Options of a help text by section."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line and not line.startswith(" ") and line.endswith(":"):
            found[line[:-1]] = []
        elif match := re.match(r"  (?:-\w, )?(--[\w-]+)", line):
            found[list(found)[-1]].append(match[1])
    return found


def test_the_ladders_help_is_in_sections_that_end_with_research() -> None:
    found = sections(ladder.get_help(click.Context(ladder, info_name="vqa ladder")))
    assert list(found) == ["Source", "Ladder", "Measuring", "Model", "Running", "Output", "For research"]
    assert found["For research"] == ["--backbone-weights", "--head-weights", "--tau", "--beta", "--pooling", "--matrix"]
    assert found["Output"][-1] == "--help" and "--crf" in found["Ladder"] and "--cache-dir" in found["Running"]


@pytest.mark.parametrize("name", ["score", "search", "gate"])
def test_long_help_leaves_no_option_outside_its_sections(name: str) -> None:
    found = sections(ALL[f"vqa {name}"].get_help(click.Context(ALL[f"vqa {name}"], info_name=f"vqa {name}")))
    assert "Options" not in found and len(found) > 3


ERRORS = [
    (("gate", "a.json", "--format", "json"), 2, {"error": "give two run documents, or sources with --preset"}),
    (("gate", "a.json", "no.json", "--format=json"), 6, {"error": "cannot read run document: no.json", "detail": "No such file or directory"}),
    (("score", "no.mp4", "--format", "ndjson"), 3, {"error": "no such file: no.mp4"}),
    (("score", "--format", "json"), 2, {"error": "Missing argument 'FILE...'.", "hint": "see vqa score --help"}),
    (("search", "no.mp4", "--format", "json"), 2, {"error": "Missing option '--target'.", "hint": "see vqa search --help"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("args", "code", "said"), ERRORS, ids=lambda value: " ".join(value)[:40] if isinstance(value, tuple) else ""
)
def test_errors_are_json_too_where_json_was_asked_for(
    vqa: Vqa, tmp_path: Path, args: tuple[str, ...], code: int, said: dict[str, str]
) -> None:
    (tmp_path / "a.json").write_text(make_run(rungs_of()).model_dump_json())
    done = vqa(*args, cwd=tmp_path)
    assert done.returncode == code
    assert json.loads(done.stdout) == said | {"exit_code": code}
    assert done.stderr.splitlines()[0] == f"error: {said['error']}"
    plain = [arg for arg in args if "json" not in arg or arg.endswith(".json")]
    assert vqa(*(arg for arg in plain if not arg.startswith("--format")), cwd=tmp_path).stdout == ""


def test_the_environment_can_ask_for_json_too(vqa: Vqa) -> None:
    done = vqa("score", "no.mp4", env={"VQA_SCORE_OUTPUT_FORMAT": "json"})
    assert json.loads(done.stdout) == {"error": "no such file: no.mp4", "exit_code": 3}


def test_another_programs_format_is_not_ours(vqa: Vqa) -> None:
    done = vqa("bisect", "--no-such-option", "--", "build", "{out}", "--format", "json")
    assert (done.returncode, done.stdout) == (2, "")
