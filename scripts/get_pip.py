"""Replace get-pip.py for ansible-test: the pip of another Python installs the requested version.

The arguments are those of the original: get_pip.py [pip options] pip==VERSION --no-setuptools --no-wheel
"""

import subprocess
import sys

# scripts/lint-sanity.sh writes the path of its own Python here. Otherwise each of ten environments would first unpack
# and compile the pip that is bundled with Python.
PYTHON = "python3"

arguments = [argument for argument in sys.argv[1:] if argument not in ("--no-setuptools", "--no-wheel")]
sys.exit(subprocess.call([PYTHON, "-m", "pip", "--python", sys.executable, "install", "--quiet", *arguments]))
