"""Write ``mxq/model.safetensors``: the token embedding, rotated by R1.

python get_safetensors.py --model-name Qwen/Qwen2-VL-2B-Instruct
"""

from __future__ import annotations

from pathlib import Path

from files import add_spin_weight_dir, arguments, run, workspace

from vlmforge import Checkpoint, write_package_embedding


def main() -> None:
    parser = arguments("Write the rotated token embedding.")
    parser.add_argument("--output", type=Path, default=Path("mxq/model.safetensors"))
    add_spin_weight_dir(parser)
    args = parser.parse_args()
    run(
        lambda report: write_package_embedding(
            Checkpoint.open(args.model_name),
            workspace(args.model_name, args.spin_weight_dir).rotation,
            args.output,
        )
    )


if __name__ == "__main__":
    main()
