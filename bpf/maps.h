/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Every map of the kernel half. All are flat, BTF-typed and pinned by name below <pin root>/v<WEFT_ABI>/, shared by all
 * objects; "agent" is agent/kernel. Maps without BPF_F_NO_PREALLOC are written by hooks and must not allocate there.
 */
#include "bpf/abi/weft_abi.h"

#include <bpf/bpf_helpers.h>

#define WEFT_MAX_SERVICES 65536
#define WEFT_MAX_BACKENDS 524288
#define WEFT_MAX_WORKLOADS 131072
#define WEFT_MAX_POLICY 131072
#define WEFT_MAX_ATTESTED 131072
#define WEFT_MAX_NAMES 65536
#define WEFT_MAX_PORT_MODES 16384
#define WEFT_MAX_EXCLUSIONS 131072

/* netns cookie -> enrolled pod; agent writes, every hook reads. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, WEFT_MAX_LOCAL_PODS);
	__type(key, struct weft_pod_key);
	__type(value, struct weft_pod);
} pods SEC(".maps");

/* cgroup id -> weft's own process; agent writes, connect and sendmsg read. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, struct weft_exempt_key);
	__type(value, struct weft_exempt);
} exempt_cgroups SEC(".maps");

/* address -> workload anywhere in the mesh; agent writes, connect reads. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, WEFT_MAX_WORKLOADS);
	__type(key, struct weft_address);
	__type(value, struct weft_workload);
} workloads SEC(".maps");

/* (address, port, protocol) -> head of a service's table; agent writes (the one write that flips), connect and sendmsg read. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, WEFT_MAX_SERVICES);
	__type(key, struct weft_service_key);
	__type(value, struct weft_service);
} services SEC(".maps");

/* (service, generation, slot) -> endpoint; agent stages a generation before the flip, connect and sendmsg read. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, WEFT_MAX_BACKENDS);
	__type(key, struct weft_backend_key);
	__type(value, struct weft_backend);
} backends SEC(".maps");

/* (service, backend address) -> its slot; agent writes for services with affinity, connect and sendmsg read. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, WEFT_MAX_BACKENDS);
	__type(key, struct weft_backend_slot_key);
	__type(value, struct weft_backend_slot);
} backend_slots SEC(".maps");

/* (pod, service) -> backend it had; connect and sendmsg write and read, nobody needs it to survive. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct weft_affinity_key);
	__type(value, struct weft_affinity);
} affinity SEC(".maps");

/* socket -> service address it asked for; connect writes, getpeername and recvmsg read; dies with the socket. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct weft_socket);
} sockets SEC(".maps");

/* (socket, backend) -> service address; sendmsg writes, recvmsg reads. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, struct weft_udp_flow_key);
	__type(value, struct weft_udp_flow);
} udp_flows SEC(".maps");

/* 4-tuple -> proven source; sockops and probe write and delete, sk_lookup and the proxy read. An evicted record costs its
 * connection nothing once the first SYN was seen. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, WEFT_MAX_ATTESTED);
	__type(key, struct weft_tuple);
	__type(value, struct weft_attested);
} attested SEC(".maps");

/* 4-tuple under a foreign address -> netns it was opened in; sockops writes and deletes, sk_lookup reads. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct weft_tuple);
	__type(value, struct weft_delivered);
} delivered SEC(".maps");

/* pod's listener_slot + enum weft_listener -> listening socket; agent writes, connect asks for life, sk_lookup assigns. */
struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, WEFT_MAX_LOCAL_PODS * WEFT_LISTENERS_PER_POD);
	__type(key, __u32);
	__type(value, __u64);
} listeners SEC(".maps");

/* (pod, action, subject, port) -> rule, by longest prefix; agent writes, connect and sk_lookup read. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, WEFT_MAX_POLICY);
	__type(key, struct weft_policy_key);
	__type(value, struct weft_policy);
} policy SEC(".maps");

/* (pod, port) -> how it treats peers without proof; agent writes, sk_lookup reads. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, WEFT_MAX_PORT_MODES);
	__type(key, struct weft_port_key);
	__type(value, struct weft_port_mode);
} port_modes SEC(".maps");

/* (pod, port), (pod, range) or (address, port) -> out of the mesh, by longest prefix; agent writes, connect and sk_lookup
 * read. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, WEFT_MAX_EXCLUSIONS);
	__type(key, struct weft_exclusion_key);
	__type(value, struct weft_exclusion);
} exclusions SEC(".maps");

/* 0 -> counts of what went around the mesh; connect and sk_lookup write their CPU's copy, the agent sums. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weft_exclusion_counters);
} excluded_counts SEC(".maps");

/* 0 -> one named count a reason; every hook writes its CPU's copy, the agent sums. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weft_counters);
} counters SEC(".maps");

/* refusals and denials as struct weft_event; connect and sk_lookup write, agent reads; never a security decision. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} events SEC(".maps");

/* (kind, id) -> what a small id of the other maps stands for; agent writes and reads, people read, no hook does. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, WEFT_MAX_NAMES);
	__type(key, struct weft_name_key);
	__type(value, struct weft_name);
} names SEC(".maps");
