#!/bin/sh
# Builds a release in dist/: source distribution, wheel, executable, packages.txt with the versions
# of the packages in the executable, and SHA256SUMS. The same commit gives the same bytes in every
# folder, with the same system and packages. To build with the packages of an earlier release:
# PIP_CONSTRAINT=/path/to/packages.txt deploy/release.sh
set -eu
cd "$(dirname "$0")/.."
if [ -n "$(git status --porcelain)" ]; then
  echo "The work tree has changes, which no release may contain. Commit or remove them." >&2
  exit 1
fi

umask 022
export LC_ALL=C
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH

# Only what is committed, without ignored files, and with the permissions that git knows.
source=build/release
rm -rf dist "$source"
mkdir -p dist "$source"
git -c tar.umask=022 archive HEAD | tar -x -C "$source"

"$source/deploy/build.sh" dist
dist=$(realpath dist)
cd "$source"
build/venv/bin/python -c '
import sys
from flit_core import buildapi
buildapi.build_sdist(sys.argv[1])
buildapi.build_wheel(sys.argv[1])' "$dist"
build/venv/bin/pip freeze -q --exclude bytelog > "$dist/packages.txt"
cd "$dist"
sha256sum -- * > SHA256SUMS
