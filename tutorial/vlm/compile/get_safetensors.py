"""Write ``mxq/model.safetensors``: the token embedding, rotated by R1.

python get_safetensors.py --model-name Qwen/Qwen2-VL-2B-Instruct
"""

from __future__ import annotations

from pathlib import Path

from files import add_spin_weight_dir, arguments, run, workspace

from vlmforge.console import Report
from vlmforge.package.build import write_embedding
from vlmforge.source.checkpoint import Checkpoint
from vlmforge.stages.rotation import read_r1


def main() -> None:
    parser = arguments("Write the rotated token embedding.")
    parser.add_argument("--output", type=Path, default=Path("mxq/model.safetensors"))
    add_spin_weight_dir(parser)
    args = parser.parse_args()

    def work(report: Report) -> Path:
        checkpoint = Checkpoint.open(args.model_name)
        space = workspace(args.model_name, args.spin_weight_dir)
        write_embedding(checkpoint, read_r1(checkpoint, space.rotation), args.output)
        output: Path = args.output
        return output

    run(work)


if __name__ == "__main__":
    main()
