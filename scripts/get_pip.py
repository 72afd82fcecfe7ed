"""Stands in for get-pip.py where ansible-test looks for it: the pip of another Python installs the wanted one.

Called like the original: get_pip.py [pip options] pip==VERSION --no-setuptools --no-wheel
"""

import subprocess
import sys

# scripts/lint-sanity.sh puts its own Python here. Without it each of ten environments would unpack and compile the pip
# that is bundled with Python, to replace it.
PYTHON = "python3"

arguments = [argument for argument in sys.argv[1:] if argument not in ("--no-setuptools", "--no-wheel")]
sys.exit(subprocess.call([PYTHON, "-m", "pip", "--python", sys.executable, "install", "--quiet", *arguments]))
