"""Asking the processor for memory before it is read. Importing this module loads numba."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LINE = 64  # bytes that come at once
READ, KEEP, DATA = 0, 3, 1  # arguments of LLVM's prefetch: to be read, in every cache, and not code


def _prefetch(_typing: Any, array: Any, _place: Any) -> Any:
    """Bring the line of `array[place]` into the caches, array of one dimension and contiguous.

    A hint: it never fails, never waits, and changes no result.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        found = context.make_array(signature.args[0])(context, builder, arguments[0])
        byte = ir.IntType(8).as_pointer()
        word = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        function = cgutils.get_or_insert_function(  # type: ignore[no-untyped-call]
            builder.module,
            kind,
            "llvm.prefetch",  # LLVM adds the kind of pointer, which differs by version
        )
        address = builder.bitcast(builder.gep(found.data, [arguments[1]]), byte)
        builder.call(function, [address, word(READ), word(KEEP), word(DATA)])
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


prefetch: Any = intrinsic(_prefetch)
