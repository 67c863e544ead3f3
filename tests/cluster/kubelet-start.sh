#!/usr/bin/env bash
# Becomes kubelet, in a mount namespace that shares all but /sys/fs/cgroup with the node: kubelet-start.sh FLAGS...
#
# In a v2 tree without controllers kubelet can make its cgroups (a limit that cannot be set is only logged), but ends when
# it finds those of an earlier start and has to set their limits again. What it cannot read it takes for missing, and makes
# it: so the state of these two, and of nothing else, is a file that does not read. Their pods stay where they are.
set -euo pipefail
mount --make-private /sys/fs/cgroup
if [[ -e /sys/fs/cgroup/cgroup.controllers ]] && ! grep -qw cpu /sys/fs/cgroup/cgroup.controllers; then
  for group in kubepods/burstable kubepods/besteffort; do
    state=/sys/fs/cgroup/$group/cgroup.controllers
    [[ ! -e $state ]] || mount --bind /proc/1/mem "$state"
  done
fi
exec kubelet "$@"
