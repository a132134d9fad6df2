#!/bin/sh
# Install OpenVINO GenAI and its exporter into a virtual environment.
#
#     sh benchmarks/peers/openvino.sh PEERS
#
# Makes PEERS/openvino. Left to pip as a dependency, torch may come with CUDA: it goes first, pinned.
# torchvision, which the exporter asks for and does not need, is built for CUDA's torch on PyPI and
# would not load beside another. The exporter knows Qwen2-VL up to transformers 5.0.
set -eu
peers=$1
mkdir -p "$peers"
python3 -m venv "$peers/openvino"
pip() { "$peers/openvino/bin/python" -m pip --quiet "$@"; }
pip install torch==2.13.0
pip install openvino==2026.4.1 openvino-genai==2026.4.1.0 'optimum-intel[openvino]==2.2.0' \
  nncf==3.4.0 transformers==5.0.0
pip uninstall --yes torchvision
