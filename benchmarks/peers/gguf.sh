#!/bin/sh
# Convert a checkpoint for llama.cpp and quantize it.
#
#     sh benchmarks/peers/gguf.sh PEERS CHECKPOINT OUT BASE TYPE ...
#
# Makes OUT/BASE.gguf without quantization (BASE is f32, f16 or bf16), OUT/TYPE.gguf for each
# type, such as Q8_0, Q4_0 and Q4_K_M, and OUT/mmproj.gguf of a checkpoint with a vision encoder.
set -eu
peers=$1 checkpoint=$2 out=$3 base=$4
shift 4
mkdir -p "$out"

convert() {
  "$peers/convert/bin/python" "$peers/llama.cpp/convert_hf_to_gguf.py" "$checkpoint" \
    --outtype "$base" "$@"
}

convert --outfile "$out/$base.gguf"
if grep -q vision_config "$checkpoint/config.json"; then
  convert --mmproj --outfile "$out/mmproj.gguf"
fi
for type in "$@"; do
  "$peers/bin/llama-quantize" "$out/$base.gguf" "$out/$type.gguf" "$type" 2
done
