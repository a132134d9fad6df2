#!/bin/sh
# Export a Qwen-VL checkpoint for OpenVINO GenAI, with int8 and with int4 weights.
#
#     sh benchmarks/peers/openvino_export.sh PEERS CHECKPOINT OUT [int8] [int4]
#
# Makes OUT/int8 (one scale an output channel) and OUT/int4 (groups of 128, the head int8), or the one
# that is named; what is there already is kept. The exporter holds the model up to three times in 16
# bits, 13 GB for 2B parameters, and writes it once in 16 bits before it quantizes: to OUT, as /tmp may
# be in memory.
set -eu
peers=$1 checkpoint=$2 out=$3
shift 3
[ $# -gt 0 ] || set -- int8 int4
mkdir -p "$out"
out=$(cd "$out" && pwd)
export HF_HUB_OFFLINE=1 TMPDIR="$out"

for name in "$@"; do
  case $name in
    int8) options="--weight-format int8" ;;
    int4) options="--weight-format int4 --group-size 128 --ratio 1.0" ;;
    *) echo "$name is neither int8 nor int4" >&2 && exit 2 ;;
  esac
  if [ -d "$out/$name" ]; then
    continue
  fi
  rm -rf "$out/$name.part"
  # shellcheck disable=SC2086  # options are words
  "$peers/openvino/bin/optimum-cli" export openvino --model "$checkpoint" \
    --task image-text-to-text $options "$out/$name.part"
  mv "$out/$name.part" "$out/$name"
done
