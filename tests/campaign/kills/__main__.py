"""`python -m tests.campaign.kills`: see `kills.py`."""

import sys

from tests.campaign.kills.kills import main

sys.exit(main())
