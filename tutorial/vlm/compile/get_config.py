"""Write ``mxq/config.json``, which names the two compiled programs, and what reads prompts.

python get_config.py --model-name Qwen/Qwen2-VL-2B-Instruct
"""

from __future__ import annotations

from pathlib import Path

from files import arguments, run

from vlmforge import Checkpoint, write_package_config


def main() -> None:
    parser = arguments("Write the package's config.json, tokenizer and processor.")
    parser.add_argument("--output", type=Path, default=Path("mxq/config.json"))
    args = parser.parse_args()
    run(lambda report: write_package_config(Checkpoint.open(args.model_name), args.output))


if __name__ == "__main__":
    main()
