"""A function whose answers are kept: what tells its calls apart.

Everything a call is given may change its answer, so all of it belongs to the scope, and has to be JSON, or
nobody could say tomorrow whether it is equal. What a function closes over, what its object holds, and defaults
that are no JSON are taken for part of the function itself.
"""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

from ragweft.errors import RagweftError

if TYPE_CHECKING:
    from ragweft.types import Json

__all__ = ["Calls", "as_scope", "plain"]

P = ParamSpec("P")
_OWN = "function"
"""The part of a scope that says which function it is."""
_FILLED = "partial"
"""The part that says what a partial has filled in."""


class Calls:
    """Reads calls of one function."""

    def __init__(self, function: Callable[..., Any], *, scope: Mapping[str, Json], told: bool) -> None:
        """*scope* is what the caller gave; no argument may have the name of one of its parts.

        *told*: it was given for this very function, so that it says whose method it is, if it is an object's.

        Raises:
            RagweftError: the function streams, has no name of its own, no parameter for the question, or is an
                object's that nobody tells from others.
        """
        self.name = _name(function)
        if not told and _of_an_object(function):
            raise RagweftError(
                f"{self.name}: belongs to an object, and those of two objects have one name; say in scope= "
                "what tells their answers apart, or scope={} if nothing does"
            )
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise RagweftError(
                f"{self.name}: gives its answer in pieces; cache a function that returns it whole"
            )
        self._signature = inspect.signature(function)
        parameters = list(self._signature.parameters.values())
        if not parameters or parameters[0].kind in (
            inspect.Parameter.VAR_POSITIONAL,
            inspect.Parameter.VAR_KEYWORD,
        ):
            raise RagweftError(f"{self.name}: needs a first parameter for the question, answer(question, ...)")
        self._question = parameters[0].name
        self._scope = {**scope, _OWN: self.name, **_held(function, self.name)}
        for parameter in parameters[1:]:
            if parameter.name in self._scope:
                raise RagweftError(
                    f"{self.name}: the parameter {parameter.name!r} and a part of the cache's scope have one "
                    "name; rename one of them"
                )

    def decorated(
        self, function: Callable[P, Any], once: Callable[..., Any], aonce: Callable[..., Any]
    ) -> Callable[P, Any]:
        """The *function* asked by way of *once*, or *aonce* if it is `async def`; see `Answers.once`."""
        if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__):

            @wraps(function)
            async def aanswer(*args: P.args, **kwargs: P.kwargs) -> Any:
                question, scope = self.asked(args, kwargs)
                return await aonce(question, partial(function, *args, **kwargs), scope=scope)

            return aanswer

        @wraps(function)
        def answer(*args: P.args, **kwargs: P.kwargs) -> Any:
            question, scope = self.asked(args, kwargs)
            return once(question, partial(function, *args, **kwargs), scope=scope)

        return answer

    def asked(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[str, dict[str, Json]]:
        """The question of a call, and the scope of its answer.

        Raises:
            TypeError: the function takes no such call.
            RagweftError: the question is no text, or an argument is not JSON.
        """
        bound = self._signature.bind(*args, **kwargs)
        given = set(bound.arguments)
        bound.apply_defaults()
        question = bound.arguments.pop(self._question)
        if not isinstance(question, str):
            raise RagweftError(
                f"{self.name}: the first argument has to be the question, not {type(question).__name__}; of a "
                "method, decorate what is bound: cache.answers()(obj.method)"
            )
        scope: dict[str, Json] = dict(self._scope)
        for name, value in bound.arguments.items():
            try:
                scope[name] = plain(value)
            except (ValueError, RecursionError) as error:
                if name in given:
                    raise RagweftError(
                        f"{self.name}: the argument {name!r} is not JSON ({error}), so that nobody could say "
                        "whether it is equal; close over it, or hold it by functools.partial"
                    ) from None
        return question, scope


def as_scope(given: object) -> dict[str, Json]:
    """What is *given* as a scope; None: nothing.

    Raises:
        RagweftError: its parts have no names.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise RagweftError(f"cache scope {given!r}: give its parts by name, scope={{'tenant': 'a'}}")
    return dict(given)


def plain(value: object) -> Json:
    """A copy of *value* as JSON would give it back.

    Raises:
        ValueError: JSON cannot say it, or would say the same of something else.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} is no JSON number")
        return float(value)
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise ValueError(f"the key {key!r} is no text")
        return {str(key): plain(each) for key, each in value.items()}
    raise ValueError(f"{type(value).__name__} is none of its kinds")


def _held(function: Callable[..., Any], name: str) -> dict[str, Json]:
    """What a function holds that a call does not show: the places a partial has filled.

    Raises:
        RagweftError: they are not JSON.
    """
    filled: list[object] = []
    inner: Any = function
    while isinstance(inner, partial):
        filled, inner = [*inner.args, *filled], inner.func
    try:
        return {_FILLED: plain(filled)} if filled else {}
    except (ValueError, RecursionError) as error:
        raise RagweftError(
            f"{name}: a partial holds what is not JSON ({error}); give it by its name, and name in scope= what "
            "of it decides the answer"
        ) from None


def _of_an_object(function: Callable[..., Any]) -> bool:
    """Whether what it answers may depend on an object: it is a method of one, or one itself."""
    inner = _inner(function)
    owner = getattr(inner, "__self__", None)
    bound = owner is not None and not inspect.isclass(owner) and not inspect.ismodule(owner)
    return bound or not hasattr(inner, "__qualname__")


def _inner(function: Callable[..., Any]) -> Any:
    inner: Any = function
    while isinstance(inner, partial):
        inner = inner.func
    return inner


def _name(function: Callable[..., Any]) -> str:
    """Which function that is, in every process that runs the same program."""
    inner = _inner(function)
    if not hasattr(inner, "__qualname__"):
        inner = type(inner)
    name, module = str(inner.__qualname__), str(inner.__module__)
    if "<lambda>" in name:
        raise RagweftError(f"{module}.{name}: has no name that tells it from others; give it one with def")
    if module in ("__main__", "__mp_main__"):
        # Every program has a main: its module's name, if it was started by that, else its file.
        spec = getattr(sys.modules.get(module), "__spec__", None)
        code = getattr(inspect.unwrap(inner), "__code__", None)
        module = spec.name if spec is not None else str(Path(code.co_filename).absolute()) if code else module
    return f"{module}.{name}"
