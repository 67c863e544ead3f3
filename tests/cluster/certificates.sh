# One CA, and what it signs: EC P-256, a year. Sourced by scripts/cluster.
# shellcheck shell=bash

# sign NAME SUBJECT [SAN]: pki/NAME.crt and pki/NAME.key.
sign() {
  local name=$1 subject=$2 names=${3:-} extra=()
  if [[ -n $names ]]; then extra=(-addext "subjectAltName=$names"); fi
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 365 -subj "$subject" \
    -CA "$STATE/pki/ca.crt" -CAkey "$STATE/pki/ca.key" -addext 'basicConstraints=critical,CA:FALSE' \
    -addext 'extendedKeyUsage=serverAuth,clientAuth' "${extra[@]}" \
    -keyout "$STATE/pki/$name.key" -out "$STATE/pki/$name.crt" 2>>"$STATE/openssl.log"
}

# kubeconfig NAME FILE: of the one that pki/NAME.crt names; carries all it needs.
kubeconfig() {
  local name=$1 file=$2
  cat >"$file" <<END
apiVersion: v1
kind: Config
clusters:
- name: $CLUSTER
  cluster: {server: "$API", certificate-authority-data: $(base64 -w0 "$STATE/pki/ca.crt")}
users:
- name: $name
  user: {client-certificate-data: $(base64 -w0 "$STATE/pki/$name.crt"), client-key-data: $(base64 -w0 "$STATE/pki/$name.key")}
contexts:
- name: $CLUSTER
  context: {cluster: $CLUSTER, user: $name}
current-context: $CLUSTER
END
  chmod 600 "$file"
}

make_certificates() {
  local in_cluster=DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local
  mkdir -p "$STATE/pki"
  chmod 700 "$STATE/pki"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 365 -subj "/CN=weft-cluster-$CLUSTER" \
    -addext 'keyUsage=critical,keyCertSign,cRLSign' -keyout "$STATE/pki/ca.key" -out "$STATE/pki/ca.crt" \
    2>>"$STATE/openssl.log"
  openssl genrsa -out "$STATE/pki/service-accounts.key" 2048 2>>"$STATE/openssl.log"
  sign apiserver /CN=kube-apiserver \
    "$in_cluster,DNS:localhost,IP:127.0.0.1,IP:$CONTROL_ADDRESS,IP:10.96.0.1,IP:fd00:96::1"
  sign apiserver-to-kubelet /O=system:masters/CN=kube-apiserver-kubelet-client
  sign front-proxy /CN=front-proxy-client
  sign admin /O=system:masters/CN=admin
  sign kube-controller-manager /CN=system:kube-controller-manager
  sign kube-scheduler /CN=system:kube-scheduler
  sign kube-proxy /CN=system:kube-proxy
  kubeconfig admin "$STATE/admin.kubeconfig"
  kubeconfig kube-controller-manager "$STATE/pki/kube-controller-manager.kubeconfig"
  kubeconfig kube-scheduler "$STATE/pki/kube-scheduler.kubeconfig"
}

make_node_certificate() {
  sign "$1" "/O=system:nodes/CN=system:node:$1" "DNS:$1,IP:$(node_address "$1"),IP:fd00:77::$((10 + $(node_number "$1")))"
}
