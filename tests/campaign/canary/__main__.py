"""`python -m tests.campaign.canary`: see `canary_runs.py`."""

import sys

from tests.campaign.canary.canary_runs import main

sys.exit(main())
