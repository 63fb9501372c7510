#!/bin/sh
# Builds the executable: dist/bytelog, or bytelog in the folder that is named.
set -eu
into=$(realpath "${1:-dist}")
cd "$(dirname "$0")/.."
python3 -m venv build/venv
# PyInstaller's own start is compiled here: the ready-made one needs zlib where bytelog runs.
PYI_STATIC_ZLIB=1 build/venv/bin/pip install -q --no-binary pyinstaller '.[build]'
build/venv/bin/pyinstaller --log-level WARN --noconfirm \
  --workpath build --distpath "$into" deploy/bytelog.spec
