#!/usr/bin/env bash
# Pid 1 of a node, in namespaces of its own (mount, uts, ipc, cgroup, pid; net from outside): node-init.sh NODE_DIR.
# Makes a machine of them that touches nothing of the real one, then keeps containerd, kubelet and kube-proxy running.
set -euo pipefail
here=$(dirname "$0")
box=/mnt # /run is hidden below; the node's folder is bound to /mnt
source "$here/supervise.sh"
source "$1/node.env" # NODE ADDRESS API CGROUP KUBE_HOME
export PATH=/opt/weft:/usr/sbin:/usr/bin:/sbin:/bin

hostname "$NODE"
mount --make-rprivate /
mount --bind "$1" "$box"
# What the machine has mounted there is none of this node's, and held here it could not go away.
umount -R -l /run/netns 2>/dev/null || true
umount -R -l /sys 2>/dev/null || true
mount -t proc proc /proc
mount -t sysfs sysfs /sys # of this network namespace
mount -t bpf bpf /sys/fs/bpf

# Pure v2: only cgroup2, as on the machines of users; daemons in a leaf, since a group that hands controllers down holds
# no process. Hybrid: the v1 controllers beside a v2 tree without any; daemons in a leaf of that too, as systemd has them,
# or kubelet would be told from nobody. Made in this cgroup namespace: runc sees them rootless.
if [[ $CGROUP == v2 ]]; then
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
  mkdir -p /sys/fs/cgroup/system
  echo 0 >/sys/fs/cgroup/system/cgroup.procs
else
  mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup
  while IFS=: read -r id controllers _; do
    case $id:$controllers in
      0:*) dir=unified kind=(cgroup2) ;;
      *:name=*) dir=${controllers#name=} kind=(cgroup -o "none,$controllers") ;;
      *) dir=${controllers//,/_} kind=(cgroup -o "$controllers") ;;
    esac
    mkdir "/sys/fs/cgroup/$dir"
    mount -t "${kind[@]}" cgroup "/sys/fs/cgroup/$dir"
  done </proc/self/cgroup
  mkdir -p /sys/fs/cgroup/unified/system
  echo 0 >/sys/fs/cgroup/unified/system/cgroup.procs
fi

# The machine stays clean: what a node writes there lands in its folder, and outlives a power cut as a disk does.
for dir in etc var opt; do
  mkdir -p "$box/disk/$dir/upper" "$box/disk/$dir/work"
  mount -t overlay overlay -o "lowerdir=/$dir,upperdir=$box/disk/$dir/upper,workdir=$box/disk/$dir/work" "/$dir"
done
for dir in containerd kubelet; do # plain folders: containerd makes overlays in its own
  mkdir -p "$box/disk/$dir" "/var/lib/$dir"
  mount --bind "$box/disk/$dir" "/var/lib/$dir"
done
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs tmpfs /tmp
mkdir -p /run/netns /run/lock /etc/cni/net.d /opt/cni/bin /opt/weft /etc/kubernetes/manifests /etc/containerd
mount --bind "$KUBE_HOME" /opt/weft
[[ -e /opt/cni/bin/bridge ]] || cp /usr/lib/cni/{bridge,host-local,loopback,portmap} /opt/cni/bin/
cp "$box"/kubernetes/* /etc/kubernetes/
cp "$box/containerd.toml" /etc/containerd/config.toml
[[ -e $box/disk/booted ]] || cp "$box/cni.conflist" /etc/cni/net.d/10-bridge.conflist
touch "$box/disk/booted"
echo "$NODE" >/etc/hostname
printf '127.0.0.1 localhost\n::1 localhost\n%s %s\n' "$ADDRESS" "$NODE" >/etc/hosts
: >/etc/resolv.conf # no name server beyond the cluster
md5sum <<<"$box $NODE" | cut -c1-32 >/etc/machine-id

# kubelet wants these five machine-wide sysctls so; files that say so are all it sees.
mkdir -p /run/sysctl
sham() {
  echo "$2" >"/run/sysctl/$(basename "$1")"
  mount --bind "/run/sysctl/$(basename "$1")" "/proc/sys/$1"
}
sham kernel/panic 10
sham kernel/panic_on_oops 1
sham vm/overcommit_memory 1
sham kernel/keys/root_maxkeys 1000000
sham kernel/keys/root_maxbytes 25000000
# A boot of its own, as kubelet reports it (Node .status.nodeInfo.bootID).
cat /proc/sys/kernel/random/uuid | tee "$box/boot_id" >/run/sysctl/boot_id
mount --bind /run/sysctl/boot_id /proc/sys/kernel/random/boot_id
mount --make-rshared / # else HostToContainer mounts fail

supervise containerd containerd &
kubelet_when_ready() { # before containerd it would end
  until [[ -S /run/containerd/containerd.sock ]]; do sleep 0.1; done
  after_api /etc/kubernetes/ca.crt unshare --mount --propagation unchanged -- "$here/kubelet-start.sh" \
    --config /etc/kubernetes/kubelet.yaml --kubeconfig /etc/kubernetes/kubelet.kubeconfig --node-ip "$NODE_IPS"
}
supervise kubelet kubelet_when_ready &
supervise kube-proxy after_api /etc/kubernetes/ca.crt kube-proxy --config /etc/kubernetes/kube-proxy.yaml &

while :; do wait -n || sleep 1; done
