# What scripts/cluster does, step by step. Sourced by scripts/cluster.
# shellcheck shell=bash

# cluster_preflight: one line for each thing that this machine lacks.
cluster_preflight() {
  local lacks=0
  lack() {
    printf 'preflight: %s\n' "$*" >&2
    lacks=1
  }
  [[ $(id -u) -eq 0 ]] || lack "not root: run this command as root (it makes namespaces, cgroups and mounts)"
  [[ $(uname -m) == x86_64 ]] || lack "the machine is $(uname -m): only x86_64 is built so far"
  awk '$3 == "cgroup2" {found = 1} END {exit !found}' /proc/mounts || lack "no cgroup v2 mount in /proc/mounts"
  if [[ $CGROUP_FORM == hybrid ]]; then
    grep -q ':memory:' /proc/self/cgroup || lack "no v1 memory hierarchy: --cgroup hybrid cannot be had on this machine"
  fi
  unshare --net sh -c 'ip link add br0 type bridge && ip link add veth0 type veth peer name veth1' 2>/dev/null ||
    lack "no network namespace with a bridge and veths can be made (kernel: NET_NS, BRIDGE, VETH)"
  unshare --net nft list ruleset >/dev/null 2>&1 || lack "nftables does not answer in a network namespace"
  unshare --net iptables -t nat -S >/dev/null 2>&1 || lack "iptables has no nat table in a network namespace"
  grep -qw overlay /proc/filesystems || modprobe overlay 2>/dev/null || lack "no overlay file system in the kernel"
  [[ $(df --output=avail -m "$(dirname "$(dirname "$STATE")")" | tail -n 1) -gt 2000 ]] ||
    lack "less than 2 GB free for $STATE: set WEFT_CLUSTER_DIR to another folder"
  [[ $lacks -eq 0 ]] || die "preflight: mend the lines above and run the command again"
}

own_v2() { own_cgroups | head -n 1; }

up_options() {
  NODES=2 CGROUP_FORM=v2 PROXY_MODE=nftables DUAL_STACK=0
  while [[ $# -gt 0 ]]; do
    case $1 in
      --nodes) NODES=${2:?--nodes N} && shift ;;
      --cgroup) CGROUP_FORM=${2:?--cgroup v2|hybrid} && shift ;;
      --proxy-mode) PROXY_MODE=${2:?--proxy-mode nftables|iptables} && shift ;;
      --dual-stack) DUAL_STACK=1 ;;
      *) die "up: unknown option $1 (known: --nodes, --cgroup, --proxy-mode, --dual-stack)" ;;
    esac
    shift
  done
  [[ $NODES =~ ^[1-9]$ ]] || die "--nodes: 1 to 9, not $NODES"
  [[ $CGROUP_FORM == v2 || $CGROUP_FORM == hybrid ]] || die "--cgroup: v2 or hybrid, not $CGROUP_FORM"
  [[ $PROXY_MODE == nftables || $PROXY_MODE == iptables ]] || die "--proxy-mode: nftables or iptables, not $PROXY_MODE"
  POD_RANGES=10.244.0.0/16 SERVICE_RANGES=10.96.0.0/16
  if [[ $DUAL_STACK -eq 1 ]]; then
    POD_RANGES+=,fd00:244::/56
    SERVICE_RANGES+=,fd00:96::/112
  fi
}

# whole: whether everything that `up` made still runs.
whole() {
  local node
  [[ -e $STATE/up ]] && kill -0 "$(cat "$STATE/control/launcher.pid")" 2>/dev/null || return 1
  for node in $(nodes); do
    node_init_pid "$node" >/dev/null || return 1
  done
  api_is_ready
}

cluster_up() {
  local node all=()
  up_options "$@"
  if whole; then
    say "cluster $CLUSTER is already up ($(cat "$STATE/up")); scripts/cluster down removes it"
    return
  fi
  install_packages cluster
  cluster_preflight
  build_kube
  if [[ -n $(traces) ]]; then
    say "a half-made or broken cluster $CLUSTER is there: removing it"
    remove_cluster
  fi
  for node in $(seq 1 "$NODES"); do all+=("node$node"); done
  trap 'up_failed' EXIT
  make_images "$STATE/images"
  lay_out "${all[@]}"
  start_control
  for node in "${all[@]}"; do power_on "$node"; done
  say "control plane and ${#all[@]} nodes started"
  settle 60 api_is_ready || die "the API server does not become ready: scripts/cluster logs control kube-apiserver"
  enter_objects "${all[@]}"
  wait_until_ready "${all[@]}"
  echo "${#all[@]} nodes, cgroup $CGROUP_FORM, kube-proxy $PROXY_MODE, dual stack $DUAL_STACK" >"$STATE/up"
  trap - EXIT
  say "cluster $CLUSTER is up: $(cat "$STATE/up")"
}

