"""Settings of every test in the repository, the plugins' own included."""

import os

# Models in tests are far too small for several threads; set before anything imports torch, and
# inherited by the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")
