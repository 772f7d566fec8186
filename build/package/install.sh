#!/bin/sh
# Installs portmesh, or upgrades it: chooses the executable for this machine, verifies its checksum and puts it in place.
# Only POSIX sh, coreutils or busybox, and curl or wget for a URL. Nothing is changed before the new file has been tried.
set -eu

{ # A shell that reads this from a pipe runs nothing before it has all of it.

usage() {
  cat <<'EOF'
Usage: sh install.sh [--from FOLDER|URL] [--to FILE] [--target NAME] [--sums FILE]

  --from FOLDER|URL  where SHA256SUMS and the executables are; default: the folder of this script
  --to FILE          default: /usr/local/bin/portmesh
  --target NAME      instead of what fits this machine: linux-x64, linux-x64-baseline, linux-arm64,
                     linux-x64-musl, linux-x64-musl-baseline, linux-arm64-musl
  --sums FILE        a copy of SHA256SUMS that you trust, instead of the one beside the executables

When FILE exists and a node runs, the node is upgraded too, without losing connections. PORTMESH_SOCKET names its
admin socket when that is not the default one.
Exit codes: 0 done, 1 failed and nothing changed, 2 wrong usage.
EOF
}

say() { printf '%s\n' "$*"; }
fail() {
  printf 'install.sh: %s\n' "$*" >&2
  exit 1
}
wrong() {
  printf 'install.sh: %s\n\n' "$*" >&2
  usage >&2
  exit 2
}

from='' to=/usr/local/bin/portmesh target='' sums=''
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help)
      usage
      exit 0
      ;;
    --from | --to | --target | --sums)
      [ -n "${2-}" ] || wrong "$1 needs a value"
      case $1 in
        --from) from=$2 ;;
        --to) to=$2 ;;
        --target) target=$2 ;;
        --sums) sums=$2 ;;
      esac
      shift 2
      ;;
    *) wrong "unknown argument: $1" ;;
  esac
