#!/bin/sh
# Build llama.cpp, with this processor's instructions, from the source distribution on PyPI.
#
#     sh benchmarks/peers/llama_cpp.sh PEERS
#
# Makes PEERS/llama.cpp (source), PEERS/bin (programs) and PEERS/convert (Python for the converter).
# Needs cmake, ninja, a C++ compiler and Python.
set -eu
peers=$1
version=0.3.36
mkdir -p "$peers"

python3 -m pip download --quiet --no-deps --no-binary llama-cpp-python --dest "$peers" "llama-cpp-python==$version"
tar -xzf "$peers/llama_cpp_python-$version.tar.gz" -C "$peers"
rm -rf "$peers/llama.cpp"
mv "$peers/llama_cpp_python-$version/vendor/llama.cpp" "$peers/llama.cpp"
cmake -S "$peers/llama.cpp" -B "$peers/build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
  -DGGML_NATIVE=ON -DLLAMA_CURL=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF \
  -DLLAMA_BUILD_SERVER=ON -DLLAMA_USE_PREBUILT_UI=OFF -DBUILD_SHARED_LIBS=OFF
cmake --build "$peers/build" --target \
  llama-bench llama-quantize llama-perplexity llama-mtmd-cli llama-server
ln -sfn build/bin "$peers/bin"

python3 -m venv "$peers/convert"
"$peers/convert/bin/pip" install --quiet torch==2.13.0
"$peers/convert/bin/pip" install --quiet "$peers/llama.cpp/gguf-py" transformers==5.5.4 sentencepiece
