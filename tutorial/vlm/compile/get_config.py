"""Write ``mxq/config.json``, which names the two compiled programs.

python get_config.py --model-name Qwen/Qwen2-VL-2B-Instruct
"""

from __future__ import annotations

from pathlib import Path

from files import arguments, run

from vlmforge.console import Report
from vlmforge.package.build import write_config
from vlmforge.source.checkpoint import Checkpoint


def main() -> None:
    parser = arguments("Write the package's config.json.")
    parser.add_argument("--output", type=Path, default=Path("mxq/config.json"))
    args = parser.parse_args()

    def work(report: Report) -> Path:
        write_config(Checkpoint.open(args.model_name), args.output)
        output: Path = args.output
        return output

    run(work)


if __name__ == "__main__":
    main()
