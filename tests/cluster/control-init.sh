#!/usr/bin/env bash
# The control plane's first process, in its network namespace: control-init.sh STATE_DIR. Started by scripts/cluster.
set -euo pipefail
state=$1
box=$state/control
here=$(dirname "$0")
source "$here/supervise.sh"
source "$state/plan.env" # API CONTROL_ADDRESS POD_RANGES SERVICE_RANGES IMAGES
export PATH="$state/bin:/usr/sbin:/usr/bin:/sbin:/bin"
pki=$state/pki

supervise images python3 "$here/registry.py" "$IMAGES" "$CONTROL_ADDRESS" 5000 &

# Nothing here has to survive the machine: no fsync.
supervise etcd etcd --unsafe-no-fsync --log-level warn --data-dir "$box/etcd" --listen-peer-urls http://127.0.0.1:2380 &

# The second group of flags gives exec, logs and port-forward, the third the aggregator. Webhooks and aggregated APIs are
# reached at pod addresses: no kube-proxy runs here.
supervise kube-apiserver kube-apiserver --etcd-servers http://127.0.0.1:2379 \
  --advertise-address "$CONTROL_ADDRESS" --service-cluster-ip-range "$SERVICE_RANGES" --allow-privileged \
  --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction \
  --client-ca-file "$pki/ca.crt" --tls-cert-file "$pki/apiserver.crt" --tls-private-key-file "$pki/apiserver.key" \
  --service-account-issuer https://kubernetes.default.svc.cluster.local \
  --service-account-key-file "$pki/service-accounts.key" --service-account-signing-key-file "$pki/service-accounts.key" \
  --kubelet-preferred-address-types InternalIP --kubelet-certificate-authority "$pki/ca.crt" \
  --kubelet-client-certificate "$pki/apiserver-to-kubelet.crt" --kubelet-client-key "$pki/apiserver-to-kubelet.key" \
  --requestheader-client-ca-file "$pki/ca.crt" --requestheader-allowed-names front-proxy-client \
  --requestheader-username-headers X-Remote-User --requestheader-group-headers X-Remote-Group \
  --requestheader-extra-headers-prefix X-Remote-Extra- --enable-aggregator-routing \
  --proxy-client-cert-file "$pki/front-proxy.crt" --proxy-client-key-file "$pki/front-proxy.key" &

# Default 20 requests a second: its own start takes 5 s of them, and nodes would wait for their CIDR.
manager() {
  after_api "$pki/ca.crt" kube-controller-manager --leader-elect=false --use-service-account-credentials \
    --kubeconfig "$pki/kube-controller-manager.kubeconfig" --bind-address 127.0.0.1 \
    --authentication-kubeconfig "$pki/kube-controller-manager.kubeconfig" \
    --authorization-kubeconfig "$pki/kube-controller-manager.kubeconfig" \
    --allocate-node-cidrs --cluster-cidr "$POD_RANGES" --service-cluster-ip-range "$SERVICE_RANGES" \
    --root-ca-file "$pki/ca.crt" --service-account-private-key-file "$pki/service-accounts.key" \
    --cluster-signing-cert-file "$pki/ca.crt" --cluster-signing-key-file "$pki/ca.key" \
    --kube-api-qps 300 --kube-api-burst 600
}
scheduler() {
  after_api "$pki/ca.crt" kube-scheduler --leader-elect=false --kubeconfig "$pki/kube-scheduler.kubeconfig" \
    --authentication-kubeconfig "$pki/kube-scheduler.kubeconfig" \
    --authorization-kubeconfig "$pki/kube-scheduler.kubeconfig" --bind-address 127.0.0.1
}
supervise kube-controller-manager manager &
supervise kube-scheduler scheduler &

while :; do wait -n || sleep 1; done