# up_failed: a half-made cluster stays for a look; the next up or down removes it.
up_failed() {
  printf '[%s] cluster %s did not come up. Logs: %s/{control,nodes/*}/log. scripts/cluster down removes it.\n' \
    "$(elapsed)" "$CLUSTER" "$STATE" >&2
}

# build_programs: what the images are made of; sets WEFT_BIN.
build_programs() {
  local targets=(weft-agent weft-proxy weftctl httpgo probe echo)
  if grep -q 'add_executable(weft-cni' "$WEFT_ROOT/agent/CMakeLists.txt"; then targets+=(weft-cni); fi
  build release "${targets[@]}"
  export WEFT_BIN="$WEFT_ROOT/build/release/bin"
}

# make_images LAYOUT [--archives DIR]
make_images() {
  local layout=$1
  shift
  [[ -n ${WEFT_BIN:-} ]] || build_programs
  say "images: from $WEFT_BIN"
  "$CLUSTER_SCRIPTS/images.py" --bin "$WEFT_BIN" --out "$layout" "$@"
}

# remake_images [--archives DIR]: for the running cluster, if there is one: its nodes forget what they have pulled under
# these names, so that the next pod, whatever its pull policy, gets the new one.
remake_images() {
  local node image
  if [[ ! -e $STATE/up ]]; then
    make_images "$WEFT_ROOT/build/images" "$@"
    return
  fi
  make_images "$STATE/images" "$@"
  for node in $(nodes); do
    node_init_pid "$node" >/dev/null || continue
    for image in $(jq -r '.manifests[].annotations["io.containerd.image.name"]' "$STATE/images/index.json"); do
      [[ $image == */pause:* ]] || (cluster_shell "$node" ctr -n k8s.io images rm "$image") >/dev/null 2>&1 || true
    done
  done
  say "the nodes pull the new images with the next pods"
}

# lay_out NODES...: folders, certificates, wires.
lay_out() {
  local node
  mkdir -p "$STATE"/control/{log,pid,hold}
  ln -s "$KUBE_HOME" "$STATE/bin"
  cat >"$STATE/plan.env" <<END
CONTROL_ADDRESS=$CONTROL_ADDRESS
API=$API
POD_RANGES=$POD_RANGES
SERVICE_RANGES=$SERVICE_RANGES
IMAGES=$STATE/images
END
  make_certificates
  for node in "$@"; do make_node "$node"; done
  make_switch
  for node in "$@"; do plug_node "$node" "$@"; done
}

start_control() {
  make_cgroups control
  (
    join_cgroups control
    exec setsid nsenter --net="$(netns_file control)" -- \
      env -i "$CLUSTER_SCRIPTS/control-init.sh" "$STATE" </dev/null >>"$STATE/control/log/init.log" 2>&1
  ) &
  echo $! >"$STATE/control/launcher.pid"
}

