/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The only door of the kernel half: keys and values of the pinned maps, shared by the BPF programs and C++.
 * Fixed width, explicit padding, sizes asserted. A change of any layout raises WEFT_ABI.
 */
#ifdef __bpf__
#include "vmlinux.h"
#else
#include <linux/types.h>
#endif

#define WEFT_ABI 2

/* The bit of SO_MARK that sends a SYN back over lo; the loader may choose another one. */
#define WEFT_MARK_DEFAULT 0x00800000u
/* mTLS arrivals; always steered to the proxy */
#define WEFT_HBONE_PORT 15008

#ifdef __cplusplus
#define WEFT_ASSERT_SIZE(type, bytes) static_assert(sizeof(struct type) == (bytes), #type)
#else
#define WEFT_ASSERT_SIZE(type, bytes) _Static_assert(sizeof(struct type) == (bytes), #type)
#endif

/* 16 bytes in network order; IPv4 is ::ffff:a.b.c.d. Aligned so that it is read by words. */
struct weft_address {
	__u8 bytes[16];
} __attribute__((aligned(4)));
WEFT_ASSERT_SIZE(weft_address, 16);

enum weft_pod_flags {
	WEFT_POD_ENROLLED = 1 << 0,	 /* clear while a pod is armed or disarmed: hooks pass it by */
	WEFT_POD_MARKING = 1 << 1,	 /* PROXY verdicts set the mark; the last step of arming */
	WEFT_POD_STRICT = 1 << 2,	 /* refuses peers without a proven identity; the pod's mode, see port_modes */
	WEFT_POD_FAIL_OPEN = 1 << 3,	 /* no listener: connect directly and accept directly, counted */
	WEFT_POD_INBOUND_PROXY = 1 << 4, /* every arrival is steered to the proxy */
	WEFT_POD_HAS_ALLOW = 1 << 5,	 /* some ALLOW rule exists: what none matches is refused */
	WEFT_POD_HAS_POLICY = 1 << 6,	 /* any rule exists: skip the policy look-ups when clear */
	WEFT_POD_HAS_PORT_MODES = 1 << 7, /* some port has a mode of its own: skip that look-up when clear */
	WEFT_POD_TLS_SAME_NODE = 1 << 8, /* asks for TLS between pods of one node too, as caller and as called */
	WEFT_POD_EXCLUDES_CALLS = 1 << 9,     /* has WEFT_EXCLUDE_PORT or _RANGE entries: skip the look-ups when clear */
	WEFT_POD_EXCLUDES_ARRIVALS = 1 << 10, /* has WEFT_EXCLUDE_ARRIVAL entries: the same */
};

/* pods: netns cookie -> the enrolled pod behind it */
struct weft_pod_key {
	__u64 netns_cookie;
};
WEFT_ASSERT_SIZE(weft_pod_key, 8);

struct weft_pod {
	__u32 pod_id;	    /* 1..; stable while the pod lives on this node */
	__u32 identity;	    /* of its service account; 0 is nobody */
	__u32 namespace_id; /* of its namespace; 0 is nobody */
	__u32 flags;	    /* enum weft_pod_flags */
	__u32 listener_slot; /* base slot in `listeners`; see WEFT_LISTENER_* */
	__u32 generation;   /* changes when a pod id is used again */
	struct weft_address ipv4; /* all zero when the pod has none */
	struct weft_address ipv6;
	__u32 policy_kinds; /* WEFT_POLICY_KIND of each of its entries in `policy`: others are not looked up */
};
WEFT_ASSERT_SIZE(weft_pod, 60);

