#!/bin/sh
# Install Debian packages that are missing, where that is possible; say so where it is not.
# The tests that need an absent program skip loudly, and fail where CI is set.
set -eu
missing=""
for package in "$@"; do
  status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$status" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
  echo "not installed:$missing (as root on Debian: apt-get install$missing)" >&2
  exit 0
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# Word splitting is wanted: one argument for each package.
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends $missing >/dev/null
