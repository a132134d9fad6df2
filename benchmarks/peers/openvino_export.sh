#!/bin/sh
# Export a Qwen2-VL checkpoint for OpenVINO GenAI, with int8 and with int4 weights.
#
#     sh benchmarks/peers/openvino_export.sh PEERS CHECKPOINT OUT
#
# Makes OUT/int8 (one scale an output channel) and OUT/int4 (groups of 128, the head int8); what is
# there already is kept. The exporter holds the model up to three times in 16 bits, 13 GB for 2B
# parameters, and writes it once in 16 bits before it quantizes: to OUT, as /tmp may be in memory.
set -eu
peers=$1 checkpoint=$2 out=$3
mkdir -p "$out"
out=$(cd "$out" && pwd)
export HF_HUB_OFFLINE=1 TMPDIR="$out"

export_as() {
  name=$1
  shift
  if [ -d "$out/$name" ]; then
    return
  fi
  rm -rf "$out/$name.part"
  "$peers/openvino/bin/optimum-cli" export openvino --model "$checkpoint" \
    --task image-text-to-text "$@" "$out/$name.part"
  mv "$out/$name.part" "$out/$name"
}

export_as int8 --weight-format int8
export_as int4 --weight-format int4 --group-size 128 --ratio 1.0