/* offsets from listener_slot in the sockmap `listeners` */
enum weft_listener {
	WEFT_LISTENER_OUTBOUND4 = 0, /* looped connections of the pod */
	WEFT_LISTENER_OUTBOUND6 = 1,
	WEFT_LISTENER_INBOUND4 = 2, /* arrivals without proof, to port 15008 also with, the proxy has to judge or carry */
	WEFT_LISTENER_INBOUND6 = 3,
	WEFT_LISTENER_REFUSE4 = 4, /* arrivals to be reset at once */
	WEFT_LISTENER_REFUSE6 = 5,
	WEFT_LISTENER_ATTESTED4 = 6, /* arrivals the proxy has to judge or carry; the kernel vouches for their source */
	WEFT_LISTENER_ATTESTED6 = 7,
	WEFT_LISTENERS_PER_POD = 8,
};

enum weft_workload_flags {
	WEFT_WORKLOAD_ENROLLED = 1 << 0,
	WEFT_WORKLOAD_LOCAL = 1 << 1, /* on this node */
	WEFT_WORKLOAD_HAS_ALLOW = 1 << 2,  /* as WEFT_POD_HAS_ALLOW; only in `workloads` of local enrolled pods */
	WEFT_WORKLOAD_HAS_POLICY = 1 << 3, /* as WEFT_POD_HAS_POLICY; so that connect can refuse at once */
	WEFT_WORKLOAD_TLS_SAME_NODE = 1 << 4, /* as WEFT_POD_TLS_SAME_NODE; of local workloads, also in `backends` */
	/* in `workloads`: some of its ports are out of the mesh; in `backends`: this one is, ENROLLED is clear there */
	WEFT_WORKLOAD_EXCLUDES = 1 << 5,
};

/* workloads: address -> who has it */
struct weft_workload {
	__u32 identity;
	__u32 namespace_id;
	__u32 flags; /* enum weft_workload_flags */
	__u32 pod_id; /* of a local enrolled pod, else 0 */
	__u32 policy_kinds; /* as in weft_pod */
};
WEFT_ASSERT_SIZE(weft_workload, 20);

enum weft_service_flags {
	WEFT_SERVICE_L7 = 1 << 0,	 /* some route, policy or setting asks for HTTP: PROXY */
	WEFT_SERVICE_LOCAL_ONLY = 1 << 1, /* internalTrafficPolicy: Local (table holds local backends only) */
	WEFT_SERVICE_AFFINITY = 1 << 2,
	WEFT_SERVICE_SELF_TEST = 1 << 3, /* the capture self-test: always PROXY */
};

/* services: (address, port, protocol) -> load-balancing head */
struct weft_service_key {
	struct weft_address address;
	__u16 port; /* host order */
	__u8 protocol; /* IPPROTO_TCP, IPPROTO_UDP */
	__u8 pad;
};
WEFT_ASSERT_SIZE(weft_service_key, 20);

struct weft_service {
	__u32 service_id;
	__u32 generation; /* of the backends; flipped last */
	__u32 backend_count;
	__u32 flags; /* enum weft_service_flags */
	__u32 affinity_seconds;
	__u32 pad;
};
WEFT_ASSERT_SIZE(weft_service, 24);

/* backends: (service, generation, slot) -> endpoint. Weighted choice by the alias method: two look-ups at most. */
struct weft_backend_key {
	__u32 service_id;
	__u32 generation;
	__u32 slot;
};
WEFT_ASSERT_SIZE(weft_backend_key, 12);

struct weft_backend {
	struct weft_address address;
	__u16 port; /* host order */
	__u16 flags; /* enum weft_workload_flags of the workload behind it */
	__u32 keep_threshold; /* a random u32 above this takes `alias` instead */
	__u32 alias;
	__u32 pod_id; /* of a local enrolled pod, else 0 */
};
WEFT_ASSERT_SIZE(weft_backend, 32);

/*
 * backend_slots: where a backend stands in its service's table. Kept only for services with affinity: entries of a
 * new generation are written before the flip, those of vanished backends are deleted after it.
 */
struct weft_backend_slot_key {
	struct weft_address address;
	__u32 service_id;
	__u16 port; /* host order */
	__u16 pad;
};
WEFT_ASSERT_SIZE(weft_backend_slot_key, 24);

