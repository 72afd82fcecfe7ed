"""Stands in for get-pip.py where ansible-test looks for it: ensurepip, then the wanted pip from the index.

Called like the original: get_pip.py [pip options] pip==VERSION --no-setuptools --no-wheel
"""

import ensurepip
import subprocess
import sys

arguments = [argument for argument in sys.argv[1:] if argument not in ("--no-setuptools", "--no-wheel")]
ensurepip.bootstrap()
sys.exit(subprocess.call([sys.executable, "-m", "pip", "install", "--quiet", *arguments]))
