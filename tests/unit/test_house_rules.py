"""The rules of the house that a reader should not have to check by eye."""

import ast
import re
import statistics
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = (
    "locks/runtime.lock",
    "locks/demo.lock",
    "locks/test.lock",
    "locks/node.lock",
    "locks/footage.lock",
    "command_room_ui/package-lock.json",
    "tests/clients/package-lock.json",
    "tests/clients/others/package-lock.json",
)


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", *patterns], cwd=ROOT, capture_output=True, check=True, text=True
    )
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def sources() -> list[Path]:
    return [path for path in tracked("*.py") if path.relative_to(ROOT).parts[0] in ("relay", "sim_cameras")]


def function_lengths() -> dict[str, int]:
    lengths = {}
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lengths[f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"] = (
                    (node.end_lineno or node.lineno) - node.lineno + 1
                )
    return lengths


def test_files_stay_under_500_lines() -> None:
    long = {
        str(path): count
        for path in [*sources(), *tracked("command_room_ui/src/*.ts")]
        if (count := len(path.read_text().splitlines())) > 500
    }
    assert not long


def test_no_text_holds_what_a_merge_left() -> None:
    marks = re.compile(r"^(?:<{7} |>{7} |={7}$)", re.MULTILINE)
    texts = tracked("*.py", "*.md", "*.ts", "*.css", "*.html", "*.toml", "*.sql", "*.lock", "scripts/*")
    assert [path for path in texts if path.suffix != ".png" and marks.search(path.read_text(errors="replace"))] == []


def test_functions_are_short() -> None:
    lengths = function_lengths()
    ordered = sorted(lengths.values())
    assert {name: length for name, length in lengths.items() if length > 60} == {}
    assert statistics.median(ordered) < 10
    assert ordered[int(len(ordered) * 0.9)] < 40


def test_classes_fit_a_head() -> None:
    methods = {
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}": sum(
            isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef) for item in node.body
        )
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
    }
    assert {name: count for name, count in methods.items() if count > 25} == {}


def test_every_module_says_what_it_owns_and_must_never_know() -> None:
    """But for empty packages, and the revisions of the schema: each is one step of history."""
    silent = []
    for path in sources():
        words = (ast.get_docstring(ast.parse(path.read_text())) or "").lower().replace("\n", " ")
        if path.name != "__init__.py" and path.parent.name != "versions" and not ("owns" in words and "must never" in words):
            silent.append(str(path))
    assert silent == []


@pytest.mark.parametrize("name", LOCKS)
def test_locks_name_no_host(name: str) -> None:
    text = (ROOT / name).read_text()
    assert not re.search(r"https?://", text)
    assert '"resolved"' not in text


@pytest.mark.parametrize("name", [name for name in LOCKS if name.startswith("locks/")])
def test_every_locked_package_has_a_hash(name: str) -> None:
    text = (ROOT / name).read_text().replace("\\\n", " ")
    pinned = [line for line in text.splitlines() if "==" in line and not line.lstrip().startswith("#")]
    assert pinned
    assert all("--hash=sha256:" in line for line in pinned)


def test_no_file_names_a_home_or_a_work_folder() -> None:
    pattern = re.compile(r"/(?:home|Users)/[a-z]+/|/" + r"work/(?:main|shared)\b")
    named = [
        str(path)
        for path in tracked()
        if path.suffix in {".py", ".md", ".ts", ".toml", ".json", ""}
        and path != Path(__file__)
        and pattern.search(path.read_text(errors="replace"))
    ]
    assert named == []


def test_nothing_is_left_for_later() -> None:
    pattern = re.compile(r"\b(?:TODO|FIXME|XXX)\b|NotImplementedError|# *stub\b")
    later = [
        f"{path}:{number}"
        for path in sources()
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if pattern.search(line)
    ]
    assert later == []


def test_every_script_explains_itself() -> None:
    scripts = [path for path in tracked("scripts/*") if path.stat().st_mode & 0o100]
    assert scripts
    silent = [path.name for path in scripts if not path.read_text().splitlines()[1].lstrip('#" ')]
    assert silent == []
