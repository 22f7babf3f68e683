"""The page as a file: markup, escaping, content policy, and what `vqa report` writes."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner
from report_runs import make_run

from vqa_cli.cli.report import command
from vqa_cli.document import Run
from vqa_cli.errors import StorageError, UsageError, VqaError
from vqa_cli.ladder.output import write_outcome
from vqa_cli.ladder.pipeline import LadderOutcome
from vqa_cli.report.html import environment, load_page, render, script_json, write_file, write_report
from vqa_cli.report.picture import picture

VOID = {"meta", "input", "br", "link", "img", "hr", "line", "path", "rect", "circle"}
NASTY = [
    "</script><script>alert(1)</script>.mp4",
    '"><img src=x onerror=alert(1)>.mp4',
    "{{ 7 * 7 }} ${x} <!-- \u2028 \u202etxt.mp4",
    "' onmouseover='alert(1).mp4",
    "tom & jerry's &lt;b&gt;.mp4",
]


class Reader(HTMLParser):
    """Collects elements and text, and checks that what opens closes."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append((dict(attrs), ""))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open, f"</{tag}> closes nothing"
            assert self.open.pop() == tag, f"</{tag}> at {self.getpos()}"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            attrs, text = self.scripts[-1]
            self.scripts[-1] = (attrs, text + data)
        elif self.open and self.open[-1] != "style":
            self.texts.append(data)


def test_a_page_that_was_loaded_ahead_has_nothing_left_to_compile() -> None:
    environment.cache_clear()
    load_page()
    cache = environment().cache
    assert cache is not None
    loaded = set(cache.keys())
    run, frames = make_run()
    render([run], [frames])
    assert loaded and set(cache.keys()) == loaded


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


@pytest.fixture(scope="module")
def page() -> str:
    run, frames = make_run(frames=90)
    return render([run], [frames])


def by_tag(reader: Reader, tag: str) -> list[dict[str, str | None]]:
    return [attrs for name, attrs in reader.elements if name == tag]


def data_of(reader: Reader) -> dict[str, Any]:
    """What the script of the first source is given."""
    found: dict[str, Any] = json.loads(next(text for attrs, text in reader.scripts if attrs.get("id") == "t0-data"))
    return found


def test_structure_that_assistive_tools_rely_on(page: str) -> None:
    reader = read(page)
    for landmark in ("main", "header", "footer", "nav", "h1"):
        assert len(by_tag(reader, landmark)) == 1, landmark
    assert by_tag(reader, "html")[0]["lang"] == "en"
    ids = [attrs["id"] for _, attrs in reader.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    for _, attrs in reader.elements:
        for key in ("aria-labelledby", "aria-controls"):
            assert attrs.get(key) is None or attrs[key] in ids
        link = attrs.get("href") or ""
        assert not link.startswith("#") or link[1:] in ids


def test_every_field_has_a_name(page: str) -> None:
    inside = re.findall(r"<label\b.*?</label>", page, re.DOTALL)
    fields = sum(len(re.findall(r"<(?:select|input)\b", label)) for label in inside)
    assert fields == len(by_tag(read(page), "select")) + len(by_tag(read(page), "input"))


def test_nothing_comes_from_elsewhere(page: str) -> None:
    reader = read(page)
    assert by_tag(reader, "link") == []
    for _, attrs in reader.elements:
        for key in ("src", "href", "xlink:href"):
            assert (attrs.get(key) or "#").startswith("#")


def test_the_content_policy_names_exactly_the_scripts_of_the_page(page: str) -> None:
    reader = read(page)
    policy = next(
        a["content"] or "" for a in by_tag(reader, "meta") if a.get("http-equiv") == "Content-Security-Policy"
    )
    code = [text for attrs, text in reader.scripts if attrs.get("type") != "application/json"]
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in code]
    assert re.findall(r"'sha256-([^']+)'", policy) == hashes
    assert "default-src 'none'" in policy
    assert "unsafe-eval" not in policy
    assert not any(key.startswith("on") for _, attrs in reader.elements for key in attrs)


@pytest.mark.parametrize("name", NASTY)
def test_file_names_stay_text(name: str) -> None:
    run, frames = make_run([name], frames=30, heights=[720])
    reader = read(render([run], [frames]))
    assert len(reader.scripts) == 2
    assert by_tag(reader, "img") == []
    assert any(name in text for text in reader.texts)
    assert data_of(reader)["name"] == name


def test_reasons_and_warnings_are_escaped_too() -> None:
    run, _ = make_run(heights=[720], frames=30)
    bad = (
        run.sources[0]
        .rungs[0]
        .model_copy(update={"status": "failed", "reason": "<script>x</script>", "warnings": ("<img src=y>",)})
    )
    source = run.sources[0].model_copy(
        update={"rungs": (bad, *run.sources[0].rungs[1:]), "warnings": ("<svg onload=z>",)}
    )
    reader = read(render([run.model_copy(update={"sources": (source,)})]))
    assert len(reader.scripts) == 2
    assert by_tag(reader, "img") == []
    assert not any("onload" in attrs for _, attrs in reader.elements)


def test_json_cannot_end_its_element() -> None:
    text = str(script_json({"</script>": "<!-- & -->"}))
    assert not set("<>&") & set(text)
    assert json.loads(text) == {"</script>": "<!-- & -->"}


def test_the_same_document_gives_the_same_page(page: str) -> None:
    run, frames = make_run(frames=90)
    assert render([run], [frames]) == page


