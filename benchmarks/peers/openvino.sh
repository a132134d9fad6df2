#!/bin/sh
# Install OpenVINO GenAI and its exporter into a virtual environment.
#
#     sh benchmarks/peers/openvino.sh PEERS
#
# Makes PEERS/openvino. Left to pip as a dependency, torch may come with CUDA: it goes first, pinned.
set -eu
peers=$1
mkdir -p "$peers"
python3 -m venv "$peers/openvino"
"$peers/openvino/bin/pip" install --quiet torch==2.13.0
"$peers/openvino/bin/pip" install --quiet openvino==2026.4.1 openvino-genai==2026.4.1.0 \
  'optimum-intel[openvino]==2.2.0' nncf==3.4.0
