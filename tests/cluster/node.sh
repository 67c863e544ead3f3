# A node: its folder, its box of namespaces, its power switch. Sourced by scripts/cluster.
# shellcheck shell=bash

# node_lists NODE: pod ranges and addresses of the node in this cluster's address families.
node_pod_ranges() {
  local number
  number=$(node_number "$1")
  echo "10.244.$number.0/24"
  if [[ $DUAL_STACK -eq 1 ]]; then echo "fd00:244:0:$number::/64"; fi
}

node_ips() {
  local number
  number=$((10 + $(node_number "$1")))
  if [[ $DUAL_STACK -eq 1 ]]; then echo "10.77.0.$number,fd00:77::$number"; else echo "10.77.0.$number"; fi
}

# make_node NODE: everything on its "disk".
make_node() {
  local node=$1 dir="$STATE/nodes/$1"
  mkdir -p "$dir"/{kubernetes,log,pid,hold,disk}
  touch "$dir/hold/kubelet" # until its Node is entered, with the pod range of its number
  make_node_certificate "$node"
  kubeconfig "$node" "$dir/kubernetes/kubelet.kubeconfig"
  kubeconfig kube-proxy "$dir/kubernetes/kube-proxy.kubeconfig"
  cp "$STATE/pki/ca.crt" "$dir/kubernetes/"
  cp "$STATE/pki/$node.crt" "$dir/kubernetes/kubelet.crt"
  cp "$STATE/pki/$node.key" "$dir/kubernetes/kubelet.key"
  write_node_env "$node" "$dir/node.env"
  write_cni "$node" "$dir/cni.conflist"
  write_containerd "$dir/containerd.toml"
  write_kubelet "$node" "$dir/kubernetes/kubelet.yaml"
  write_kube_proxy "$node" "$dir/kubernetes/kube-proxy.yaml"
}

write_node_env() {
  cat >"$2" <<END
NODE=$1
ADDRESS=$(node_address "$1")
NODE_IPS=$(node_ips "$1")
CONTROL_ADDRESS=$CONTROL_ADDRESS
API=$API
CGROUP=$CGROUP_FORM
KUBE_HOME=$KUBE_HOME
END
}

write_cni() {
  local range ranges=() routes='{"dst": "0.0.0.0/0"}'
  for range in $(node_pod_ranges "$1"); do ranges+=("[{\"subnet\": \"$range\"}]"); done
  if [[ $DUAL_STACK -eq 1 ]]; then routes+=', {"dst": "::/0"}'; fi
  cat >"$2" <<END
{
  "cniVersion": "0.4.0",
  "name": "pods",
  "plugins": [
    {
      "type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true, "ipMasq": false,
      "ipam": {"type": "host-local", "ranges": [$(IFS=,; echo "${ranges[*]}")], "routes": [$routes]}
    },
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
END
}

# Images come from the cluster's own server, whatever registry their names mean.
write_containerd() {
  cat >"$1" <<END
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true # pause wants -998, and without CAP_SYS_RESOURCE nobody may lower it
  sandbox_image = "weft.local/pause:dev"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/opt/cni/bin"
    conf_dir = "/etc/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".registry.mirrors."*"]
    endpoint = ["http://$CONTROL_ADDRESS:5000"]
END
  [[ $CGROUP_FORM == v2 ]] && ! grep -qw cpu "$(own_v2)/cgroup.controllers" || return 0
  cat >>"$1" <<END
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      BinaryName = "/mnt/runc-without-limits.sh"
END
  cp "$CLUSTER_SCRIPTS/runc-without-limits.sh" "$(dirname "$1")/"
}

write_kubelet() {
  cat >"$2" <<END
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
failSwapOn: false
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
volumePluginDir: /var/lib/kubelet/volumeplugins
address: "$([[ $DUAL_STACK -eq 1 ]] && echo '::' || node_address "$1")"
clusterDNS: [10.96.0.10]
clusterDomain: cluster.local
resolvConf: /etc/resolv.conf
staticPodPath: /etc/kubernetes/manifests
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: /etc/kubernetes/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: /etc/kubernetes/kubelet.crt
tlsPrivateKeyFile: /etc/kubernetes/kubelet.key
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, nodefs.inodesFree: 1%, imagefs.available: 1%}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
nodeStatusUpdateFrequency: 5s
serializeImagePulls: false
registryPullQPS: 0
maxPods: 200
END
}

# Sizes of the conntrack table cannot be written from a network namespace. The default of 1 s between two syncs would
# send a UDP packet to nowhere meanwhile, and a resolver asks again only after 5 s.
write_kube_proxy() {
  cat >"$2" <<END
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: $PROXY_MODE
clientConnection: {kubeconfig: /etc/kubernetes/kube-proxy.kubeconfig}
clusterCIDR: "$POD_RANGES"
hostnameOverride: $1
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
nftables: {minSyncPeriod: 100ms}
iptables: {minSyncPeriod: 100ms}
END
}

# power_on NODE: starts its box. The node's network namespace and folder are there.
power_on() {
  local node=$1 dir="$STATE/nodes/$1"
  make_cgroups "$node"
  rm -f "$dir"/pid/*
  (
    join_cgroups "$node"
    exec setsid nsenter --net="$(netns_file "$node")" -- \
      unshare --mount --uts --ipc --cgroup --pid --fork --kill-child -- \
      env -i "$CLUSTER_SCRIPTS/node-init.sh" "$dir" </dev/null >>"$dir/log/init.log" 2>&1
  ) &
  echo $! >"$dir/launcher.pid"
}

# power_cut NODE: all its processes end at once; what was in memory (mounts, pins, rules, wires) is gone, its disk stays.
power_cut() {
  mapfile -t dirs < <(our_cgroups "$1")
  empty_cgroups "${dirs[@]}" || die "processes of $1 do not end: $(processes_in "${dirs[@]}" | tr '\n' ' ')"
  remove_place "$1"
  rm -f "$STATE/nodes/$1/launcher.pid" "$STATE/nodes/$1"/{pid,hold}/* "$STATE/nodes/$1/boot_id"
}
