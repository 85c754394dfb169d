"""Documentation: Python examples compile, command lines exist, images exist, and the navigation lists every page.

The site build checks links and anchors.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import typer

from ferlab.cli import app
from ferlab.recipes import get_recipe, recipe_groups

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [
    *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "SECURITY")),
    *sorted(DOCS.rglob("*.md")),
]
BLOCK = re.compile(r"^ *```(\w*)[^\n]*\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
MENTION = re.compile(r"`(ferlab [^`\n]+)`")
IMAGE = re.compile(r"!\[[^\]]*\]\(([^)\s]+)\)|<img src=\"([^\"]+)\"")


def blocks(page: Path, language: str) -> list[str]:
    found = BLOCK.findall(page.read_text(encoding="utf-8"))
    return [dedent(text) for marked, text in found if marked == language]


def command_lines(page: Path) -> Iterator[list[str]]:
    """Yield the `ferlab` command lines of a page's shell blocks, as words, without comments."""
    for block in blocks(page, "bash"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == ["ferlab"]:
                yield words[1:]


def find_command(words: list[str]) -> tuple[Any, list[str]]:
    """Find the command that the first words name. Returns it with the remaining words."""
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        assert words[0] in command.commands, f"no command '{words[0]}'"
        command, words = command.commands[words[0]], words[1:]
    return command, words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_examples_use_existing_commands_and_options(page: Path) -> None:
    for source in blocks(page, "python"):
        compile(source, str(page), "exec")
    known = [name for names in recipe_groups().values() for name in names]
    for words in command_lines(page):
        command, rest = find_command(words)
        values = command.make_context("ferlab", rest).params  # an unknown option or a missing argument raises
        if values.get("recipe") in known:
            get_recipe(values["recipe"]).changed(dict(text.split("=", 1) for text in values["set_"] or ()))
    for mention in MENTION.findall(page.read_text(encoding="utf-8")):
        command, rest = find_command(shlex.split(mention)[1:])
        options = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
        assert {word for word in rest if word.startswith("-")} <= {*options, "-h", "--help"}, mention


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_images_exist(page: Path) -> None:
    targets = [first or second for first, second in IMAGE.findall(page.read_text(encoding="utf-8"))]
    assert [target for target in targets if ":" not in target and not (page.parent / target).is_file()] == []


def test_navigation_lists_every_page() -> None:
    (navigation,) = re.findall(r"^nav:\n(?:[ #].*\n)+", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    listed = set(re.findall(r"\S+\.md", navigation))
    assert listed == {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")}


def test_wrong_command_lines_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```bash\nmake  # no\nferlab data info demo --sheets x.png  # a comment\n```\n")
    (words,) = command_lines(page)
    command, rest = find_command(words)
    with pytest.raises(Exception, match="No such option"):
        command.make_context("ferlab", rest)
    with pytest.raises(AssertionError, match="no command 'infos'"):
        find_command(["data", "infos"])
