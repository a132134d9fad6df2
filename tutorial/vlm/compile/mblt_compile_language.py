"""Capture the text model as a float graph, checked against the original.

python mblt_compile_language.py --model-name Qwen/Qwen2-VL-2B-Instruct
"""

from __future__ import annotations

from files import capture

if __name__ == "__main__":
    capture("language", "Capture the text model.")