struct weft_backend_slot {
	__u32 generation; /* believed only while it is the service's */
	__u32 slot;
};
WEFT_ASSERT_SIZE(weft_backend_slot, 8);

/* affinity: (pod, service) -> the backend it had; written by connect */
struct weft_affinity_key {
	__u64 netns_cookie;
	__u32 service_id;
	__u32 pad;
};
WEFT_ASSERT_SIZE(weft_affinity_key, 16);

struct weft_affinity {
	__u64 used_at; /* nanoseconds of CLOCK_MONOTONIC */
	struct weft_address address;
	__u16 port; /* host order */
	__u16 pad;
	__u32 generation; /* with `slot`: where it stood then; believed while the service has that generation */
	__u32 slot;
	__u32 pad2;
};
WEFT_ASSERT_SIZE(weft_affinity, 40);

/* exempt_cgroups: cgroup v2 id -> whose it is; the hooks pass these processes by */
struct weft_exempt_key {
	__u64 cgroup_id;
};
WEFT_ASSERT_SIZE(weft_exempt_key, 8);

enum weft_exempt_reason {
	WEFT_EXEMPT_AGENT = 1,
	WEFT_EXEMPT_PROXY = 2,
};

struct weft_exempt {
	__u32 reason; /* enum weft_exempt_reason */
};
WEFT_ASSERT_SIZE(weft_exempt, 4);

/* sockets: what the application asked for, kept on its rewritten socket */
struct weft_socket {
	struct weft_address service_address;
	struct weft_address backend_address;
	__u16 service_port; /* host order */
	__u16 backend_port; /* host order; 0: not rewritten */
	__u32 service_id;
};
WEFT_ASSERT_SIZE(weft_socket, 40);

/* udp_flows: (socket, backend) -> service, for the answers to unconnected sockets */
struct weft_udp_flow_key {
	__u64 socket_cookie;
	struct weft_address backend_address;
	__u16 backend_port; /* host order */
	__u16 pad;
	__u32 pad2;
};
WEFT_ASSERT_SIZE(weft_udp_flow_key, 32);

struct weft_udp_flow {
	struct weft_address service_address;
	__u16 service_port; /* host order */
	__u16 pad;
};
WEFT_ASSERT_SIZE(weft_udp_flow, 20);

/* attested: 4-tuple as the connecting side sees it -> proven source */
struct weft_tuple {
	struct weft_address source;
	struct weft_address destination;
	__u16 source_port; /* host order */
	__u16 destination_port; /* host order */
};
WEFT_ASSERT_SIZE(weft_tuple, 36);

enum weft_attested_flags {
	WEFT_ATTESTED_LOOPED = 1 << 0, /* marked: on its way to the proxy in its own netns */
	WEFT_ATTESTED_PROBE = 1 << 1,  /* opened by the node's kubelet, in the node's netns: no pod, no identity */
};

struct weft_attested {
	__u64 netns_cookie;
	__u32 identity;
	__u32 namespace_id;
	__u32 pod_id;
	__u32 generation; /* of the pod; believed while the pod has it */
	__u32 flags; /* enum weft_attested_flags */
	__u32 pad;
};
WEFT_ASSERT_SIZE(weft_attested, 32);

/*
 * delivered: 4-tuple of a connection made inside a pod's netns under an address that is not the pod's: by the proxy in
 * a client's name, or from one of the pod's further addresses.
 */
struct weft_delivered {
	__u64 netns_cookie;
};
WEFT_ASSERT_SIZE(weft_delivered, 8);

/*
 * policy: longest prefix match. The prefix always covers pod_id, kind, verdict, port and subject up to its own
 * length (identities and namespaces whole, addresses by CIDR). port 0 means any port.
 */
enum weft_subject {
	WEFT_SUBJECT_ANYONE = 0,
	WEFT_SUBJECT_IDENTITY = 1,
	WEFT_SUBJECT_NAMESPACE = 2,
	WEFT_SUBJECT_ADDRESS = 3,
	WEFT_SUBJECT_ANONYMOUS = 4, /* whoever has no proven identity; value all zero, prefix as ANYONE */
	WEFT_SUBJECT_PROVEN = 5,    /* whoever has one; the same */
};

