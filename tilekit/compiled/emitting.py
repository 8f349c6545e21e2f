"""From a Python function to machine code: the only module that imports numba.

numba compiles the function as always. Beside it stands an entry that the interpreter calls: it checks and takes the
arguments and hands them to numba's function by numba's own calling convention, whichever that is in the version at
hand. Both become one position-independent object whose only open ends are the interpreter, libc and libm.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numba
from llvmlite import binding, ir
from numba.core.compiler_lock import global_compiler_lock
from numba.np.arrayobj import make_array, populate_array

from tilekit.compiled.objects import MachineCode
from tilekit.compiled.signatures import Argument, Signature

# Without numba's reference counting, as no kernel makes arrays, and without exceptions for a division.
_OPTIONS: dict[str, Any] = {"error_model": "numpy", "_nrt": False}
_OPEN_ENDS = re.compile(
    r"Py|_Py|mem(cpy|move|set|cmp)$|(exp2?|log2?|log1p|pow|fmod|frexp|floor|ceil|sqrt|sin|cos|tan|atan2?|hypot|round)f?$"
)
# Calls that LLVM may make of its own operations; there in every libc.
_BEHIND_INTRINSICS = (
    "memcpy",
    "memmove",
    "memset",
    "pow",
    "exp",
    "exp2",
    "log",
    "log2",
    "floor",
    "ceil",
    "fmod",
)
_BYTE, _INT, _LONG, _DOUBLE = ir.IntType(8), ir.IntType(32), ir.IntType(64), ir.DoubleType()
_POINTER = _BYTE.as_pointer()
# Where the headers of CPython and numpy, which every extension compiles in, put an array's fields.
TYPE, DATA, DIMENSIONS, SHAPE, DESCRIPTION, FLAGS, BYTE_ORDER, TYPE_NUMBER = 8, 16, 24, 32, 56, 64, 26, 28
# What an entry is bound to: a tuple of the type of arrays and two errors. `loading` makes it.
ARRAY_TYPE, TYPE_ERROR, SYSTEM_ERROR = 24, 32, 40
CONTIGUOUS, ALIGNED, WRITEABLE = 0x1, 0x100, 0x400


class NotPortable(Exception):
    """The code needs what only numba's own runtime has; it cannot be kept as an object."""


def by_numba(function: Callable[..., Any], signature: Signature, nogil: bool) -> Callable[..., Any]:
    """The kernel as numba loads it, kept in numba's own cache where that is possible."""
    types = _numba_types(signature)
    try:
        made: Callable[..., Any] = numba.njit(types, cache=True, nogil=nogil, **_OPTIONS)(function)
    except (RuntimeError, OSError):  # no place for the cache, or a full one
        made = numba.njit(types, cache=False, nogil=nogil, **_OPTIONS)(function)
    return made


def for_inlining(function: Callable[..., Any]) -> Any:
    """A small function, compiled into the kernels that call it."""
    return numba.njit(nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, **_OPTIONS)(function)


def emit(
    function: Callable[..., Any], signature: Signature, symbol: str, nogil: bool, processor: str
) -> MachineCode:
    """Machine code of the kernel and its entry `symbol`, for every processor that has what `processor` names."""
    types = _numba_types(signature)
    with global_compiler_lock:
        dispatcher = numba.njit(types, nogil=nogil, **_OPTIONS)(function)
        compiled = dispatcher.overloads[types.args]
        entry = compiled.target_context.create_module(symbol)
        _Entry(compiled, entry, symbol).write(signature, nogil)
        module = binding.parse_assembly(compiled.library.get_llvm_str())
        module.link_in(binding.parse_assembly(str(entry)))
        return _machine_code(module, symbol, processor)


def _numba_types(signature: Signature) -> Any:
    def typed(argument: Argument) -> Any:
        kind = getattr(numba.types, argument.kind)
        if not argument.dimensions:
            return kind
        return numba.types.Array(kind, argument.dimensions, "C", readonly=argument.readonly)

    return getattr(numba.types, signature.result)(*(typed(argument) for argument in signature.arguments))


