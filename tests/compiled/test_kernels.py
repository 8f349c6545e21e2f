"""Objects of kernels compute what their Python does, refuse what they cannot take, and are never the wrong ones."""

from __future__ import annotations

import ast
import importlib
import json
import math
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tilekit
from tilekit.compiled import decorators, emitting, is_ready, kernel, linking, loading, objects, packages
from tilekit.compiled.linking import shared
from tilekit.compiled.signatures import parse
from tilekit.errors import InvalidArgument

PACKAGE = Path(tilekit.__file__).parent
ROOMS = sorted(file.parent for file in PACKAGE.rglob("kernels/__init__.py"))
KINDS = {"F": "f8", "I": "i8", "S": "i4", "H": "u2", "B": "u1", "W": "i2", "U": "u4", "Q": "u8"}


def blend(base, wide, weights, factor, shift, out):
    """All that an entry can take: read-only and writable arrays of one to three dimensions, both kinds of numbers."""
    total = 0.0
    for i in range(base.shape[0]):
        for j in range(base.shape[1]):
            total += base[i, j] * factor + weights[j]
            for k in range(wide.shape[2]):
                out[i] += wide[i, j, k] + shift
    return total


CODE = objects.MachineCode(b"code", ("memcpy",))
BLEND = "f(R2,RI3,RS,f,i,I)"


@pytest.fixture(scope="module", params=["shared", "bare"])
def blended(request, tmp_path_factory):
    made = emitting.emit(blend, parse(BLEND), "tests.blend", True, loading.processor())
    if request.param == "shared":
        made = objects.keep(tmp_path_factory.mktemp("shared"), some_recipe(), "this", shared(made))
        assert made.shared
    return loading.link(made, "tests.blend", blend.__doc__)


def arrays(rows, cols, deep, seed=0):
    rng = np.random.default_rng(seed)
    return (
        rng.random((rows, cols)),
        rng.integers(-9, 9, (rows, cols, deep)),
        rng.integers(-9, 9, cols).astype(np.int32),
        np.zeros(rows, np.int64),
    )


@given(
    st.integers(0, 5),
    st.integers(0, 5),
    st.integers(0, 4),
    st.floats(-1e6, 1e6),
    st.integers(-(2**40), 2**40),
)
@settings(max_examples=60, deadline=None)
def test_an_object_computes_what_its_python_does(blended, rows, cols, deep, factor, shift):
    base, wide, weights, out = arrays(rows, cols, deep, rows + 7 * cols)
    twin = out.copy()
    assert blended(base, wide, weights, factor, shift, out) == blend(base, wide, weights, factor, shift, twin)
    assert out.tolist() == twin.tolist()


@pytest.mark.parametrize("letter", KINDS)
def test_every_letter_is_the_array_it_names_and_no_other(letter):
    def last(values):
        return int(values[len(values) - 1]) + len(values)

    signature = parse(f"i(R{letter})")
    made = loading.link(
        emitting.emit(last, signature, f"tests.last{letter}", False, loading.processor()),
        f"tests.last{letter}",
        None,
    )
    assert made(np.array([1, 2, 5], KINDS[letter])) == 8
    for other in sorted(set(KINDS) - {letter}):
        with pytest.raises(TypeError):
            made(np.array([1, 2, 5], KINDS[other]))
    with pytest.raises(TypeError):
        made(np.array([True]))


def bad_calls():
    base, wide, weights, out = arrays(3, 4, 2)
    sealed = out.copy()
    sealed.flags.writeable = False
    strange = np.frombuffer(b"\0" * 97, np.uint8)[1:].view(np.float64).reshape(3, 4)
    good = (base, wide, weights, 1.0, 2, out)
    yield "too few", TypeError, good[:-1]
    yield "too many", TypeError, (*good, out)
    yield "none", TypeError, ()
    for name, place, value in [
        ("list", 0, base.tolist()),
        ("None", 0, None),
        ("float32", 0, base.astype("f4")),
        ("Fortran order", 0, np.asfortranarray(base)),
        ("strided", 0, np.zeros((3, 8))[:, ::2]),
        ("one dimension", 0, base.ravel()),
        ("three dimensions", 0, base[None]),
        ("foreign byte order", 0, base.astype(">f8")),
        ("not aligned", 0, strange),
        ("subclass", 0, np.ma.masked_array(base)),
        ("int64 for int32", 2, weights.astype("i8")),
        ("str for a float", 3, "1"),
        ("float for an int", 4, 1.5),
        ("read-only for a writable", 5, sealed),
    ]:
        yield name, TypeError, (*good[:place], value, *good[place + 1 :])
    yield "int too large", OverflowError, (*good[:4], 2**70, out)