enum weft_rule_action {
	WEFT_ACTION_DENY = 1,
	WEFT_ACTION_ALLOW = 2,
};

struct weft_policy_key {
	__u32 prefix_length; /* in bits, of what follows */
	__u32 pod_id;
	__u8 action; /* enum weft_rule_action */
	__u8 subject; /* enum weft_subject */
	__u16 port; /* host order, 0: any */
	struct weft_address value; /* identity or namespace id in the first four bytes, or an address */
};
WEFT_ASSERT_SIZE(weft_policy_key, 28);
#define WEFT_POLICY_FIXED_BITS 64 /* pod_id, action, subject, port */
/* The bit of entries of this action and subject, for this port or for any. */
#define WEFT_POLICY_KIND(action, subject, port) \
	(1u << ((((__u32)(action) - 1) * 6 + (__u32)(subject)) * 2 + ((port) == 0)))

struct weft_policy {
	__u32 rule_id;
};
WEFT_ASSERT_SIZE(weft_policy, 4);

/*
 * port_modes: (pod, port) -> how the port treats peers without a proven identity, instead of the pod's flag
 * WEFT_POD_STRICT. Asked only if the pod has WEFT_POD_HAS_PORT_MODES.
 */
struct weft_port_key {
	__u32 pod_id;
	__u16 port; /* of the pod, host order */
	__u16 pad;
};
WEFT_ASSERT_SIZE(weft_port_key, 8);

enum weft_peer_mode {
	WEFT_PEERS_PERMISSIVE = 1,
	WEFT_PEERS_STRICT = 2, /* so is every other value */
};

struct weft_port_mode {
	__u32 mode; /* enum weft_peer_mode */
};
WEFT_ASSERT_SIZE(weft_port_mode, 4);

/*
 * exclusions: longest prefix match; what goes around the mesh though its pod is enrolled. Asked only with
 * WEFT_POD_EXCLUDES_* or WEFT_WORKLOAD_EXCLUDES. An entry that is missing means capture.
 */
enum weft_exclusion_kind {
	WEFT_EXCLUDE_PORT = 1,	  /* calls of pod_id to `port`, wherever to */
	WEFT_EXCLUDE_RANGE4 = 2,  /* calls of pod_id into an IPv4 range, port 0 */
	WEFT_EXCLUDE_RANGE6 = 3,  /* the same, IPv6 */
	WEFT_EXCLUDE_ARRIVAL = 4, /* calls to `address` (whole) and `port` (0: any) of an enrolled pod; pod_id 0 */
};

struct weft_exclusion_key {
	__u32 prefix_length; /* in bits, of what follows */
	__u32 pod_id;
	__u8 kind; /* enum weft_exclusion_kind */
	__u8 pad;
	__u16 port; /* host order */
	struct weft_address address;
};
WEFT_ASSERT_SIZE(weft_exclusion_key, 28);
#define WEFT_EXCLUSION_FIXED_BITS 64 /* pod_id, kind, port */

struct weft_exclusion {
	__u32 pod_id; /* of this node whose exclusion it is, else 0 */
};
WEFT_ASSERT_SIZE(weft_exclusion, 4);

/* enrolled pods a node can hold; `listeners` has WEFT_LISTENERS_PER_POD slots for each, from (pod_id - 1) on */
#define WEFT_MAX_LOCAL_PODS 1024

/* names: what the small ids of the other maps stand for. Read by people and by an agent that starts again. */
enum weft_name_kind {
	WEFT_NAME_IDENTITY = 1,	 /* text: "namespace/service account" */
	WEFT_NAME_NAMESPACE = 2, /* text: the namespace */
	WEFT_NAME_POD = 3,	 /* text: the pod's uid */
	WEFT_NAME_SERVICE = 4,	 /* only as the id of a WEFT_NAME_NEXT entry: the map `services` names its ids itself */
	WEFT_NAME_NEXT = 5,	 /* id: a kind above; generation: the next number of that kind, none is given twice */
};

