# The Kubernetes programs: built once from their Go modules, kept outside the checkout. Sourced by scripts/cluster.
# shellcheck shell=bash

KUBE_VERSION=v1.36.4
KUBE_GO_MINOR=26

# kube_home: where the programs of this go.mod, go.sum and main.go are, or will be.
kube_home() {
  local key
  key=$(cd "$CLUSTER_SCRIPTS/kube" && cat go.mod go.sum main.go | sha256sum | cut -c1-16)
  echo "${WEFT_CACHE:-/var/cache/weft}/$key"
}

check_go() {
  local found minor
  found=$(GOTOOLCHAIN=local go env GOVERSION 2>/dev/null || echo none)
  minor=${found#go1.} minor=${minor%%[^0-9]*}
  [[ $found == go1.* && $minor -ge $KUBE_GO_MINOR ]] ||
    die "Go 1.$KUBE_GO_MINOR or newer is needed to build Kubernetes (for the test cluster only); found: $found. " \
      "Debian 12's is too old: take it from https://go.dev/dl"
}

# build_kube: sets KUBE_HOME and makes sure that the programs are there.
build_kube() {
  KUBE_HOME=$(kube_home)
  if [[ -x $KUBE_HOME/kube ]]; then
    return
  fi
  check_go
  mkdir -p "$(dirname "$KUBE_HOME")"
  (
    flock 8
    [[ ! -x $KUBE_HOME/kube ]] || exit 0 # somebody else built it meanwhile
    build_kube_locked
  ) 8>"$(dirname "$KUBE_HOME")/build.lock"
}

build_kube_locked() {
  local part stamp log name version=k8s.io/component-base/version
  part=$KUBE_HOME.part
  log=$KUBE_HOME.log
  stamp=$(date +%s)
  say "kubernetes $KUBE_VERSION: building (6 minutes on 2 idle cores, once; log: $log)"
  rm -rf "$part"
  mkdir -p "$part"
  (
    cd "$CLUSTER_SCRIPTS/kube"
    CGO_ENABLED=0 nice go build -trimpath -buildvcs=false -gcflags=all=-dwarf=false \
      -ldflags "-s -w -X $version.gitVersion=$KUBE_VERSION -X $version.gitMajor=1 -X $version.gitMinor=36" \
      -o "$part/kube" .
  ) >"$log" 2>&1 || {
    tail -n 20 "$log" >&2
    die "kubernetes could not be built (whole log: $log)"
  }
  for name in kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubelet kubectl etcd coredns; do
    ln -s kube "$part/$name"
  done
  mv -T "$part" "$KUBE_HOME"
  say "kubernetes $KUBE_VERSION: built in $(($(date +%s) - stamp)) s, $(du -m "$KUBE_HOME/kube" | cut -f1) MiB in $KUBE_HOME"
}
