"""Record what a model computes inside, during one forward pass, whatever the model is made of.

Three kinds of places can be read (a *tap*):

* a module call: `act.0`; the second call of a reused module is `act.0#2`; a result that is a tuple or a
  dictionary is read by key, `conv.0/movie`;
* a call of an activation function that is no module: `relu()`, `block.relu()#2`;
* a node of a graph that `to_hetero` has traced and that no module computes: `conv.0/movie` is the sum
  over the relations that end in `movie`, `relu()/movie` a function.

The result of the model itself is `output`.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, fx, nn
from torch.overrides import TorchFunctionMode
from torch_geometric.nn import MessagePassing

from graph_metamers.reading.functions import ACTIVATION_FUNCTIONS, is_activation_module
from graph_metamers.reading.listening import Listener

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

OUTPUT = "output"
_TYPE_SEPARATOR = "__"  # between a layer and a node type in the names that to_hetero gives


@dataclass(frozen=True, eq=False)
class Tap:
    """One tensor that a model computed.

    Attributes
    ----------
    name
        Flat name; unique within one forward pass.
    source
        The module that computed it, or the name of the function.
    call
        Which call of that module or function, from 1.
    value
        What was computed, attached to the autograd graph; a copy, so that a later in-place
        operation of the model does not change it.
    activation_input
        What an activation was applied to; `None` for every other source.
    identity, input_identity
        `id` of the model's own tensors, to see which tap feeds which.
    inside
        Names of the modules that were running when it was computed, outermost first, as far as the
        recorder listened to them.
    is_output
        Whether it is what the model returned.
    """

    name: str
    source: nn.Module | str
    call: int
    value: Tensor
    activation_input: Tensor | None
    identity: int
    input_identity: int | None
    inside: tuple[str, ...]
    is_output: bool


class AllRead(BaseException):
    """What ends a run of the model as soon as everything that is wanted has been recorded.

    Its argument is the recorder: a model may call one inside its forward.
    """


class Recorder(Listener):
    """Context manager that records taps of a model while it runs, and leaves no trace on it.

    Parameters
    ----------
    model
        The model to listen to.
    wanted
        The taps to record; `None` records everything (more memory, for listing).
    stops
        Whether to end the run by `AllRead` once these are recorded, where nothing could notice: what the
        model returns is then not known. See `_may_stop`.
    """

    def __init__(
        self, model: nn.Module, wanted: Collection[str] | None = None, *, stops: bool = False
    ) -> None:
        self.taps: dict[str, Tap] = {}
        self._wanted = None if wanted is None else frozenset(wanted)
        self._stops = stops and _may_stop(model, self._wanted or ())
        self._model = model
        self._names = {module: name for name, module in model.named_modules()}
        self._output_name = OUTPUT if OUTPUT not in self._names.values() else "model()"
        self._calls: Counter[str] = Counter()
        self._running: list[str] = []
        self._inputs: list[tuple[Tensor | None, int | None]] = []
        self._keep_alive: list[Tensor] = []  # while recording, an id must not be given to a second tensor
        self._in_fx_function = False
        super().__init__()

    def _register(self) -> None:
        self._cleanup.callback(self._keep_alive.clear)
        functions = self._wanted is None or any("()" in name for name in self._wanted)
        for module, name in self._names.items():
            if name and (functions or self._is_wanted(name)):
                self._listen(module, name)
            if isinstance(module, fx.GraphModule):
                self._interpret(module, name)
        if functions:
            self._cleanup.enter_context(_FunctionMode(self._note_function))

    def note_output(self, result: Any) -> None:
        """Note what the model, or the function that calls it, returned."""
        self._note(self._output_name, self._model, 1, result, None, None, is_output=True)

    def _is_wanted(self, module_name: str) -> bool:
        wanted = self._wanted or ()
        return any(re.split("[#/]", name)[0] == module_name for name in wanted)

    def _listen(self, module: nn.Module, name: str) -> None:
        before = module.register_forward_pre_hook(self._enter_module, with_kwargs=True)
        self._cleanup.callback(before.remove)
        after = module.register_forward_hook(functools.partial(self._leave_module, name))
        self._cleanup.callback(after.remove)

    def _enter_module(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._running.append(self._names[module])
        first = next((a for a in (*args, *kwargs.values()) if isinstance(a, Tensor)), None)
        if first is None or not is_activation_module(module):
            self._inputs.append((None, None))
        else:
            self._inputs.append((first.clone(), id(first)))  # a copy: an in-place activation overwrites it

    def _leave_module(self, name: str, module: nn.Module, _args: tuple[Any, ...], result: Any) -> None:
        self._running.pop()
        activation_input, input_identity = self._inputs.pop()
        self._calls[name] += 1
        self._note(name, module, self._calls[name], result, activation_input, input_identity)

    def _note_function(self, function: str, argument: Tensor, identity: int, result: Tensor) -> None:
        inside = self._running[-1] if self._running else ""
        if self._in_fx_function or self._is_activation(inside):
            return
        name = f"{inside}.{function}()".lstrip(".")
        self._calls[name] += 1
        self._note(name, function, self._calls[name], result, argument, identity)

    def _is_activation(self, module_name: str) -> bool:
        return is_activation_module(self._model.get_submodule(module_name))

    def _interpret(self, module: fx.GraphModule, name: str) -> None:
        """Let a traced module run node by node; its own forward would hide the nodes."""
        original = module.forward
        interpreter = _Interpreter(module, self._run_fx_node(name))

        @functools.wraps(original)
        def forward(*args: Any, **kwargs: Any) -> Any:
            arguments = inspect.signature(original).bind(*args, **kwargs)
            arguments.apply_defaults()
            return interpreter.run(*arguments.args, *arguments.kwargs.values())

        before = dict(module.__dict__)  # with the user's own forward, if he has patched one
        module.__dict__["forward"] = forward
        self._cleanup.callback(_put_back, module.__dict__, before, "forward")

    def _run_fx_node(self, name: str) -> Callable[[fx.Node, Callable[[], Any]], Any]:
        def run(node: fx.Node, compute: Callable[[], Any]) -> Any:
            if node.op not in ("call_function", "call_method") or _TYPE_SEPARATOR not in node.name:
                return compute()
            self._in_fx_function = True
            try:
                result = compute()
            finally:
                self._in_fx_function = False
            function = ACTIVATION_FUNCTIONS.get(_target_of(node))
            if node.op == "call_function" or function is not None:
                tap = f"{name}.{_fx_name(node)}".lstrip(".")
                self._note(tap, function or "fx", 1, result, None, None)
            return result

        return run

    def _note(
        self,
        name: str,
        source: nn.Module | str,
        call: int,
        result: Any,
        activation_input: Tensor | None,
        input_identity: int | None,
        *,
        is_output: bool = False,
    ) -> None:
        numbered = name if call == 1 else f"{name}#{call}"
        for full, value in named_tensors(numbered, result):
            if self._wanted is not None and full not in self._wanted:
                continue
            self._keep_alive.append(value)
            self.taps[full] = Tap(
                full,
                source,
                call,
                value.clone(),
                activation_input,
                id(value),
                input_identity,
                tuple(self._running),
                is_output,
            )
        if self._stops and not is_output and self._wanted and self._wanted <= self.taps.keys():
            raise AllRead(self)


class _FunctionMode(TorchFunctionMode):
    """Tell of every call of an activation function."""

    def __init__(self, note: Callable[[str, Tensor, int, Tensor], None]) -> None:
        super().__init__()
        self._note = note

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Collection[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        name = ACTIVATION_FUNCTIONS.get(func)
        if name is None:
            return func(*args, **(kwargs or {}))
        argument = args[0] if args else next(iter((kwargs or {}).values()))
        before = argument.clone()
        result = func(*args, **(kwargs or {}))
        self._note(name, before, id(argument), result)
        return result


class _Interpreter(fx.Interpreter):
    def __init__(self, module: fx.GraphModule, run: Callable[[fx.Node, Callable[[], Any]], Any]) -> None:
        super().__init__(module)
        self._run = run

    def run_node(self, n: fx.Node) -> Any:
        return self._run(n, functools.partial(super().run_node, n))


def _may_stop(model: nn.Module, wanted: Collection[str]) -> bool:
    """Whether a run may be ended behind the last wanted tap without a trace or another result.

    Not where somebody else listens, who may wait for the end: hooks of the user's, or of a listener of this
    package; not inside a message passing layer, some of which put something down on themselves and take it
    away at their end; and not of a traced module, whose nodes are not counted: a name may come twice.
    """
    modules = dict(model.named_modules())
    if any(isinstance(module, fx.GraphModule) for module in modules.values()):
        return False
    if any(module._forward_hooks or module._forward_pre_hooks for module in modules.values()):
        return False
    for name in wanted:
        parts = re.split("[#/]", name)[0].split(".")[:-1]
        owners = (".".join(parts[: count + 1]) for count in range(len(parts)))
        if any(isinstance(modules.get(owner), MessagePassing) for owner in owners):
            return False
    return True


def _put_back(attributes: dict[str, Any], before: dict[str, Any], name: str) -> None:
    attributes.pop(name, None)
    if name in before:
        attributes[name] = before[name]


def _target_of(node: fx.Node) -> object:
    """The function that a node calls; a method is called on a tensor."""
    return getattr(Tensor, str(node.target), None) if node.op == "call_method" else node.target


def _fx_name(node: fx.Node) -> str:
    """`conv.0/movie` for what to_hetero sums over relations, else `relu()/movie`."""
    base, node_type = node.name.split(_TYPE_SEPARATOR, 1)
    owners = {_owner(source) for source in _module_sources(node)}
    if len(owners) == 1 and _target_of(node) not in ACTIVATION_FUNCTIONS:
        return f"{owners.pop()}/{node_type}"
    return f"{base}()/{node_type}"


def _module_sources(node: fx.Node) -> Iterator[fx.Node]:
    """The module calls that a sum, or a sum of sums, adds up."""
    for source in node.all_input_nodes:
        if source.op == "call_module":
            yield source
        elif source.op == "call_function" and source.target is node.target:
            yield from _module_sources(source)


def _owner(node: fx.Node) -> str:
    return str(node.target).rpartition(".")[0]


def named_tensors(name: str, result: Any) -> Iterator[tuple[str, Tensor]]:
    """Every floating-point tensor in what a module returned, under a flat name.

    A lone tensor has the name itself; the entries of dictionaries and tuples `name/key`, a relation as key
    is written `source__relation__target`.
    """
    if isinstance(result, Tensor):
        if torch.is_floating_point(result) and result.layout == torch.strided:
            yield name, result
        return
    entries: Any = ()
    if isinstance(result, dict):
        entries = result.items()
    elif isinstance(result, tuple | list):
        entries = enumerate(result)
    for key, value in entries:
        text = _TYPE_SEPARATOR.join(key) if isinstance(key, tuple) else str(key)
        yield from named_tensors(f"{name}/{text}", value)