def test_every_command_line_is_in_the_page(page: str) -> None:
    reader = read(page)
    text = "".join(reader.texts)
    run, _ = make_run(frames=90)
    rows = data_of(reader)["more"].values()
    for rung, row in zip(run.sources[0].rungs, rows, strict=True):
        encode, measure = (command for _, command in row["commands"])
        assert encode.endswith(f"-crf {rung.rate.crf:g} {rung.id}.mp4")
        assert measure.endswith(f"file:{rung.id}.mp4 -f rawvideo pipe:1")
    assert "vqa ladder clip.mp4 --preset mobile" in text
    for figure in ("cd" * 32, "ef" * 32, "x264 - core 165", "7.0.2"):
        assert figure in text


def changed(run: Run, **changes: Any) -> Run:
    return run.model_copy(update={"sources": (run.sources[0].model_copy(update=changes),)})


def test_pages_of_incomplete_runs_are_whole() -> None:
    run, _ = make_run(heights=[720], frames=30)
    lost = tuple(
        r.model_copy(update={"status": "failed", "encode": None, "score": None, "fidelity": {}})
        for r in run.sources[0].rungs
    )
    for document in (
        changed(run, status="failed", reason="no video stream", rungs=(), score=None),
        changed(run, rungs=lost, score=None),
        run.model_copy(update={"sources": ()}),
        make_run(model=False, metrics=["vmaf"], heights=[720], crfs=[23], codecs=["libx264"])[0],
        make_run(metrics=[], heights=[720])[0],
    ):
        reader = read(render([document]))
        assert len(by_tag(reader, "h1")) == 1
        ids = {attrs.get("id") for _, attrs in reader.elements}
        assert {(a["href"] or "")[1:] for a in by_tag(reader, "a")} <= ids


def test_several_runs_and_sources_in_one_page() -> None:
    one, frames = make_run(["a.mp4", "b.mp4"], frames=30, heights=[720])
    two, _ = make_run(["a.mp4"], frames=30, heights=[720], rate_factor=0.9)
    reader = read(render([one, two], [frames, None], labels_of_runs=["old/run.json", "<new>/run.json"]))
    assert len(by_tag(reader, "article")) == 2
    assert len(by_tag(reader, "h1")) == 1
    assert any("<new>/run.json" in text for text in reader.texts)


def test_a_page_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "report.html"
    folder.mkdir()
    with pytest.raises(StorageError, match="cannot write report"):
        write_file(folder, b"x")
    assert os.listdir(tmp_path) == ["report.html"]
    run, _ = make_run(heights=[720], crfs=[23], frames=30)
    write_report([run], tmp_path / "new" / "page.html")
    assert os.listdir(tmp_path / "new") == ["page.html"]


def test_names_that_are_not_utf8_do_not_break_the_page(tmp_path: Path) -> None:
    run, _ = make_run([b"bad\xff.mp4".decode("utf-8", "surrogateescape")], heights=[720], crfs=[23], frames=30)
    write_report([run], tmp_path / "page.html")
    assert "bad\\udcff.mp4" in (tmp_path / "page.html").read_text(encoding="utf-8")


@pytest.fixture
def document(tmp_path: Path) -> Path:
    run, frames = make_run(frames=60)
    return write_outcome(LadderOutcome(run, frames), tmp_path)


def report(*args: str | Path) -> str:
    """Run the command; gives what it printed, lets its errors through."""
    return CliRunner().invoke(command, [str(arg) for arg in args], catch_exceptions=False, standalone_mode=False).output


def test_command_writes_the_page_beside_the_document(document: Path) -> None:
    assert report(document.parent).strip() == str(document.with_name("report.html"))
    reader = read(document.with_name("report.html").read_text(encoding="utf-8"))
    trace = next(iter(data_of(reader)["traces"].values()))["vmaf"]
    assert len(trace["y"]) == 60
    assert "coarse" not in trace


def test_a_page_loads_nothing_heavy(document: Path) -> None:
    code = (
        f"import sys; sys.argv = ['vqa', 'report', {str(document)!r}]\nfrom vqa_cli.cli import main\ntry: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "print(sorted({'torch', 'pandas', 'scipy', 'matplotlib', 'altair', 'vl_convert', 'av', 'bjontegaard'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize(("name", "start"), [("chart.png", b"\x89PNG"), ("chart.svg", b"<svg")])
def test_command_draws_pictures(document: Path, tmp_path: Path, name: str, start: bytes) -> None:
    report(document, "-o", tmp_path / name, "--theme", "dark", "--metric", "psnr")
    assert (tmp_path / name).read_bytes().startswith(start)


def test_picture_holds_one_point_per_rung_and_chart() -> None:
    run, _ = make_run(["a.mp4", "b & c.mp4"], frames=30)
    root = ElementTree.fromstring(picture([run]))
    texts = ["".join(element.itertext()) for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"a.mp4", "b & c.mp4", "libx264 medium", "libx265 medium", "VMAF, 0–100"} <= set(texts)
    points = [e for e in root.iter("{http://www.w3.org/2000/svg}path") if e.get("class") == "pt"]
    assert len(points) == 2 * 2 * 24
    assert "var(" not in picture([run], theme="dark")


@pytest.mark.parametrize(
    ("args", "error", "says"),
    [
        (["--metric", "xpsnr"], UsageError, "no run measured xpsnr"),
        (["-o", "run.json"], UsageError, "would replace the run document"),
        (["-o", "chart.png", "--metric", "nonsense"], UsageError, "no run measured nonsense"),
    ],
)
def test_command_refuses(
    document: Path, monkeypatch: pytest.MonkeyPatch, args: list[str], error: type[VqaError], says: str
) -> None:
    monkeypatch.chdir(document.parent)
    with pytest.raises(error, match=says):
        report("run.json", *args)
