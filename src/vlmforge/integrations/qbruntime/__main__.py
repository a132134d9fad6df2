"""``python -m vlmforge.integrations.qbruntime SCRIPT [ARGUMENTS...]`` runs a script on packages."""

import sys
from pathlib import Path

from vlmforge.integrations.qbruntime import run_script

if len(sys.argv) < 2:
    sys.exit("usage: python -m vlmforge.integrations.qbruntime SCRIPT [ARGUMENTS...]")
if not Path(sys.argv[1]).is_file():
    sys.exit(f"error: there is no script {sys.argv[1]}")
run_script(Path(sys.argv[1]), sys.argv[2:])