# enter_objects NODES...: the nodes, so that each has the pod range of its number (and can be told from the others by who
# spreads pods before its kubelet came), and the cluster's names.
enter_objects() {
  local node ranges
  {
    for node in "$@"; do
      mapfile -t ranges < <(node_pod_ranges "$node")
      printf 'apiVersion: v1\nkind: Node\nmetadata: {name: %s, labels: {kubernetes.io/hostname: %s}}\n' "$node" "$node"
      printf 'spec: {podCIDR: "%s", podCIDRs: [%s]}\n---\n' "${ranges[0]}" "$(IFS=,; echo "${ranges[*]}" | sed 's/[^,]*/"&"/g')"
    done
    cat "$CLUSTER_SCRIPTS/coredns.yaml"
  } >"$STATE/objects.yaml"
  kubectl create --validate=false -f "$STATE/objects.yaml" >"$STATE/control/log/objects.log" 2>&1 ||
    die "objects of the cluster: $(tail -n 3 "$STATE/control/log/objects.log")"
  rm -f "$STATE"/nodes/*/hold/kubelet
}

wait_until_ready() {
  kubectl wait --for=condition=Ready --timeout=60s "${@/#/node/}" >/dev/null || die "a node does not become ready"
  say "nodes are ready"
  kubectl -n kube-system rollout status deployment/coredns --timeout=60s >/dev/null || die "CoreDNS does not become ready"
}

cluster_down() {
  if [[ -z $(traces) ]]; then
    say "cluster $CLUSTER is not there"
    return
  fi
  remove_cluster
  [[ -z $(traces) ]] || die "left behind: $(traces)"
  say "cluster $CLUSTER is removed"
}

cluster_boot() {
  local all
  if node_init_pid "$1" >/dev/null; then
    say "$1 has power already"
    return
  fi
  mapfile -t all < <(nodes)
  power_cut "$1" # what a killed box left
  plug_node "$1" "${all[@]}"
  power_on "$1"
  settle 60 has_booted "$1" || die "$1 does not report this boot: scripts/cluster logs $1 kubelet"
  kubectl wait --for=condition=Ready --timeout=60s "node/$1" >/dev/null || die "$1 does not become ready"
  say "$1 has booted"
}

# has_booted NODE: whether kubelet has told the API server of this boot. Before, all that is known is of the last one.
has_booted() {
  [[ -s $STATE/nodes/$1/boot_id ]] &&
    [[ $(kubectl get node "$1" -o 'jsonpath={.status.nodeInfo.bootID}' 2>/dev/null) == "$(cat "$STATE/nodes/$1/boot_id")" ]]
}

# cluster_test [CTEST_ARGS...]: everything of label cluster. A skipped test is a failure here too.
cluster_test() {
  preflight
  install_packages build run test cluster
  build_kube
  # All of it optimised, as users run it: no other suite does that.
  [[ -n ${WEFT_BIN:-} ]] || build_programs
  build release cluster_tests
  export WEFT_KUBE_HOME=$KUBE_HOME
  run_suite cluster "$WEFT_ROOT/build/release" -L cluster "$@"
  close_suites
}

# daemons PLACE: those that are started there.
daemons() {
  if [[ $1 == control ]]; then
    echo images etcd kube-apiserver kube-controller-manager kube-scheduler
  else
    echo containerd kubelet kube-proxy
  fi
}

need_daemon() {
  [[ $1 == control ]] || need_node "$1"
  [[ " $(daemons "$1") " == *" $2 "* ]] || die "no daemon $2 in $1 (there are: $(daemons "$1"))"
}

# signal_daemon PLACE DAEMON SIGNAL: pids of a node's daemons are those of its own pid namespace.
signal_daemon() {
  local pid init
  pid=$(cat "$(box_of "$1")/pid/$2" 2>/dev/null) || return 0
  if [[ $1 == control ]]; then
    kill "-$3" "$pid" 2>/dev/null || true
  else
    init=$(node_init_pid "$1") || return 0
    nsenter --pid="/proc/$init/ns/pid" -- kill "-$3" "$pid" 2>/dev/null || true
  fi
}

daemon_kill() {
  need_daemon "$1" "$2"
  signal_daemon "$1" "$2" KILL
}

daemon_stop() {
  need_daemon "$1" "$2"
  touch "$(box_of "$1")/hold/$2"
  signal_daemon "$1" "$2" KILL
}

daemon_start() {
  need_daemon "$1" "$2"
  rm -f "$(box_of "$1")/hold/$2"
}

# cluster_shell PLACE [COMMAND...]
cluster_shell() {
  local place=$1 init
  shift
  [[ $# -gt 0 ]] || set -- bash
  if is_node "$place"; then
    init=$(node_init_pid "$place") || die "$place has no power"
    join_cgroups "$place" # so that it counts as of this node, and ends with it
    exec nsenter --target "$init" --mount --uts --ipc --net --pid --cgroup -- env PATH="/opt/weft:$PATH" "$@"
  fi
  [[ -e $(netns_file "$place") ]] || die "no place $place: control, outside or $(nodes | tr '\n' ' ')"
  exec nsenter --net="$(netns_file "$place")" -- "$@"
}

# cluster_with COMMAND...
cluster_with() {
  export WEFT_KUBECONFIG="$STATE/admin.kubeconfig" WEFT_KUBECTL="$STATE/bin/kubectl" WEFT_CLUSTER=$CLUSTER
  export WEFT_CLUSTER_TOOL="$WEFT_ROOT/scripts/cluster" WEFT_KUBE_HOME
  WEFT_KUBE_HOME=$(kube_home)
  exec nsenter --net="$(netns_file control)" -- "$@"
}

# cluster_during COMMAND...: on a cluster of its own.
cluster_during() {
  local status=0
  "$0" --name "$CLUSTER" down >/dev/null
  trap '"$0" --name "$CLUSTER" down >/dev/null' EXIT
  "$0" --name "$CLUSTER" up
  (cluster_with "$@") || status=$?
  return "$status"
}

cluster_status() {
  local place daemon
  if [[ ! -e $STATE/up ]]; then
    say "cluster $CLUSTER is not up"
    traces
    return 1
  fi
  say "cluster $CLUSTER: $(cat "$STATE/up"); kubeconfig $STATE/admin.kubeconfig (from within: scripts/cluster shell control)"
  for place in control $(nodes); do
    printf '  %-8s' "$place"
    if [[ $place != control ]] && ! node_init_pid "$place" >/dev/null; then
      echo "no power"
      continue
    fi
    for daemon in $(daemons "$place"); do
      if [[ -e $(box_of "$place")/pid/$daemon ]]; then printf ' %s' "$daemon"; else printf ' (%s is down)' "$daemon"; fi
    done
    echo
  done
  kubectl get nodes -o wide
}
