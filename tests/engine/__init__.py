import os

# Before torch is loaded, as engine.training.run does it: two test processes on one machine slow each other down otherwise.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
