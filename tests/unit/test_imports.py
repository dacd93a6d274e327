# SPDX-License-Identifier: Apache-2.0
"""Imports point one way: no cycle, not even of imports within functions or for types, and none by name."""

import ast
from graphlib import CycleError, TopologicalSorter

import pytest

from scripts.vocabulary import Source, sources

Graph = dict[str, set[str]]
NOT_OURS = ("tests/", "examples/")


def imports(files: list[Source]) -> Graph:
    """Module → the modules of these files that it imports, wherever the import is."""
    trees = {_name(source): ast.parse(source.text) for source in files}
    graph: Graph = {}
    for module, tree in trees.items():
        found = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found |= {f"{node.module}.{alias.name}" for alias in node.names}
        graph[module] = {known for name in found if (known := _known(name, trees))} - {module}
    return graph


def _name(source: Source) -> str:
    return source.name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _known(name: str, modules: dict[str, ast.Module]) -> str:
    """The module itself, or the one that defines the name; "" for what is not ours."""
    while name and name not in modules:
        name = name.rpartition(".")[0]
    return name


def ours() -> list[Source]:
    return [source for source in sources(".py") if not source.name.startswith(NOT_OURS)]


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph = imports(ours())
    assert sum(map(len, graph.values())) > 1_000
    TopologicalSorter(graph).prepare()


def test_a_cycle_is_found_also_if_it_is_for_types_only() -> None:
    lazy = Source("a/one.py", "def f():\n    from a.two import x\n")
    typed = Source("a/two.py", "if TYPE_CHECKING:\n    from a.one import f\n")
    with pytest.raises(CycleError):
        TopologicalSorter(imports([lazy, typed])).prepare()


LOADS_BY_NAME = {
    "hatch_build.py",  # the build loads a script of the source tree by its path
    "dispatcher/policies/plugins.py",  # policies of the user's own
}


def test_no_module_is_imported_by_its_name_as_text() -> None:
    """Such an import would pass by the import rules."""
    by_name = ("import_module", "__import__", "exec_module")
    found = [
        source.name
        for source in ours()
        if source.name not in LOADS_BY_NAME
        for node in ast.walk(ast.parse(source.text))
        if (isinstance(node, ast.Name) and node.id in by_name)
        or (isinstance(node, ast.Attribute) and node.attr in by_name)
    ]
    assert found == []