def _machine_code(module: Any, symbol: str, processor: str) -> MachineCode:
    for function in module.functions:
        if not function.is_declaration and function.name != symbol:
            function.linkage = "internal"
    for variable in module.global_variables:
        if not variable.is_declaration:
            variable.linkage = "internal"
    machine = binding.Target.from_triple(module.triple).create_target_machine(
        cpu=processor, opt=3, reloc="pic", codemodel="small"
    )
    builder = binding.create_pass_builder(machine, binding.create_pipeline_tuning_options(speed_level=3))
    builder.getModulePassManager().run(module, builder)
    outside = [one.name for one in (*module.functions, *module.global_variables) if one.is_declaration]
    outside = [name for name in outside if not name.startswith("llvm.")]
    if foreign := [name for name in outside if not _OPEN_ENDS.match(name)]:
        raise NotPortable(f"{symbol} needs {', '.join(foreign)}")
    return MachineCode(machine.emit_object(module), (*outside, *_BEHIND_INTRINSICS))


class _Entry:
    """Writes `PyObject *entry(PyObject *bound, PyObject *const *arguments, Py_ssize_t count)`."""

    def __init__(self, compiled: Any, module: ir.Module, symbol: str) -> None:
        self.compiled, self.context, self.module = compiled, compiled.target_context, module
        kind = ir.FunctionType(_POINTER, [_POINTER, _POINTER.as_pointer(), _LONG])
        self.function = ir.Function(module, kind, symbol)
        self.builder = ir.IRBuilder(self.function.append_basic_block("entry"))
        self.refused = self.function.append_basic_block("refused")
        self.failed = self.function.append_basic_block("failed")

    def write(self, signature: Signature, nogil: bool) -> None:
        """The whole entry."""
        builder, (bound, given, count) = self.builder, self.function.args
        array_type = self.field(bound, ARRAY_TYPE, _POINTER)
        self.expect(builder.icmp_signed("==", count, _LONG(len(signature.arguments))))
        values = []
        for place, (argument, kind) in enumerate(
            zip(signature.arguments, self.compiled.signature.args, strict=True)
        ):
            value = builder.load(builder.gep(given, [_LONG(place)]))
            values.append(
                self.array(value, array_type, argument, kind)
                if argument.dimensions
                else self.number(value, argument)
            )
        state = builder.call(self.outer("PyEval_SaveThread", _POINTER), []) if nogil else None
        status, result = self.call(values)
        if state is not None:
            builder.call(self.outer("PyEval_RestoreThread", ir.VoidType(), _POINTER), [state])
        right = self.function.append_basic_block("right")
        builder.cbranch(status.is_ok, right, self.failed)
        builder.position_at_end(right)
        builder.ret(self.given_back(signature.result, result))
        self.complain(self.refused, TYPE_ERROR, "a kernel was given other arguments than its signature names")
        self.complain(self.failed, SYSTEM_ERROR, "a kernel failed")

    def outer(self, name: str, result: Any, *arguments: Any) -> ir.Function:
        """A function of the interpreter."""
        known = self.module.globals.get(name)
        return known or ir.Function(self.module, ir.FunctionType(result, arguments), name)

    def expect(self, condition: Any) -> None:
        """Go on where it holds, refuse the call where not."""
        further = self.function.append_basic_block("further")
        self.builder.cbranch(condition, further, self.refused)
        self.builder.position_at_end(further)

    def field(self, start: Any, offset: int, kind: Any) -> Any:
        """What lies so many bytes into a structure."""
        place = self.builder.gep(start, [_LONG(offset)])
        return self.builder.load(self.builder.bitcast(place, kind.as_pointer()))

    def array(self, value: Any, array_type: Any, argument: Argument, kind: Any) -> Any:
        """numba's structure of a numpy array, once the array is what the signature says."""
        builder = self.builder
        self.expect(builder.icmp_unsigned("==", self.field(value, TYPE, _POINTER), array_type))
        self.expect(builder.icmp_signed("==", self.field(value, DIMENSIONS, _INT), _INT(argument.dimensions)))
        needed = CONTIGUOUS | ALIGNED | (0 if argument.readonly else WRITEABLE)
        flags = builder.and_(self.field(value, FLAGS, _INT), _INT(needed))
        self.expect(builder.icmp_unsigned("==", flags, _INT(needed)))
        description = self.field(value, DESCRIPTION, _POINTER)
        self.expect(builder.icmp_unsigned("!=", self.field(description, BYTE_ORDER, _BYTE), _BYTE(ord(">"))))
        number = self.field(description, TYPE_NUMBER, _INT)
        known = [builder.icmp_signed("==", number, _INT(one)) for one in argument.numpy_types]
        self.expect(known[0] if len(known) == 1 else builder.or_(*known))
        sizes = self.field(value, SHAPE, _POINTER)
        shape = [self.field(sizes, 8 * axis, _LONG) for axis in range(argument.dimensions)]
        strides = [_LONG(argument.itemsize)]
        for size in reversed(shape[1:]):
            strides.insert(0, builder.mul(strides[0], size))
        made = make_array(kind)(self.context, builder)
        populate_array(
            made,
            data=builder.bitcast(self.field(value, DATA, _POINTER), made.data.type),
            shape=shape,
            strides=strides,
            itemsize=_LONG(argument.itemsize),
            meminfo=None,
            parent=None,
        )
        return made._getvalue()

    def number(self, value: Any, argument: Argument) -> Any:
        """An int64 or a float64; where the interpreter cannot make one, its own error goes up."""
        builder = self.builder
        if argument.kind == "int64":
            made = builder.call(self.outer("PyLong_AsLongLong", _LONG, _POINTER), [value])
            doubtful = builder.icmp_signed("==", made, _LONG(-1))
        else:
            made = builder.call(self.outer("PyFloat_AsDouble", _DOUBLE, _POINTER), [value])
            doubtful = builder.fcmp_ordered("==", made, _DOUBLE(-1.0))
        with builder.if_then(doubtful, likely=False):
            error = builder.call(self.outer("PyErr_Occurred", _POINTER), [])
            with builder.if_then(builder.icmp_unsigned("!=", error, _POINTER(None)), likely=False):
                builder.ret(_POINTER(None))
        return made

    def call(self, values: list[Any]) -> Any:
        """Call numba's function by its own convention; its status and result."""
        convention, compiled = self.context.call_conv, self.compiled
        result, arguments = compiled.signature.return_type, compiled.signature.args
        inner = ir.Function(
            self.module, convention.get_function_type(result, arguments), compiled.fndesc.llvm_func_name
        )
        return convention.call_function(self.builder, inner, result, arguments, values)

    def given_back(self, kind: str, result: Any) -> Any:
        """The result as an object."""
        builder = self.builder
        if kind == "int64":
            return builder.call(self.outer("PyLong_FromLongLong", _POINTER, _LONG), [result])
        if kind == "float64":
            return builder.call(self.outer("PyFloat_FromDouble", _POINTER, _DOUBLE), [result])
        nothing = ir.GlobalVariable(self.module, _BYTE, "_Py_NoneStruct")
        builder.call(self.outer("Py_IncRef", ir.VoidType(), _POINTER), [nothing])
        return nothing

    def complain(self, block: Any, error: int, sentence: str) -> None:
        """Raise, from a block, the error at this place of what the entry is bound to."""
        builder = self.builder = ir.IRBuilder(block)
        data = bytearray(sentence.encode() + b"\0")
        text = ir.GlobalVariable(self.module, ir.ArrayType(_BYTE, len(data)), f"said.{error}")
        text.linkage, text.global_constant = "internal", True
        text.initializer = ir.Constant(text.type.pointee, data)
        says = self.outer("PyErr_SetString", ir.VoidType(), _POINTER, _POINTER)
        kind = self.field(self.function.args[0], error, _POINTER)
        builder.call(says, [kind, builder.bitcast(text, _POINTER)])
        builder.ret(_POINTER(None))
