"""The mutants of a source file: each has one expression of a formula changed in a way that a person could get wrong."""

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

BINARY = {
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div,),
    ast.Div: (ast.Mult,),
    ast.Pow: (ast.Mult,),
    ast.BitAnd: (ast.BitOr,),
    ast.BitOr: (ast.BitAnd,),
}
COMPARISONS = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
CALLS = {
    "sum": "mean",
    "mean": "sum",
    "max": "min",
    "min": "max",
    "expm1": "exp",
    "rsqrt": "sqrt",
    "softmax": "log_softmax",
    "ceil": "floor",
    "argmax": "argmin",
    "mean_over_valid": "torch.sum",
}
DROPPED_CALLS = ("log", "exp", "abs", "detach", "rsqrt", "unsqueeze")
LABELLED_CALLS = ("one_hot", "cross_entropy_per_pixel", "gather", "focal_per_pixel")
NOT_FORMULAS = ("Card", "TypeVar", "ValueError", "register_buffer", "Literal")
LARGEST_GUARD = 1e-6
CHECKS = ("ge", "gt", "le", "lt", "description", "strict")  # keywords of options and of `zip` that compute nothing


@dataclass(frozen=True)
class Mutant:
    """A file with one changed expression.

    Attributes:
        file: Of the original, relative to the repository.
        line: Of the change.
        where: Qualified name of the function or class.
        before: The expression.
        after: What stands there instead.
        source: The whole changed file.
    """

    file: str
    line: int
    where: str
    before: str
    after: str
    source: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What names the mutant for as long as its formula stands, wherever in the file."""
        return (f"{self.file}::{self.where}", self.before, self.after)


def mutants_of(file: str, source: str) -> list[Mutant]:
    """Return every mutant of a file, in the order of its lines.

    Args:
        file: Path relative to the repository.
        source: Content.
    """
    tree = ast.parse(source)
    found: dict[tuple[int, str, str, str], Mutant] = {}
    for node, where in _formulas(tree):
        for replacement in _replacements(node):
            after = replacement.text if isinstance(replacement, Inserted) else ast.unparse(replacement)
            before = ast.unparse(node)
            key = (node.lineno, where, before, after)
            if before != after and key not in found:
                changed = _spliced(source, node, after)
                found[key] = Mutant(file, node.lineno, where, before, after, changed)
    return sorted(found.values(), key=lambda mutant: mutant.line)


@dataclass(frozen=True)
class Inserted:
    """Replacement that is given as text."""

    text: str


def _spliced(source: str, node: ast.expr | ast.stmt, after: str) -> str:
    """Return the source with one node replaced; all other bytes stay."""
    lines = source.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line.encode()))
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    begin = starts[node.lineno - 1] + node.col_offset
    end = starts[node.end_lineno - 1] + node.end_col_offset
    content = source.encode()
    text = after if isinstance(node, ast.stmt) else f"({after})"
    return (content[:begin] + text.encode() + content[end:]).decode()


def _formulas(tree: ast.Module) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    """Yield the expressions and statements that take part in computing, with the name of what holds them."""
    yield from _below(tree, "module")


def _below(node: ast.AST, where: str) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    for child in ast.iter_child_nodes(node):
        if _is_text(child) or (isinstance(child, ast.keyword) and child.arg in CHECKS):
            continue
        if isinstance(node, ast.AnnAssign) and child is node.annotation:  # that of a local variable is not evaluated
            continue
        if isinstance(child, ast.FunctionDef | ast.ClassDef):
            inner = child.name if where == "module" else f"{where}.{child.name}"
            for statement in child.body:
                yield from _with_children(statement, inner)
            continue
        yield from _with_children(child, where)


def _with_children(node: ast.AST, where: str) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    if _is_text(node):
        return
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        inner = node.name if where == "module" else f"{where}.{node.name}"
        for statement in node.body:
            yield from _with_children(statement, inner)
        return
    if isinstance(node, ast.expr | ast.stmt):
        yield node, where
    yield from _below(node, where)


def _is_text(node: ast.AST) -> bool:
    """Whether the node is documentation, an annotation, an error message, an import or a protocol."""
    if isinstance(node, ast.Import | ast.ImportFrom | ast.Raise | ast.arguments | ast.JoinedStr):
        return True
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return True
    if isinstance(node, ast.Call):
        return _name(node.func) in NOT_FORMULAS
    if isinstance(node, ast.ClassDef):
        return any(_name(base) in ("Protocol", "StrEnum") for base in node.bases)
    if isinstance(node, ast.Subscript):
        return _name(node.value) in ("Literal", "ClassVar", "dict", "tuple", "Callable", "Sequence", "Mapping")
    return False


def _name(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _replacements(node: ast.expr | ast.stmt) -> Iterator[ast.expr | Inserted]:
    match node:
        case ast.BinOp():
            yield from _of_operation(node)
        case ast.UnaryOp(op=ast.USub() | ast.Invert() | ast.Not()):
            yield node.operand
        case ast.Compare(ops=[op]) if type(op) in COMPARISONS:
            changed = copy.deepcopy(node)
            changed.ops = [COMPARISONS[type(op)]()]
            yield changed
        case ast.BoolOp():
            changed = copy.deepcopy(node)
            changed.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
            yield changed
        case ast.Constant(value=bool()):
            yield ast.Constant(not node.value)
        case ast.Constant(value=int() | float() as number):
            yield _other_number(number)
        case ast.Call():
            yield from _of_call(node)
        case ast.Subscript(slice=ast.Name(id="target")):
            yield Inserted(f"{ast.unparse(node.value)}[target - 1]")
        case ast.IfExp():
            yield ast.IfExp(node.test, node.orelse, node.body)
        case ast.If():
            changed = ast.If(ast.UnaryOp(ast.Not(), node.test), node.body, node.orelse)
            yield Inserted(_indented(ast.unparse(changed), node.col_offset))
        case ast.AugAssign():
            yield Inserted("pass")
        case ast.Expr(value=ast.Call(func=ast.Attribute(attr=called))) if called != "__init__":
            yield Inserted("pass")
        case _:
            return


def _of_operation(node: ast.BinOp) -> Iterator[ast.expr]:
    for other in BINARY.get(type(node.op), ()):
        yield ast.BinOp(node.left, other(), node.right)
    if isinstance(node.op, ast.Pow):
        yield ast.BinOp(node.left, ast.Pow(), ast.BinOp(node.right, ast.Add(), ast.Constant(1)))
    if isinstance(node.op, ast.Add | ast.Sub | ast.Mult | ast.Div):
        yield node.left
    if isinstance(node.op, ast.Add | ast.Mult):
        yield node.right


def _of_call(node: ast.Call) -> Iterator[ast.expr | Inserted]:
    name = _name(node.func)
    if name in CALLS and not (isinstance(node.func, ast.Name) and name in ("sum", "max", "min")):
        changed = copy.deepcopy(node)
        if isinstance(changed.func, ast.Attribute):
            changed.func.attr = CALLS[name]
            yield changed
        elif name == "mean_over_valid":
            yield Inserted(f"torch.where({ast.unparse(node.args[1])}, {ast.unparse(node.args[0])}, 0.0).sum()")
    if name in DROPPED_CALLS and isinstance(node.func, ast.Attribute) and not node.args:
        yield node.func.value
    if name == "where" and len(node.args) == 3:
        yield ast.Call(node.func, [node.args[0], node.args[2], node.args[1]], [])
    if name == "clamp" and isinstance(node.func, ast.Attribute):
        yield node.func.value
    if name in LABELLED_CALLS:
        yield from _with_the_class_before(node)


def _with_the_class_before(node: ast.Call) -> Iterator[Inserted]:
    """Off by one class: what is looked up for class c is that of class c - 1."""
    text = ast.unparse(node)
    if "target" in text:
        yield Inserted(text.replace("target", "(target - 1).clamp(min=0)", 1))


def _other_number(value: float) -> ast.Constant:
    if isinstance(value, int):
        return ast.Constant(value + 1)
    if abs(value) < LARGEST_GUARD:  # keeps something off 0; twice as small a number is no other formula
        return ast.Constant(1.0)
    return ast.Constant(2 * value)


def _indented(text: str, column: int) -> str:
    first, *rest = text.splitlines()
    return "\n".join([first, *(" " * column + line for line in rest)])


def one_line(text: str) -> str:
    """Shorten code to one line."""
    flat = " ".join(text.split())
    return flat if len(flat) <= 90 else flat[:87] + "..."