@pytest.mark.parametrize(("error", "call"), [pytest.param(e, c, id=n) for n, e, c in bad_calls()])
def test_other_arguments_are_refused(blended, error, call):
    with pytest.raises(error):
        blended(*call)


def test_numbers_of_numpy_and_whole_floats_are_taken_and_nothing_leaks(blended):
    base, wide, weights, out = arrays(3, 4, 2)
    before = [sys.getrefcount(one) for one in (base, wide, weights, out)]
    for _ in range(1000):
        assert blended(base, wide, weights, 2, np.int64(-1), out) == blended(
            base, wide, weights, np.float64(2), -1, out
        )
        with pytest.raises(TypeError):
            blended(base, wide, weights, None, -1, out)
    assert [sys.getrefcount(one) for one in (base, wide, weights, out)] == before


def test_a_kernel_without_a_result_gives_none():
    def clear(values):
        for i in range(len(values)):
            values[i] = 0

    made = loading.link(
        emitting.emit(clear, parse("void(F)"), "tests.clear", True, loading.processor()), "tests.clear", None
    )
    values = np.ones(3)
    assert made(values) is None
    assert values.tolist() == [0, 0, 0]


def test_the_interpreter_goes_on_while_a_kernel_runs():
    def wait(flag, where):
        turns = 0
        while flag[0] == 0 and turns < 20_000_000_000:
            turns += 1
            flag[where] = turns  # which might be place 0 for all the compiler knows
        return flag[0]

    made = loading.link(
        emitting.emit(wait, parse("i(I,i)"), "tests.wait", True, loading.processor()), "tests.wait", None
    )
    flag, answers = np.zeros(2, np.int64), []
    running = threading.Thread(target=lambda: answers.append(made(flag, 1)))
    running.start()
    while flag[1] == 0:
        pass
    flag[0] = 7
    running.join()
    assert answers == [7]


@pytest.mark.parametrize("text", ["", "i", "i(F", "x(F)", "i(Z)", "i(R)", "i(F9)", "i(ff)", "i()"])
def test_signatures_that_are_none(text):
    with pytest.raises(InvalidArgument, match="kernel signature"):
        parse(text)


def test_what_needs_the_runtime_of_numba_is_not_kept_and_still_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))

    def exponent(value):
        return math.frexp(value)[1]  # a function of numba's own

    with pytest.raises(emitting.NotPortable):
        emitting.emit(exponent, parse("i(f)"), "tests.exponent", True, loading.processor())
    assert kernel("i(f)")(exponent)(3.0) == 2
    assert not list(tmp_path.rglob("*.kernel"))


def some_recipe(**changes):
    made = objects.object_recipe(blend, BLEND, True, loading.interpreter(), loading.processor())
    assert made is not None
    return replace(made, **changes)


@pytest.mark.parametrize(
    "change",
    [
        {"signature": "f(R2)"},
        {"line": 1},
        {"nogil": False},
        {"sources": "0" * 64},
        {"interpreter": "cpython9"},
        {"processor": "x86-64-v9"},
        {"symbol": "tests.other"},
        {"format": 0},
    ],
)
def test_an_object_made_from_anything_else_is_not_found(tmp_path, monkeypatch, change):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    wanted, other = some_recipe(), some_recipe(**change)
    folder = objects.cache_folder()
    objects.keep(folder, other, "this", CODE)
    assert objects.find(wanted, "this") is None
    (folder / other.file_name).rename(folder / wanted.file_name)  # even under the right name
    assert objects.find(wanted, "this") is None
    objects.keep(folder, wanted, "this", CODE)
    assert objects.find(wanted, "this") == CODE._replace(path=folder / wanted.file_name)
    assert objects.find(wanted, "another compiler") is None


