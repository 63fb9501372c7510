#!/bin/sh
# Builds the executable: dist/bytelog, or bytelog in the folder that is passed as an argument.
set -eu
output=$(realpath "${1:-dist}")
cd "$(dirname "$0")/.."
python3 -m venv build/venv
# Compile PyInstaller's bootloader: the prebuilt one needs zlib on the machine that runs bytelog.
PYI_STATIC_ZLIB=1 build/venv/bin/pip install -q --no-binary pyinstaller '.[build,webhooks]'
# In the user's cache, builds that run at the same time would damage each other's files.
export PYINSTALLER_CONFIG_DIR=build/cache
# A fixed seed orders the sets in compiled code, so two builds have the same bytes.
PYTHONHASHSEED=0 build/venv/bin/pyinstaller --clean --log-level WARN --noconfirm \
  --workpath build --distpath "$output" deploy/bytelog.spec