done
if [ -z "$from" ]; then
  case $0 in
    */*) from=${0%/*} ;;
    *) from=. ;;
  esac
  [ -f "$from/SHA256SUMS" ] || wrong "no SHA256SUMS in $from: say where the executables are (--from)"
fi

# -- which executable

# The kernel's name of the architecture.
machine=$(uname -m)

c_library() {
  case $(ldd --version 2>&1 || true) in
    *musl*) say musl && return ;;
    *GNU* | *GLIBC* | *"Free Software Foundation"*) say glibc && return ;;
  esac
  for loader in /lib64/ld-linux-x86-64.so.2 /lib/ld-linux-x86-64.so.2 /lib/ld-linux-aarch64.so.1; do
    [ ! -e "$loader" ] || { say glibc && return; }
  done
  [ ! -e "/lib/ld-musl-$machine.so.1" ] || { say musl && return; }
  fail "cannot find glibc or musl: no loader in /lib and /lib64; choose with --target"
}

# The instructions that the plain x64 executable uses: those of Intel's Haswell.
has_avx2() {
  flags=" $(sed -n 's/^flags[[:space:]]*: //p' /proc/cpuinfo 2>/dev/null | head -n 1) "
  for flag in avx2 bmi1 bmi2 fma movbe abm; do
    case $flags in
      *" $flag "*) ;;
      *) return 1 ;;
    esac
  done
}

detect_target() {
  [ "$(uname -s)" = Linux ] || fail "portmesh runs on Linux; this is $(uname -s)"
  case $machine in
    x86_64 | amd64) cpu=x64 ;;
    aarch64 | arm64) cpu=arm64 ;;
    *) fail "no executable for the architecture $machine: there are x86_64 and aarch64" ;;
  esac
  library=$(c_library) || exit 1
  target=linux-$cpu
  [ "$library" = glibc ] || target=$target-musl
  if [ "$cpu" = x64 ] && ! has_avx2; then target=$target-baseline; fi
}

[ -n "$target" ] || detect_target
case $target in
  *[!a-z0-9-]*) wrong "\"$target\" is not a valid target" ;;
esac

# -- where to

[ ! -L "$to" ] || to=$(readlink -f "$to") || fail "cannot follow the link $to"
[ ! -d "$to" ] || to=${to%/}/portmesh
case $to in
  */*) folder=${to%/*} ;;
  *) folder=. ;;
esac
folder=${folder:-/}
[ -d "$folder" ] || fail "cannot install into $folder: no such folder"

# On the file system of the target, so that the last step is a rename.
work=$(mktemp -d "$folder/.portmesh-install.XXXXXX" 2>/dev/null) ||
  fail "cannot write to $folder: it is read-only, full, or not yours (try as root, or --to)"
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
new=$work/portmesh

# -- fetch and verify

# fetch NAME FILE
fetch() {
  case $from in
    http://* | https://* | ftp://* | file://*) download "${from%/}/$1" "$2" ;;
    *)
      [ -f "$from/$1" ] || fail "no $1 in $from"
      cp "$from/$1" "$2" || fail "cannot copy $from/$1 to $folder: see above"
      ;;
  esac
}

download() {
  say "downloading $1"
  if command -v curl >/dev/null 2>&1; then
    curl --fail --silent --show-error --location --output "$2" "$1" || fail "cannot download $1: see above"
  elif command -v wget >/dev/null 2>&1; then
    wget -q -O "$2" "$1" || fail "cannot download $1 with wget, or cannot write it to $folder"
  else
    fail "neither curl nor wget is installed: download the files, then use --from FOLDER"
  fi
}

if [ -n "$sums" ]; then
  cp "$sums" "$work/SHA256SUMS" || fail "cannot read $sums"
else
  fetch SHA256SUMS "$work/SHA256SUMS"
fi
# Lines are "HASH  NAME", or "HASH *NAME".
names=$(sed -n "s/^[0-9a-f]\{64\} [ *]\(portmesh-[0-9][^ /]*-$target\)\$/\1/p" "$work/SHA256SUMS")
case $names in
  '') fail "SHA256SUMS lists no executable for $target" ;;
  *"
"*) fail "SHA256SUMS lists several versions for $target: keep one" ;;
esac
expected=$(sed -n "s/^\([0-9a-f]\{64\}\) [ *]$names\$/\1/p" "$work/SHA256SUMS")

sum_of() {
  sum=$(sha256sum "$1") || fail "cannot compute the checksum of $1"
  say "${sum%% *}"
}
command -v sha256sum >/dev/null 2>&1 || fail "sha256sum is not installed: it is part of coreutils and busybox"

if [ -f "$to" ] && [ "$(sum_of "$to")" = "$expected" ]; then
  say "$to is $names already"
  exit 0
fi
fetch "$names" "$new"
actual=$(sum_of "$new")
[ "$actual" = "$expected" ] ||
  fail "$names is damaged: its SHA-256 is $actual, SHA256SUMS says $expected; fetch it again"

# -- try it, then put it in place

chmod 755 "$work" "$new" || fail "cannot make $new executable"
if ! version=$("$new" version 2>&1); then
  printf '%s\n' "$version" | head -n 5 >&2
  case $target in
    *musl*) fail "$names does not start here: it needs libstdc++ (Alpine: apk add libstdc++)" ;;
    *) fail "$names does not start here: see above, or choose another with --target" ;;
  esac
fi

put_in_place() {
  mv -f "$new" "$to" || fail "cannot replace $to"
}

if ! [ -x "$to" ] || ! "$to" status >/dev/null 2>&1; then
  put_in_place
  say "installed $to: $version"
elif ! "$to" upgrade --help >/dev/null 2>&1; then
  put_in_place
  say "installed $to: $version"
  say "the node still runs the old version, which cannot be upgraded in place: restart it"
else
  # The new process runs from the final path, so that a later restart finds it.
  old=$work/old
  ln "$to" "$old" 2>/dev/null || cp -p "$to" "$old" || fail "cannot keep a copy of $to"
  trap 'mv -f "$old" "$to"; rm -rf "$work"' EXIT
  put_in_place
  "$old" upgrade "$to" || fail "the node continues as before; $to is the old version again"
  trap 'rm -rf "$work"' EXIT
  say "upgraded the node: $version"
fi

exit 0
}
