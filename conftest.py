"""Settings of every test in the repository, the plugins' own included."""

import os

from hypothesis import settings

# Models in tests are far too small for several threads; set before anything imports torch, and
# inherited by the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# On a busy machine any example may take long: tests say what is right, benchmarks what is fast.
settings.register_profile("latte", deadline=None)
settings.load_profile("latte")
