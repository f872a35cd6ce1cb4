"""``python -m study`` is the command ``boundary``."""

import sys

from study.cli import main

sys.exit(main())
