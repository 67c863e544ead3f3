# The cluster's own cgroups, always below the one in which this shell already is. Sourced by scripts/cluster.
# shellcheck shell=bash

# own_cgroups: this shell's directory in every hierarchy that is mounted, cgroup2 first.
own_cgroups() {
  awk '
    FNR == NR {                       # mountinfo: root $4, mount point $5, then " - type source options"
      n = index($0, " - ")
      split(substr($0, n + 3), tail, " ")
      if (tail[1] != "cgroup2" && tail[1] != "cgroup") next
      count = split(tail[1] == "cgroup2" ? "v2" : tail[3], words, ",")
      for (i = 1; i <= count; i++) if (!(words[i] in at)) { at[words[i]] = $5; root[words[i]] = $4 }
      next
    }
    {                                 # cgroup: "id:controllers:path"
      split($0, part, ":")
      path = substr($0, length(part[1]) + length(part[2]) + 3)
      split(part[2], words, ",")
      key = part[1] == "0" ? "v2" : words[1]
      if (!(key in at)) next
      if (root[key] != "/" && index(path, root[key]) == 1) path = substr(path, length(root[key]) + 1)
      if (path == "/") path = ""
      print (part[1] == "0" ? 0 : 1), at[key] path
    }' /proc/self/mountinfo /proc/self/cgroup | sort -u | cut -d' ' -f2
}

# make_cgroups PLACE: a directory for it in every hierarchy, written down for those who clean up from another cgroup.
make_cgroups() {
  local own dir
  for own in $(own_cgroups); do
    for dir in "$own/$GROUP" "$own/$GROUP/$1"; do
      [[ ! -d $dir ]] || continue
      mkdir "$dir"
      if [[ -e $dir/cpuset.cpus && -e $dir/cpuset.mems && -e $(dirname "$dir")/cpuset.mems && ! -e $dir/cgroup.type ]]; then
        cat "$(dirname "$dir")/cpuset.cpus" >"$dir/cpuset.cpus"
        cat "$(dirname "$dir")/cpuset.mems" >"$dir/cpuset.mems"
      fi
    done
    grep -qxF "$own/$GROUP" "$STATE/cgroups" 2>/dev/null || echo "$own/$GROUP" >>"$STATE/cgroups"
  done
}

# join_cgroups PLACE: moves the calling (sub)shell.
join_cgroups() {
  local top
  while read -r top; do echo "$BASHPID" >"$top/$1/cgroup.procs"; done <"$STATE/cgroups"
}

# our_cgroups [PLACE]: the directories of the cluster (of the place), from the record and by their name.
our_cgroups() {
  local suffix=${1:+/$1} mount
  {
    cat "$STATE/cgroups" 2>/dev/null || true
    awk '$3 == "cgroup" || $3 == "cgroup2" {print $2}' /proc/mounts | while read -r mount; do
      find "$mount" -maxdepth 6 -type d -name "$GROUP" 2>/dev/null || true
    done
  } | sort -u | while read -r dir; do
    if [[ -d $dir$suffix ]]; then echo "$dir$suffix"; fi
  done
}

# processes_in DIRS...: every process in or below these cgroups.
processes_in() {
  [[ $# -gt 0 ]] || return 0
  find "$@" -name cgroup.procs -exec cat {} + 2>/dev/null | sort -un | grep -v '^0$' || true
}

# empty_cgroups DIRS...: ends every process there and removes the directories. Fails when some stay.
empty_cgroups() {
  local dir pid round left
  for ((round = 0; round < 200; round++)); do
    for dir in "$@"; do
      if [[ -w $dir/cgroup.kill ]]; then echo 1 >"$dir/cgroup.kill" 2>/dev/null || true; fi
    done
    for pid in $(processes_in "$@"); do
      [[ $pid == "$BASHPID" ]] || kill -KILL "$pid" 2>/dev/null || true
    done
    left=0
    for dir in "$@"; do
      [[ ! -d $dir ]] || find "$dir" -depth -type d -exec rmdir {} \; 2>/dev/null || true
      [[ ! -d $dir ]] || left=1
    done
    [[ $left -eq 1 ]] || return 0
    sleep 0.05
  done
  return 1
}
