"""One thread a test process: several of them run side by side (`make test`)."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is imported, also by subprocesses
