"""`python -m videocap`."""

import sys

from videocap.command_line import main

sys.exit(main())
