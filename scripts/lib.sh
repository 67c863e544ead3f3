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

passed=0 failed=0 skipped=0

# run_suite NAME BUILD_DIR CTEST_ARGS...: runs ctest, shows its closing lines, adds to the count.
run_suite() {
  local name=$1 dir=$2 log report
  shift 2
  log="$WEFT_ROOT/build/ctest-$name.log"
  report="$WEFT_ROOT/build/ctest-$name.xml"
  rm -f "$report"
  say "test: $name"
  ctest --test-dir "$dir" --output-on-failure --output-junit "$report" --no-tests=error \
    --test-output-size-passed 8000000 --test-output-size-failed 8000000 "$@" >"$log" 2>&1 ||
    grep -E '^\s*[0-9]+/|\*\*\*|Failure|error:|FAILED|Expected|Which|Value of|Actual' "$log" | head -n 80 || true
  sed -n '/tests passed/,$p' "$log"
  local counts
  counts=$(python3 - "$report" <<'PY'
import sys, xml.etree.ElementTree as tree
cases = list(tree.parse(sys.argv[1]).getroot().iter("testcase"))
# A program of tests counts by its cases; what it printed as skipped counts as skipped.
passed = failed = skipped = 0
for case in cases:
    text = case.findtext("system-out") or ""
    oks, bad, skips = text.count("[       OK ]"), text.count("[  FAILED  ]"), text.count("[  SKIPPED ]")
    if case.get("status") == "run":
        passed += max(oks, 1) if not skips else oks
        skipped += skips // 2 if skips > 1 else skips
    elif case.get("status") == "fail":
        passed += oks
        failed += 1
    else:
        skipped += 1
print(passed, failed, skipped)
PY
  )
  read -r p f s <<<"$counts"
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
}

# close_suites: the count of all that run_suite ran. Fails when one failed or was skipped, or when none ran.
close_suites() {
  say "done"
  [[ $skipped -eq 0 ]] || echo "SKIPPED: $skipped tests did not run; see build/ctest-*.log"
  echo "$passed passed, $failed failed, $skipped skipped"
  [[ $failed -eq 0 && $passed -gt 0 ]] && [[ $skipped -eq 0 ]]
}
