#!/bin/sh
# Export a Qwen2-VL checkpoint for OpenVINO GenAI, with int8 and with int4 weights.
#
#     sh benchmarks/peers/openvino_export.sh PEERS CHECKPOINT OUT
#
# Makes OUT/int8 (one scale an output channel) and OUT/int4 (groups of 128, the head int8).
set -eu
peers=$1 checkpoint=$2 out=$3
mkdir -p "$out"
export HF_HUB_OFFLINE=1

export_as() {
  name=$1
  shift
  "$peers/openvino/bin/optimum-cli" export openvino --model "$checkpoint" \
    --task image-text-to-text "$@" "$out/$name"
}

export_as int8 --weight-format int8
export_as int4 --weight-format int4 --group-size 128 --ratio 1.0
