#!/bin/sh
# Builds the executable: dist/bytelog, or bytelog in the folder that is passed as an argument.
set -eu
output=$(realpath "${1:-dist}")
cd "$(dirname "$0")/.."
python3 -m venv build/venv
# Compile PyInstaller's bootloader: the prebuilt one needs zlib on the machine that runs bytelog.
PYI_STATIC_ZLIB=1 build/venv/bin/pip install -q --no-binary pyinstaller '.[build]'
build/venv/bin/pyinstaller --log-level WARN --noconfirm \
  --workpath build --distpath "$output" deploy/bytelog.spec