@pytest.mark.parametrize("what", ["it calls what is not there", "its library may not run"])
def test_what_this_process_cannot_link_is_left_to_numba(tmp_path, monkeypatch, what):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    real = emitting.emit

    def emit(*given):
        made = real(*given)
        return objects.MachineCode(made.code, (*made.needs, "not_in_any_libc"))

    if what == "its library may not run":
        monkeypatch.setattr(linking, "shared", lambda made: made._replace(code=b"no library", shared=True))
    else:
        monkeypatch.setattr(linking, "shared", lambda made: made)
        monkeypatch.setattr(emitting, "emit", emit)

    @kernel("f(f,f)")
    def add(one, other):
        return one + other

    assert add(1.0, 2.0) == 3.0


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_a_damaged_object_is_not_found(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("objects")
    wanted = some_recipe()
    objects.keep(folder, wanted, "this", objects.MachineCode(bytes(range(200)), ("pow",)))
    path = folder / wanted.file_name
    whole = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    else:
        place = data.draw(st.one_of(st.integers(0, 199), st.integers(len(whole) - 4, len(whole) - 1)))
        whole[place] ^= data.draw(st.integers(1, 255))
        path.write_bytes(whole)
    assert objects.read(path, wanted, "this") is None


def test_a_change_in_a_file_that_a_kernel_names_makes_another_recipe(tmp_path):
    for name, text in [("one", "import two"), ("two", "import three"), ("three", "X = 1"), ("four", "")]:
        (tmp_path / f"{name}.py").write_text(text)

    def now():
        objects._sources.cache_clear()
        return objects.fingerprint(tmp_path / "one.py"), objects.fingerprint_of_all(tmp_path)

    first = now()
    (tmp_path / "four.py").write_text("Y = 2")
    second = now()
    assert second[0] == first[0]
    assert second[1] != first[1]
    (tmp_path / "three.py").write_text("X = 2")
    assert now()[0] != first[0]


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: ".".join(room.relative_to(PACKAGE).parts))
def test_kernels_import_nothing_that_their_recipe_does_not_hash(room):
    own = "tilekit." + ".".join(room.relative_to(PACKAGE).parts)
    for file in room.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
                assert node.level == 0, f"{file}: a relative import"
            elif isinstance(node, ast.Import):
                names = [one.name for one in node.names]
            else:
                continue
            for name in names:
                allowed = name.startswith(own + ".") or name in (
                    "__future__", "math", "typing", "numpy", "tilekit.compiled",
                )  # fmt: skip
                assert allowed, f"{file.name} imports {name}: kernels import their own room only"


def test_the_cache_is_the_users_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    folder = objects.cache_folder()
    assert folder.stat().st_mode & 0o077 == 0
    folder.chmod(0o777)
    assert objects.cache_folder() is None
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/proc/none")
    assert objects.cache_folder() is None
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert objects.cache_folder() == tmp_path / "xdg" / "tilekit-kernels"


@pytest.mark.parametrize("fault", ["no place", "full disk", "not portable"])
def test_without_objects_kernels_compile_in_memory(monkeypatch, fault):
    def keep(*_given):
        raise OSError("disk full")

    if fault == "full disk":
        monkeypatch.setattr(objects, "keep", keep)
    elif fault == "no place":
        monkeypatch.setattr(objects, "cache_folder", lambda: None)
    else:
        monkeypatch.setattr(loading, "portable", lambda: False)

    @kernel("f(f,f)")
    def add(one, other):
        return one + other

    assert add(1.0, 2.0) == 3.0


@pytest.mark.parametrize("error", [RuntimeError("no locator"), OSError("disk full")])
def test_where_numba_can_keep_nothing_either(monkeypatch, error):
    real = numba.njit

    def njit(*arguments, **options):
        if options.get("cache"):
            raise error
        return real(*arguments, **options)

    monkeypatch.setattr(numba, "njit", njit)

    def add(one, other):
        return one + other

    assert emitting.by_numba(add, parse("f(f,f)"), True)(1.0, 2.0) == 3.0


@pytest.mark.parametrize("fault", ["none", "failing", "gone"])
def test_without_a_linker_an_object_stays_bare_and_is_linked_by_llvmlite(tmp_path, monkeypatch, fault):
    (tmp_path / "ld").write_text("#!/bin/sh\nexit 1\n" if fault == "failing" else "#!/no/such/shell\n")
    (tmp_path / "ld").chmod(0o644 if fault == "none" else 0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))

    @kernel("f(f,f)")
    def add(one, other):
        return one + other

    assert add(1.0, 2.0) == 3.0
    assert loading.loaded[-1].symbol.endswith("linked_by_llvmlite.add")
    (kept,) = (tmp_path / "cache").rglob("*.kernel")
    assert b'"shared": false' in kept.read_bytes()


