# Names, places and small helpers of the test cluster. Sourced by scripts/cluster, never run.
# shellcheck shell=bash
# A place is "control" (the switch and the control plane), "outside" (a client beyond the cluster) or a node.

CLUSTER_SCRIPTS="$WEFT_ROOT/tests/cluster"
CONTROL_ADDRESS=10.77.0.1
OUTSIDE_ADDRESS=10.77.0.100
API="https://$CONTROL_ADDRESS:6443"
export CLUSTER_SCRIPTS CONTROL_ADDRESS OUTSIDE_ADDRESS API

# cluster_paths NAME: sets where the cluster of that name keeps things. No dash in a name: it parts the words of others.
cluster_paths() {
  [[ $1 =~ ^[a-z][a-z0-9]{0,15}$ ]] || die "a cluster's name is 1 to 16 of a-z and 0-9: $1"
  CLUSTER=$1
  STATE=${WEFT_CLUSTER_DIR:-/run/weft-cluster}/$CLUSTER
  GROUP=weft-cluster-$CLUSTER
  export GROUP
}

netns_file() { echo "/run/netns/weft-$CLUSTER-$1"; }

in_netns() {
  local place=$1
  shift
  nsenter --net="$(netns_file "$place")" -- "$@"
}

# nodes: the names of this cluster's nodes; also of those that are cut off from power.
nodes() {
  local dir
  for dir in "$STATE"/nodes/*/; do
    if [[ -d $dir ]]; then basename "$dir"; fi
  done
}

is_node() { [[ -d $STATE/nodes/$1 ]]; }

# box_of PLACE: the folder with log/, pid/ and hold/ of the daemons there.
box_of() {
  if [[ $1 == control ]]; then echo "$STATE/control"; else echo "$STATE/nodes/$1"; fi
}

# node_address NODE, node_number NODE: node3 is 10.77.0.13 and owns the pods of 10.244.3.0/24.
node_number() { echo "${1#node}"; }
node_address() { echo "10.77.0.$((10 + $(node_number "$1")))"; }

# node_init_pid NODE: pid of the node's pid 1 as this machine sees it; fails when the node has no power.
node_init_pid() {
  local launcher
  launcher=$(cat "$STATE/nodes/$1/launcher.pid" 2>/dev/null) || return 1
  pgrep -P "$launcher" | head -n 1 | grep .
}

# kubectl WORDS...: the real one, beside the API server, as cluster admin.
kubectl() {
  KUBECONFIG="$STATE/admin.kubeconfig" KUBECACHEDIR="$STATE/kubectl-cache" in_netns control "$STATE/bin/kubectl" "$@"
}

# settle SECONDS COMMAND...: until the command succeeds; fails when the time is over.
settle() {
  local until=$(($(date +%s) + $1))
  shift
  until "$@"; do
    [[ $(date +%s) -lt $until ]] || return 1
    sleep 0.1
  done
}

api_is_ready() {
  in_netns control curl -sf -m 2 -o /dev/null --cacert "$STATE/pki/ca.crt" "$API/readyz"
}
