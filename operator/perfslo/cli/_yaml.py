"""YAML documents with the line of every field."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

Path = tuple[str | int, ...]


class ManifestError(Exception):
    """A text that is not YAML, or not the YAML that kubectl reads. `line` counts from 1."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True)
class Document:
    """One YAML document. `lines` has the line (from 1) of each field by its path; the root's is `()`."""

    data: Any
    lines: dict[Path, int]

    def line(self, path: Path) -> int:
        """Line of the field, or of the nearest one above it that is written."""
        while path not in self.lines:
            path = path[:-1]
        return self.lines[path]

    def items(self) -> Iterator["Document"]:
        """The objects of a `kind: List`, as kubectl prints several; any other document is its own only item."""
        listed = self.data.get("items") if isinstance(self.data, dict) and self.data.get("kind") == "List" else None
        if not isinstance(listed, list):
            yield self
            return
        for index, item in enumerate(listed):
            above = ("items", index)
            yield Document(item, {path[2:]: line for path, line in self.lines.items() if path[:2] == above})


class _Loader(yaml.SafeLoader):
    """As kubectl reads: a timestamp is text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def documents(text: str) -> Iterator[Document]:
    """Each document that is not empty. Raises ManifestError."""
    try:
        loader = _Loader(text)
        while loader.check_node() and (node := loader.get_node()):
            lines: dict[Path, int] = {}
            _walk(node, (), lines)
            if (data := loader.construct_document(node)) is not None:
                yield Document(data, lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise ManifestError(f"not YAML: {error.problem}", mark.line + 1 if mark else 1) from error
    except yaml.YAMLError as error:
        raise ManifestError(f"not YAML: {re.sub(chr(10) + '.*', '', str(error))}", 1) from error
    except RecursionError as error:
        raise ManifestError("nested too deeply, or an alias that contains itself", 1) from error


_KEY_TAGS = {"tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"}


def _walk(node: yaml.Node, path: Path, lines: dict[Path, int]) -> None:
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            _refuse_key(key, seen)
            seen.add(key.value)
            lines[*path, key.value] = key.start_mark.line + 1
            _walk(value, (*path, key.value), lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _walk(item, (*path, index), lines)


def _refuse_key(key: yaml.Node, seen: set[str]) -> None:
    line = key.start_mark.line + 1
    if key.tag == "tag:yaml.org,2002:bool":
        raise ManifestError(f'YAML reads the key {key.value} as true or false: write "{key.value}" in quotes', line)
    if not isinstance(key, yaml.ScalarNode) or key.tag not in _KEY_TAGS:
        raise ManifestError("write field names as text", line)
    if key.value in seen:
        raise ManifestError(f"{key.value} is written twice: remove one", line)
