"""LlamaEngine: llama.cpp in this process, on its low-level API."""

import os

# llama.cpp's threads wait for one another by spinning, several hundred times a token. GNU OpenMP lets them spin for
# milliseconds, in which they keep each other, and whatever else wants to run, from computing: with one other busy
# program on two cores that is a half to nine tenths of the speed. This many spins are about as long as threads that
# all have a core wait. It is read once, when llama.cpp is loaded, which is after this.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
