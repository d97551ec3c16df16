"""Let a verb take whole groups of options, so that none is declared twice."""

from __future__ import annotations

import functools
import inspect
from dataclasses import MISSING, fields, is_dataclass
from typing import TYPE_CHECKING, Any, get_type_hints

if TYPE_CHECKING:
    from collections.abc import Callable


def verb(function: Callable[..., None]) -> Callable[..., None]:
    """Give typer a function with one parameter for each field of the option groups that `function` takes.

    Parameters
    ----------
    function
        A command; each parameter whose type is a dataclass stands for all of its fields.

    Returns
    -------
    callable
        Takes keywords only, puts the groups together and calls `function`.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass
    ... class Size:
    ...     width: int = 1
    >>> @verb
    ... def draw(size: Size, colour: str) -> None:
    ...     print(size, colour)
    >>> list(inspect.signature(draw).parameters)
    ['width', 'colour']
    """
    hints = get_type_hints(function, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}
    flattened: list[inspect.Parameter] = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name in groups:
            flattened += _parameters(groups[parameter.name])
        else:
            annotation = hints[parameter.name]
            flattened.append(parameter.replace(kind=parameter.KEYWORD_ONLY, annotation=annotation))

    @functools.wraps(function)
    def flat(**values: Any) -> None:
        grouped = {
            name: group(**{field.name: values.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        function(**grouped, **values)

    flat.__signature__ = inspect.Signature(flattened)  # type: ignore[attr-defined]  # `signature` reads it
    flat.__annotations__ = {parameter.name: parameter.annotation for parameter in flattened}
    return flat


def _parameters(group: Any) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in fields(group)
    ]