struct weft_name_key {
	__u32 kind; /* enum weft_name_kind */
	__u32 id;
};
WEFT_ASSERT_SIZE(weft_name_key, 8);

struct weft_name {
	__u32 generation; /* of a pod id */
	char text[324];	  /* NUL terminated */
};
WEFT_ASSERT_SIZE(weft_name, 328);
/*
 * counters: one per-CPU entry (key 0), one field a reason. WEFT_COUNTERS(X) calls X(field, meaning) for each, so that
 * user space can name them all.
 */
#define WEFT_COUNTERS(X)                                                                                  \
	X(connect_not_enrolled, "the caller is no enrolled pod")                                          \
	X(connect_not_armed, "the pod is being armed or disarmed")                                        \
	X(connect_exempt, "the caller is weft's agent or proxy")                                          \
	X(connect_other_protocol, "neither TCP nor UDP")                                                  \
	X(connect_loopback, "a loopback or unspecified destination")                                      \
	X(connect_own_address, "the pod calls itself")                                                    \
	X(connect_unknown, "the destination is no service and no workload of ours")                    \
	X(connect_direct_service, "rewritten to a backend")                                               \
	X(connect_direct_workload, "a pod on this node, called by its address")                           \
	X(connect_proxy_layer7, "to the proxy: something on the route asks for HTTP")                     \
	X(connect_proxy_remote, "to the proxy: an enrolled workload on another node")                     \
	X(connect_proxy_same_node, "to the proxy: a pod of this node, and one of the two asks for TLS")    \
	X(connect_proxy_self_test, "to the proxy: the agent's self-test")                                 \
	X(connect_refused_no_backend, "refused: the service has no endpoint")                             \
	X(connect_refused_backend_missing, "refused: the service's table has a hole")                     \
	X(connect_refused_backend_family, "refused: the backend is of the other address family")          \
	X(connect_denied_by_policy, "denied: a rule of the destination says so")                          \
	X(connect_fail_open, "no proxy listener: connected directly, as declared")                        \
	X(connect_fail_closed, "no proxy listener: denied, as declared")                                  \
	X(connect_mark_failed, "denied: the mark could not be set")                                       \
	X(connect_mark_cleared, "a socket used again lost the mark of its former connection")             \
	X(connect_storage_failed, "rewritten, but the service address could not be remembered")           \
	X(affinity_kept, "the former backend was taken again")                                            \
	X(affinity_expired, "the former backend was forgotten by time")                                   \
	X(affinity_backend_gone, "the former backend is no longer an endpoint")                           \
	X(affinity_insert_failed, "the chosen backend could not be remembered")                           \
	X(sendmsg_direct, "a datagram was rewritten to a backend")                                        \
	X(sendmsg_refused_no_backend, "a datagram was refused: the service has no endpoint")              \
	X(sendmsg_flow_insert_failed, "a datagram's way back could not be remembered")                    \
	X(recvmsg_restored, "an answer shows the service's address")                                      \
	X(getpeername_restored, "a peer name shows the service's address")                                \
	X(attested_recorded, "a connection's source was recorded")                                        \
	X(attested_probe, "a probe of the node's kubelet was recorded")                                    \
	X(attested_deleted, "a closed connection's record was deleted")                                   \
	X(attested_foreign_source, "not recorded: the source address is not the pod's own")               \
	X(attested_insert_failed, "not recorded: the map refused")                                        \
	X(lookup_no_pod, "dropped: the pod's entry is missing")                                           \
	X(lookup_not_armed, "passed: the pod is being armed or disarmed")                                 \
	X(lookup_datagram, "passed: not TCP")                                                             \
	X(lookup_loopback, "passed: a loopback destination")                                              \
	X(lookup_from_self, "passed: from inside the pod")                                                \
	X(lookup_outbound, "a looped connection was handed to the proxy")                                 \
	X(lookup_outbound_dropped, "a looped connection was dropped: no listener")                        \
	X(lookup_hbone, "an mTLS arrival was handed to the proxy")                                        \
	X(lookup_to_proxy, "an arrival without proven source was handed to the proxy")                           \
	X(lookup_to_proxy_attested, "an arrival with proven source was handed to the proxy")               \
	X(lookup_to_app_probe, "a probe of the node's kubelet passed")                                     \
	X(lookup_to_app_attested, "an arrival with proven source passed")                                 \
	X(lookup_to_app_anonymous, "an arrival without proven source passed")                             \
	X(lookup_record_stale, "a record of a former pod was not believed")                               \
	X(lookup_refused_anonymous, "refused: the pod demands a proven source")                           \
	X(lookup_refused_same_node, "refused: the pod asks for TLS from pods of this node too")            \
	X(lookup_refused_by_policy, "refused: a rule says so")                                            \
	X(lookup_refuse_dropped, "a refusal had no listener to reset it and was dropped")                 \
	X(lookup_fail_open, "no inbound listener: passed, as declared")                                   \
	X(lookup_fail_closed, "no inbound listener: dropped, as declared")                                \
	X(lookup_assign_failed, "dropped: the listener could not be assigned")                            \
	X(event_lost, "the ring buffer was full")

