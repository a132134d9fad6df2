#!/usr/bin/env bash
# The native machine under a sanitizer: its checks, then the test suites and the loader through
# Python, on a copy of the package beside which the sanitized module lies. With SOAK_MINUTES also
# damaged programs for so long, under AddressSanitizer.
#
#     tools/sanitize.sh address|thread PYTHON
#
# "address" stands for AddressSanitizer and UndefinedBehaviorSanitizer, "thread" for
# ThreadSanitizer. PYTHON is an interpreter with the package's test dependencies and nanobind.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

kind=$1 python=$2 build=build/sanitize-$1
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
# Python itself leaks at exit, and numpy allocates more than a sanitizer likes at once.
export ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1
export TSAN_OPTIONS=halt_on_error=1:report_bugs=1:suppressions=$PWD/tools/tsan.supp
case $kind in
address) flags="-fsanitize=address,undefined -fno-sanitize-recover=all" runtime=libasan.so skip=no_test_of_that_name ;;
# ThreadSanitizer does not follow a process with threads into a fork.
thread) flags="-fsanitize=thread" runtime=libtsan.so skip=after_a_fork ;;
*) echo "no sanitizer $kind" >&2 && exit 2 ;;
esac

cmake -S . -B "$build" -DCMAKE_BUILD_TYPE=RelWithDebInfo "-DCMAKE_CXX_FLAGS=$flags" \
    -DVLMFORGE_CHECKS=ON "-DPython_EXECUTABLE=$python" \
    "-Dnanobind_DIR=$("$python" -m nanobind --cmake_dir)"
cmake --build "$build" --parallel 2
ctest --test-dir "$build/native" --output-on-failure

rm -rf "$build/src" && mkdir -p "$build/src" && cp -r src/vlmforge "$build/src"
rm -f "$build"/src/vlmforge/_native*.so && cp "$build"/_native*.so "$build/src/vlmforge"
# The sanitizer looks for the C++ library when it is loaded, before Python loads the module.
preload="$(c++ -print-file-name=$runtime) $(c++ -print-file-name=libstdc++.so)"
export PYTHONMALLOC=malloc OMP_NUM_THREADS=1 PYTHONPATH="$PWD/$build/src:$PWD/tools:$PWD"
LD_PRELOAD=$preload "$python" -m pytest -p from_path -p no:cacheprovider --capture=sys -o "pythonpath=$build/src" \
    -k "not $skip" tests/machine/native/test_machine.py tests/machine/native/test_program.py \
    tests/machine/native/test_fuzz.py tests/formats/test_mxq.py tests/formats/test_container.py \
    tests/program

# from_path lets Python find the copy; the sanitizer of threads does not follow into forks.
if [ "$kind" = address ] && [ -n "${SOAK_MINUTES:-}" ]; then
    LD_PRELOAD=$preload "$python" -c \
        'import from_path, runpy; runpy.run_module("soak", run_name="__main__")' \
        --only programs --minutes "$SOAK_MINUTES"
fi
