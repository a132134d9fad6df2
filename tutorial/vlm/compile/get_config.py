"""Write ``mxq/config.json``, which names the two compiled programs, and what reads prompts.

python get_config.py --model-name Qwen/Qwen2-VL-2B-Instruct
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from files import arguments, run

from vlmforge.console import Report
from vlmforge.formats.atomic import atomic_file
from vlmforge.package.build import config_text
from vlmforge.package.settings import write_settings
from vlmforge.source.checkpoint import Checkpoint


def main() -> None:
    parser = arguments("Write the package's config.json, tokenizer and processor.")
    parser.add_argument("--output", type=Path, default=Path("mxq/config.json"))
    args = parser.parse_args()

    def work(report: Report) -> Path:
        output: Path = args.output
        checkpoint = Checkpoint.open(args.model_name)
        with TemporaryDirectory() as folder:
            write_settings(checkpoint, Path(folder))
            for file in Path(folder).iterdir():
                _write(output.with_name(file.name), file.read_bytes())
        _write(output, config_text(checkpoint))
        return output

    run(work)


def _write(path: Path, content: bytes) -> None:
    with atomic_file(path) as file:
        file.write(content)


if __name__ == "__main__":
    main()
