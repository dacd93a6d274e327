# SPDX-License-Identifier: Apache-2.0
"""What would make a run depend on more than its seed, found in its syntax tree."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Finding(NamedTuple):
    """A place that breaks the rule."""

    line: int
    why: str


# A module here brings clocks, chance or threads of its own; a shell gets all three from `env`.
MODULES = {
    "time": "the clock is env.now_ms, durations are loop.time()",
    "uuid": "ids come from env.new_id",
    "secrets": "ids come from env.new_id, chance from env.random",
    "threading": "threads run in an order that no seed rules",
    "multiprocessing": "processes run in an order that no seed rules",
    "concurrent.futures": "executors run in an order that no seed rules",
}
CALLS = {
    "asyncio.to_thread": "a thread's order is not ruled by the seed",
    "os.urandom": "chance comes from env.random",
    "os.getpid": "the same seed has another process id",
    "os.getenv": "settings come from env.settings",
    "datetime.now": "the clock is env.now_ms",
    "datetime.utcnow": "the clock is env.now_ms",
    "datetime.today": "the clock is env.now_ms",
    "date.today": "the clock is env.now_ms",
    "hash": "str and bytes hash by a secret of the process: use hashlib or zlib.crc32",
    "id": "an address differs from run to run",
}
# Only these names of `random` and `numpy.random` say where their chance comes from.
RANDOM_TYPES = {"Random"}
NUMPY_SEEDED = {"default_rng", "Generator", "BitGenerator", "Philox", "PCG64", "SeedSequence"}
# What takes a set in any order and gives the same.
ORDERLESS = {"sorted", "len", "set", "frozenset", "min", "max", "any", "all", "bool"}
CONSUMERS = {
    "list",
    "tuple",
    "enumerate",
    "iter",
    "next",
    "map",
    "filter",
    "zip",
    "reversed",
    "dict",
    "deque",
}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
MUTABLE = {"list", "dict", "set", "defaultdict", "deque", "Counter", "count", "OrderedDict", "WeakSet"}


def findings(path: Path) -> list[Finding]:
    """Return what a file does that its seed does not rule, in order of line."""
    return findings_in(path.read_text())


def findings_in(source: str) -> list[Finding]:
    """Return the same for source text."""
    tree = ast.parse(source)
    found = [*_imports(tree), *_calls(tree), *_chance(tree), *_module_state(tree), *_set_order(tree)]
    return sorted(set(found))


def _imports(tree: ast.Module) -> Iterator[Finding]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                modules = [alias.name for alias in names]
            case ast.ImportFrom(module=str(module), names=names):
                modules = [module, *(f"{module}.{alias.name}" for alias in names)]
            case _:
                continue
        for name in modules:
            if name in MODULES:
                yield Finding(node.lineno, f"imports {name}: {MODULES[name]}")


def _calls(tree: ast.Module) -> Iterator[Finding]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            for forbidden, why in CALLS.items():
                if name == forbidden or ("." in forbidden and name.endswith(f".{forbidden}")):
                    yield Finding(node.lineno, f"calls {name}: {why}")
            if name.endswith(".run_in_executor"):
                yield Finding(node.lineno, f"calls {name}: {CALLS['asyncio.to_thread']}")
        elif isinstance(node, ast.Attribute) and ast.unparse(node) == "os.environ":
            yield Finding(node.lineno, "reads os.environ: settings come from env.settings")


def _chance(tree: ast.Module) -> Iterator[Finding]:
    """Drawing from a shared generator, or from one without a seed."""
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module="random", names=names):
                drawn = [f"random.{alias.name}" for alias in names if alias.name not in RANDOM_TYPES]
            case ast.Attribute(value=ast.Name(id="random"), attr=name):
                drawn = [] if name in RANDOM_TYPES else [f"random.{name}"]
            case ast.Attribute(
                value=ast.Attribute(value=ast.Name(id="np" | "numpy"), attr="random"), attr=name
            ):
                drawn = [] if name in NUMPY_SEEDED else [f"np.random.{name}"]
            case ast.Call(func=function, args=[], keywords=[]):
                maker = ast.unparse(function).rpartition(".")[2]
                drawn = [f"{maker}() without a seed"] if maker in {"Random", "default_rng", "Philox"} else []
            case _:
                continue
        for name in drawn:
            yield Finding(node.lineno, f"{name}: chance comes from env.random or a keyed hash")


def _module_state(tree: ast.Module) -> Iterator[Finding]:
    """A restarted service is a new object graph: what a module keeps would outlive it."""
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                pass
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                pass
            case _:
                continue
        counts = isinstance(value, ast.Call) and ast.unparse(value.func) in {"itertools.count", "count"}
        if counts or (_is_mutable(value) and name != name.upper() and not name.startswith("__")):
            yield Finding(node.lineno, f"{name} is state of the module: it would outlive a restart")
    for inner in ast.walk(tree):
        if isinstance(inner, ast.Global):
            yield Finding(inner.lineno, f"global {', '.join(inner.names)}: it would outlive a restart")


def _is_mutable(value: ast.expr) -> bool:
    if isinstance(value, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp):
        return True
    return isinstance(value, ast.Call) and ast.unparse(value.func).rpartition(".")[2] in MUTABLE


def _set_order(tree: ast.Module) -> Iterator[Finding]:
    """A set of strings or of objects comes in another order in another process."""
    attributes = {name for name in _set_names(list(ast.walk(tree))) if "." in name}
    functions = [n for n in ast.walk(tree) if isinstance(n, FUNCTIONS)]
    for nodes in (list(_outside_functions(tree)), *(list(ast.walk(function)) for function in functions)):
        names = attributes | _set_names(nodes)
        for taken in _taken_in_order(nodes):
            if _is_set(taken, names):
                yield Finding(
                    taken.lineno, f"takes {ast.unparse(taken)} in a set's order: wrap it in sorted()"
                )


def _outside_functions(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, FUNCTIONS):
            yield child
            yield from _outside_functions(child)


def _set_names(nodes: list[ast.AST]) -> set[str]:
    """Return the names (`x`, `self.x`) that hold a set, by annotation or by what is assigned to them."""
    names: set[str] = set()
    for node in nodes:
        match node:
            case ast.AnnAssign(target=target, annotation=kind) if _says_set(kind):
                names.add(ast.unparse(target))
            case ast.Assign(targets=[target], value=value) if _is_set(value, names):
                names.add(ast.unparse(target))
            case ast.arg(arg=name, annotation=ast.expr() as kind) if _says_set(kind):
                names.add(name)
            case ast.ClassDef(body=body):
                fields = [n for n in body if isinstance(n, ast.AnnAssign) and _says_set(n.annotation)]
                names |= {f"self.{ast.unparse(field.target)}" for field in fields}
    return names


def _says_set(annotation: ast.expr) -> bool:
    return ast.unparse(annotation).partition("[")[0].rpartition(".")[2] in {
        "set",
        "frozenset",
        "Set",
        "AbstractSet",
    }


def _is_set(value: ast.expr, names: set[str]) -> bool:
    match value:
        case ast.Set() | ast.SetComp():
            return True
        case ast.Call(func=ast.Name(id="set" | "frozenset")):
            return True
        case ast.BinOp(left=left, op=ast.BitOr() | ast.BitAnd() | ast.Sub() | ast.BitXor(), right=right):
            return _is_set(left, names) or _is_set(right, names)
        case ast.Name() | ast.Attribute():
            return ast.unparse(value) in names
    return False


def _taken_in_order(nodes: list[ast.AST]) -> Iterator[ast.expr]:
    """Yield every expression whose elements are taken one after the other, where their order can show."""
    orderless = {
        id(argument)
        for node in nodes
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ORDERLESS
        for argument in node.args
    }
    for node in nodes:
        match node:
            case ast.For(iter=iterated) | ast.AsyncFor(iter=iterated):
                yield iterated
            case ast.ListComp() | ast.GeneratorExp() | ast.DictComp() if id(node) not in orderless:
                yield from (generator.iter for generator in node.generators)
            case ast.Call(func=ast.Name(id=name), args=arguments) if name in CONSUMERS:
                yield from arguments
            case ast.Call(func=ast.Attribute(attr="join"), args=[argument]):
                yield argument
            case ast.Call(func=ast.Attribute(attr="pop", value=popped), args=[]):
                yield popped
            case ast.Starred(value=spread):
                yield spread