#define WEFT_COUNTER_FIELD(name, meaning) __u64 name;
struct weft_counters {
	WEFT_COUNTERS(WEFT_COUNTER_FIELD)
};
#undef WEFT_COUNTER_FIELD

/* The position of each field: WEFT_COUNTER_connect_exempt and so on. */
#define WEFT_COUNTER_POSITION(name, meaning) WEFT_COUNTER_##name,
enum weft_counter { WEFT_COUNTERS(WEFT_COUNTER_POSITION) WEFT_COUNTER_COUNT };
#undef WEFT_COUNTER_POSITION
WEFT_ASSERT_SIZE(weft_counters, WEFT_COUNTER_COUNT * 8);

/* excluded_counts: as counters, for connections that went around the mesh because somebody asked for it. */
#define WEFT_EXCLUSION_COUNTERS(X)                                                              \
	X(excluded_port, "a call went around the mesh: its pod excludes the port")              \
	X(excluded_range, "a call went around the mesh: its pod excludes the address")          \
	X(excluded_by_callee, "a call went around the mesh: the called pod excludes the port")  \
	X(excluded_arrival, "an arrival went around the mesh: the pod excludes the port")

#define WEFT_COUNTER_FIELD(name, meaning) __u64 name;
struct weft_exclusion_counters {
	WEFT_EXCLUSION_COUNTERS(WEFT_COUNTER_FIELD)
};
#undef WEFT_COUNTER_FIELD
#define WEFT_COUNTER_POSITION(name, meaning) WEFT_COUNTER_##name,
enum weft_exclusion_counter { WEFT_EXCLUSION_COUNTERS(WEFT_COUNTER_POSITION) WEFT_EXCLUSION_COUNTER_COUNT };
#undef WEFT_COUNTER_POSITION
WEFT_ASSERT_SIZE(weft_exclusion_counters, WEFT_EXCLUSION_COUNTER_COUNT * 8);

/* events: ring buffer of refusals and denials; telemetry only */
struct weft_event {
	__u64 time; /* nanoseconds of CLOCK_MONOTONIC */
	__u32 counter; /* enum weft_counter: what happened */
	__u32 rule_id; /* that decided, 0 if none */
	__u32 source_identity; /* 0: not proven */
	__u32 source_namespace_id;
	__u32 pod_id; /* the pod whose rule or mode decided */
	__u32 pad;
	struct weft_address source;
	struct weft_address destination;
	__u16 source_port; /* host order; 0 at connect: not chosen yet */
	__u16 destination_port; /* host order */
	__u32 pad2;
};
WEFT_ASSERT_SIZE(weft_event, 72);
