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

#define WEFT_ABI 1

#ifdef __cplusplus
#define WEFT_ASSERT_SIZE(type, bytes) static_assert(sizeof(struct type) == (bytes), #type)
#else
#define WEFT_ASSERT_SIZE(type, bytes) _Static_assert(sizeof(struct type) == (bytes), #type)
#endif

/* 16 bytes in network order; IPv4 is ::ffff:a.b.c.d. */
struct weft_address {
	__u8 bytes[16];
};
WEFT_ASSERT_SIZE(weft_address, 16);

enum weft_pod_flags {
	WEFT_POD_ENROLLED = 1 << 0,	 /* clear while a pod is armed or disarmed: hooks pass it by */
	WEFT_POD_MARKING = 1 << 1,	 /* PROXY verdicts set the mark; the last step of arming */
	WEFT_POD_STRICT = 1 << 2,	 /* refuses peers without a proven identity */
	WEFT_POD_FAIL_OPEN = 1 << 3,	 /* no listener: connect directly and accept directly, counted */
	WEFT_POD_INBOUND_PROXY = 1 << 4, /* every arrival is steered to the proxy */
	WEFT_POD_HAS_ALLOW = 1 << 5,	 /* some ALLOW rule exists: what none matches is refused */
	WEFT_POD_HAS_POLICY = 1 << 6,	 /* any rule exists: skip the policy look-ups when clear */
};

/* pods: netns cookie (u64) -> the enrolled pod behind it */
struct weft_pod {
	__u32 pod_id;	    /* 1..; stable while the pod lives on this node */
	__u32 identity;	    /* of its service account; 0 is nobody */
	__u32 namespace_id; /* of its namespace; 0 is nobody */
	__u32 flags;	    /* enum weft_pod_flags */
	__u32 listener_slot; /* base slot in `listeners`; see WEFT_LISTENER_* */
	__u32 generation;   /* changes when a pod id is used again */
	struct weft_address ipv4; /* all zero when the pod has none */
	struct weft_address ipv6;
};
WEFT_ASSERT_SIZE(weft_pod, 56);

/* offsets from listener_slot in the sockmap `listeners` */
enum weft_listener {
	WEFT_LISTENER_OUTBOUND4 = 0, /* looped connections of the pod */
	WEFT_LISTENER_OUTBOUND6 = 1,
	WEFT_LISTENER_INBOUND4 = 2, /* arrivals the proxy has to judge or carry */
	WEFT_LISTENER_INBOUND6 = 3,
	WEFT_LISTENER_REFUSE4 = 4, /* arrivals to be reset at once */
	WEFT_LISTENER_REFUSE6 = 5,
	WEFT_LISTENERS_PER_POD = 8,
};

enum weft_workload_flags {
	WEFT_WORKLOAD_ENROLLED = 1 << 0,
	WEFT_WORKLOAD_LOCAL = 1 << 1, /* on this node */
};

/* workloads: address -> who has it */
struct weft_workload {
	__u32 identity;
	__u32 namespace_id;
	__u32 flags; /* enum weft_workload_flags */
	__u32 pod_id; /* of a local enrolled pod, else 0 */
};
WEFT_ASSERT_SIZE(weft_workload, 16);

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

/* attested: 4-tuple as the connecting side sees it -> proven source */
struct weft_tuple {
	struct weft_address source;
	struct weft_address destination;
	__u16 source_port; /* host order */
	__u16 destination_port; /* host order */
};
WEFT_ASSERT_SIZE(weft_tuple, 36);

struct weft_attested {
	__u64 netns_cookie;
	__u32 identity;
	__u32 namespace_id;
	__u32 pod_id;
	__u32 generation;
};
WEFT_ASSERT_SIZE(weft_attested, 24);

/*
 * policy: longest prefix match. The prefix always covers pod_id, kind, verdict, port and subject up to its own
 * length (identities and namespaces whole, addresses by CIDR). port 0 means any port.
 */
enum weft_subject {
	WEFT_SUBJECT_ANYONE = 0,
	WEFT_SUBJECT_IDENTITY = 1,
	WEFT_SUBJECT_NAMESPACE = 2,
	WEFT_SUBJECT_ADDRESS = 3,
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

struct weft_policy {
	__u32 rule_id;
};
WEFT_ASSERT_SIZE(weft_policy, 4);

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
