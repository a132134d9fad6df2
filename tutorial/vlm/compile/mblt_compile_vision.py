"""Capture the vision encoder as a float graph, checked against the original.

python mblt_compile_vision.py --model-name Qwen/Qwen2-VL-2B-Instruct
"""

from __future__ import annotations

from files import capture

if __name__ == "__main__":
    capture("vision", "Capture the vision encoder.")
