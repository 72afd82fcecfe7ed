"""Stands in for get-pip.py where ansible-test looks for it: ensurepip, then the wanted pip from the index.

Called like the original: get_pip.py [pip options] pip==VERSION --no-setuptools --no-wheel
"""

import subprocess
import sys

arguments = [argument for argument in sys.argv[1:] if argument not in ("--no-setuptools", "--no-wheel")]
# In a process of its own: it switches pip's configuration off for the one it runs in.
subprocess.check_call([sys.executable, "-m", "ensurepip", "--default-pip"], stdout=subprocess.DEVNULL)
sys.exit(subprocess.call([sys.executable, "-m", "pip", "install", "--quiet", *arguments]))
