# Namespaces of the cluster and the wires between them. Sourced by scripts/cluster.
# shellcheck shell=bash
#
#   control  br0 10.77.0.1/24     etcd, API server, controller-manager, scheduler, images; the switch of all
#   node<N>  eth0 10.77.0.1<N>    pods 10.244.<N>.0/24
#   outside  eth0 10.77.0.100     a client beyond the cluster: node ports
# Everybody's default route is the switch: a process needs some route to the service range before DNAT can act.
# Dual stack adds fd00:77::/64 to the wires and fd00:244:0:<N>::/64 to the pods.

# add_place PLACE: an empty namespace.
add_place() {
  ip netns add "weft-$CLUSTER-$1"
  ip -n "weft-$CLUSTER-$1" link set lo up
  in_netns "$1" sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding'
}

# plug PLACE LAST_BYTE: a wire from the switch, called as the place on the switch and eth0 in the place.
plug() {
  local place=$1 last=$2 inside="weft-$CLUSTER-$1" switch="weft-$CLUSTER-control"
  ip -n "$switch" link add "$place" type veth peer name eth0 netns "$inside"
  ip -n "$switch" link set "$place" master br0 up
  ip -n "$inside" addr add "10.77.0.$last/24" dev eth0
  ip -n "$inside" addr add "fd00:77::$last/64" dev eth0 nodad
  ip -n "$inside" link set eth0 up
  ip -n "$inside" route add default via "$CONTROL_ADDRESS"
  ip -n "$inside" -6 route add default via fd00:77::1
}

make_switch() {
  local switch="weft-$CLUSTER-control"
  add_place control
  ip -n "$switch" link add br0 type bridge forward_delay 0
  ip -n "$switch" addr add "$CONTROL_ADDRESS/24" dev br0
  ip -n "$switch" addr add fd00:77::1/64 dev br0 nodad
  ip -n "$switch" link set br0 up
  # The service range ends here unless a node's rules sent it elsewhere: an answer at once, not a wait.
  ip -n "$switch" route add unreachable 10.96.0.0/16
  add_place outside
  plug outside "${OUTSIDE_ADDRESS##*.}"
}

# plug_node NODE NODES...: the node's namespace, its wire, and its pods' route there and back.
plug_node() {
  local node=$1 other number
  number=$(node_number "$node")
  shift
  add_place "$node"
  plug "$node" $((10 + number))
  ip -n "weft-$CLUSTER-control" route replace "10.244.$number.0/24" via "$(node_address "$node")"
  ip -n "weft-$CLUSTER-control" -6 route replace "fd00:244:0:$number::/64" via "fd00:77::$((10 + number))"
  for other in "$@"; do
    [[ $other != "$node" ]] || continue
    other=$(node_number "$other")
    ip -n "weft-$CLUSTER-$node" route replace "10.244.$other.0/24" via "10.77.0.$((10 + other))"
    ip -n "weft-$CLUSTER-$node" -6 route replace "fd00:244:0:$other::/64" via "fd00:77::$((10 + other))"
  done
}
