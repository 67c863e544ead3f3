# Removes every trace of a cluster, whatever state it is in. Sourced by scripts/cluster.
# shellcheck shell=bash

# remove_place PLACE: its network namespace, and whoever was still in it.
remove_place() {
  local file inode pid
  file=$(netns_file "$1")
  [[ -e $file ]] || return 0
  inode=$(stat -L -c %i "$file")
  for pid in $(find /proc -maxdepth 3 -path '/proc/[0-9]*/ns/net' -lname "net:\[$inode\]" 2>/dev/null | cut -d/ -f3); do
    [[ $pid == "$BASHPID" ]] || kill -KILL "$pid" 2>/dev/null || true
  done
  ip netns del "weft-$CLUSTER-$1" 2>/dev/null || rm -f "$file"
}

# our_places: every namespace of this cluster that the machine has.
our_places() {
  local file
  for file in /run/netns/weft-"$CLUSTER"-*; do
    if [[ -e $file ]]; then echo "${file#/run/netns/weft-"$CLUSTER"-}"; fi
  done
}

remove_cluster() {
  local place dirs
  mapfile -t dirs < <(our_cgroups)
  empty_cgroups "${dirs[@]}" || die "processes do not end: $(processes_in "${dirs[@]}" | tr '\n' ' ')"
  for place in $(our_places); do remove_place "$place"; done
  rm -rf --one-file-system "$STATE"
  rmdir "$(dirname "$STATE")" 2>/dev/null || true
}

# traces: what is left of the cluster, one line each. Nothing after remove_cluster.
traces() {
  local place dir
  for place in $(our_places); do echo "network namespace weft-$CLUSTER-$place"; done
  for dir in $(our_cgroups); do echo "cgroup $dir ($(processes_in "$dir" | wc -l) processes)"; done
  if [[ -e $STATE ]]; then echo "folder $STATE"; fi
  grep -F -e "weft-cluster-$CLUSTER" -e "$STATE/" -e "/netns/weft-$CLUSTER-" /proc/self/mountinfo | sed 's/^/mount /' || true
}
