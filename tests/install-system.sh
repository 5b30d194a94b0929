#!/bin/sh
# Installs the Debian packages that browser, broker and database tests need, where they are missing and we may.
# Never fails: the tests that lack something say so and skip.
set -u
PATH=$PATH:/usr/sbin:/usr/local/sbin
packages=""
command -v mosquitto >/dev/null 2>&1 || packages="$packages mosquitto"
command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1 \
  || command -v google-chrome >/dev/null 2>&1 || packages="$packages chromium"
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null 2>&1 || packages="$packages postgresql"
# Without a font the screenshots would show boxes instead of Chinese.
find /usr/share/fonts "${HOME:-/nonexistent}/.fonts" -iname '*cjk*' 2>/dev/null | grep -q . || packages="$packages fonts-noto-cjk"
[ -z "$packages" ] && exit 0

if ! command -v apt-get >/dev/null 2>&1; then
  echo "not a Debian system: install these yourself for all tests to run:$packages" >&2
  exit 0
fi
if [ "$(id -u)" = 0 ]; then
  as_root=""
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
  as_root="sudo -n"
else
  echo "not root and no sudo: some tests will skip for lack of:$packages" >&2
  exit 0
fi
echo "installing for the tests:$packages"
export DEBIAN_FRONTEND=noninteractive
install() { $as_root apt-get install -y -qq --no-install-recommends $packages >/dev/null 2>&1; }
install || { $as_root apt-get update -qq >/dev/null 2>&1; install; } \
  || echo "could not install:$packages; some tests will skip" >&2
# Servers that the packages start by themselves are not wanted: tests start their own on ports of their own.
if [ -n "$(echo "$packages" | grep mosquitto)" ] && command -v systemctl >/dev/null 2>&1; then
  $as_root systemctl disable --now mosquitto >/dev/null 2>&1
fi
if [ -n "$(echo "$packages" | grep postgresql)" ] && command -v systemctl >/dev/null 2>&1; then
  $as_root systemctl disable --now postgresql >/dev/null 2>&1
fi
exit 0