def test_the_processor_is_what_the_compiler_sees():
    from llvmlite import binding

    features = binding.get_host_cpu_features()
    names = {"bmi1": "bmi", "abm": "lzcnt", "sse4_2": "sse4.2"}
    v3 = all(features.get(names.get(name, name)) for name in loading._V3)
    assert loading.processor() == ("x86-64-v3" if v3 else "x86-64")


def test_a_closure_is_left_to_numba():
    shift = 2.0

    @kernel("f(f)")
    def add(one):
        return one + shift

    assert add(1.0) == 3.0
    assert objects.object_recipe(lambda: shift, "f(f)", True, "", "") is None


def test_with_numba_told_not_to_compile_kernels_are_python(monkeypatch):
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")

    def add(one, other):
        return one + other

    assert kernel("f(f,f)")(add) is add
    assert decorators.inlined(add)(1, 2) == 3


FRESH = """
import json, sys
import numpy as np
from tilekit.boxes.suppression import nms
from tilekit.compiled import is_ready
ready = is_ready("tilekit.boxes.kernels")
corner = np.random.default_rng(1).random((2000, 2)) * 300
kept = nms(np.concatenate([corner, corner + 20], axis=1), np.arange(2000) / 2000)
print(json.dumps([ready, bool({"numba", "llvmlite.binding"} & set(sys.modules)), kept.tolist()]))
"""


BUILT_WHILE_EMPTIED = """
import pathlib, sys
from tilekit.compiled import packages
prepare = packages.prepare
def emptied(room):
    prepare(room)
    for file in pathlib.Path(sys.argv[2]).iterdir():
        file.unlink()
packages.prepare = emptied
print(packages.build(pathlib.Path(sys.argv[1])))
"""


def test_a_fresh_process_runs_all_kernels_of_the_wheel_without_numba(tmp_path):
    """As the wheel is built: compiled once, then every process loads them, also from a cache elsewhere.

    Meanwhile somebody empties the cache that all builds share.
    """
    built, users = tmp_path / "tilekit-kernels", tmp_path / "users" / "tilekit-kernels"
    users.mkdir(parents=True)
    users.parent.chmod(0o700)
    users.chmod(0o700)
    if (known := objects.cache_folder()) is not None:
        packages._copy(known, users)
    made = subprocess.run(
        [sys.executable, "-c", BUILT_WHILE_EMPTIED, str(built), str(users)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "NUMBA_CACHE_DIR": str(users.parent)},
    ).stdout
    assert len(list(users.glob("*.kernel"))) >= int(made)  # given back for the next build
    assert int(made) == len(list(built.glob("*.kernel"))) >= 20
    built.chmod(0o700)
    for mark in list(built.glob("*-wheel.whole")):  # in a cache it also names its compiler
        mark.rename(built / mark.name.replace("-wheel.", f"-{loading.compiler().replace(' ', '-')}."))
    answers = []
    for plain in ("0", "1"):
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "NUMBA_DISABLE_JIT": plain}
        said = subprocess.run(
            [sys.executable, "-c", FRESH], capture_output=True, text=True, check=True, env=environment
        ).stdout
        answers.append(json.loads(said))
    assert answers[0][:2] == [True, False]
    assert answers[0][2] == answers[1][2]


def test_a_room_is_ready_once_it_is_prepared(tmp_path, monkeypatch):
    room = tmp_path / "a_room"
    room.mkdir()
    (room / "__init__.py").write_text("")
    (room / "adding.py").write_text(
        "from tilekit.compiled import kernel\n\n@kernel('f(f,f)')\ndef add(one, other):\n    return one + other\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    assert not is_ready("a_room")
    packages.prepare("a_room")
    assert is_ready("a_room")
    assert importlib.import_module("a_room.adding").add(1.0, 2.0) == 3.0
    (room / "adding.py").write_text("# changed\n")
    objects._sources.cache_clear()
    assert not is_ready("a_room")
    with pytest.raises(ModuleNotFoundError, match="no room of kernels"):
        is_ready("a_missing_room")
