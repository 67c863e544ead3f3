#!/usr/bin/env bash
# Shared by the commands in this folder: packages, preflight, narration. Sourced, never run.
# shellcheck shell=bash
set -euo pipefail

WEFT_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
WEFT_STARTED=$(date +%s)
export WEFT_ROOT

elapsed() { printf '%4ds' $(($(date +%s) - WEFT_STARTED)); }
say() { printf '[%s] %s\n' "$(elapsed)" "$*"; }
die() {
  printf '[%s] FAILED: %s\n' "$(elapsed)" "$*" >&2
  exit 1
}

# packages SECTION...: the names listed under these sections of packages.txt.
packages() {
  local section='' wanted=" $* " line
  while read -r line; do
    case $line in
      '' | '#'*) ;;
      '['*) section=${line#[} section=${section%]} ;;
      *) if [[ $wanted == *" $section "* ]]; then echo "$line"; fi ;;
    esac
  done <"$WEFT_ROOT/scripts/packages.txt"
}

# install_packages SECTION...: installs what is missing, with Debian's packages only.
install_packages() {
  local missing=() name log
  for name in $(packages "$@"); do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null) == installed ]] || missing+=("$name")
  done
  if [[ ${#missing[@]} -eq 0 ]]; then
    say "packages: all there"
    return
  fi
  say "packages: installing ${missing[*]}"
  log=$(mktemp)
  # RUNLEVEL=1 keeps an installation from starting servers.
  if ! (apt-get update -qq && DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
    apt-get install -y -qq --no-install-recommends "${missing[@]}") >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    die "apt-get could not install: ${missing[*]}"
  fi
  rm -f "$log"
}

# preflight: one line for each thing that this machine lacks; ends the run if there is any.
preflight() {
  local lacks=0
  lack() {
    printf 'preflight: %s\n' "$*" >&2
    lacks=1
  }
  [[ $(id -u) -eq 0 ]] || lack "not root: run this command as root (it makes network namespaces and loads BPF programs)"
  [[ $(uname -m) == x86_64 ]] || lack "the machine is $(uname -m): only x86_64 is built so far"
  grep -q '^ID=debian' /etc/os-release 2>/dev/null || lack "not Debian: packages are installed by Debian's names"
  [[ -r /sys/kernel/btf/vmlinux ]] || lack "no kernel BTF at /sys/kernel/btf/vmlinux: a kernel with CONFIG_DEBUG_INFO_BTF is needed"
  awk '$3 == "cgroup2" {found = 1} END {exit !found}' /proc/mounts ||
    lack "no cgroup v2 mount in /proc/mounts: mount -t cgroup2 none /sys/fs/cgroup/unified"
  if ! awk '$2 == "/sys/fs/bpf" && $3 == "bpf" {found = 1} END {exit !found}' /proc/mounts; then
    mount -t bpf bpf /sys/fs/bpf 2>/dev/null || lack "no bpf file system at /sys/fs/bpf, and it could not be mounted"
  fi
  [[ $lacks -eq 0 ]] || die "preflight: mend the lines above and run the command again"
  say "preflight: root, BTF, cgroup v2 and bpffs are there"
}

# preflight_hooks BIN_DIR: loads each hook for real; the agent names the one that the kernel refuses.
preflight_hooks() {
  "$1/weft-agent" --probe || die "preflight: a kernel hook cannot be loaded (see the line above)"
}

# build PRESET [TARGET...]: configures and builds; shows the compiler's words only when it fails.
build() {
  local preset=$1 log targets=()
  shift
  [[ $# -eq 0 ]] || targets=(--target "$@")
  log="$WEFT_ROOT/build/$preset.log"
  mkdir -p "$WEFT_ROOT/build"
  say "build: $preset${*:+ ($*)}"
  (
    cd "$WEFT_ROOT"
    cmake --preset "$preset" >"$log" 2>&1 && cmake --build "build/$preset" "${targets[@]}" >>"$log" 2>&1
  ) || {
    grep -E 'error|warning:|FAILED' "$log" | head -n 40 >&2 || tail -n 40 "$log" >&2
    die "build $preset (whole log: build/$preset.log)"
  }
}
