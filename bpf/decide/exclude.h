/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What goes around the mesh because its pod was asked to leave it out: which questions there are
 * about a call or an arrival, as keys of `exclusions`. Whoever has none pays one flag test.
 */
#include "bpf/decide/address.h"
#include "bpf/decide/connect.h"

/* UDP is balanced, never captured: there is nothing to exclude from. */
WEFT_INLINE bool weft_may_exclude_call(const struct weft_pod *pod, __u32 protocol)
{
	return pod->flags & WEFT_POD_EXCLUDES_CALLS && weft_is_tcp(protocol);
}

/* `workload` null: nobody of ours. */
WEFT_INLINE bool weft_callee_may_exclude(const struct weft_workload *workload, __u32 protocol)
{
	return workload && workload->flags & WEFT_WORKLOAD_EXCLUDES && weft_is_tcp(protocol);
}

/* Port 15008 is the mesh's own: who still comes in by it is served. Probes have a way of their own.
 */
WEFT_INLINE bool weft_may_exclude_arrival(const struct weft_pod *pod, __u16 port, bool probe)
{
	return pod->flags & WEFT_POD_EXCLUDES_ARRIVALS && port != WEFT_HBONE_PORT && !probe;
}

WEFT_INLINE void weft_exclusion_of_port(__u32 pod_id, __u16 port, struct weft_exclusion_key *key)
{
	__builtin_memset(key, 0, sizeof(*key));
	key->prefix_length = WEFT_EXCLUSION_FIXED_BITS;
	key->pod_id = pod_id;
	key->kind = WEFT_EXCLUDE_PORT;
	key->port = port;
}

/* Each family has a kind of its own, so that ::/0 holds no v4-mapped address. */
WEFT_INLINE void weft_exclusion_of_address(__u32 pod_id, const struct weft_address *address,
					   struct weft_exclusion_key *key)
{
	__builtin_memset(key, 0, sizeof(*key));
	key->prefix_length = WEFT_EXCLUSION_FIXED_BITS + 128;
	key->pod_id = pod_id;
	key->kind = weft_is_v4(address) ? WEFT_EXCLUDE_RANGE4 : WEFT_EXCLUDE_RANGE6;
	key->address = *address;
}

/* `port` 0: whether all of them are. */
WEFT_INLINE void weft_exclusion_of_arrival(const struct weft_address *address, __u16 port,
					   struct weft_exclusion_key *key)
{
	__builtin_memset(key, 0, sizeof(*key));
	key->prefix_length = WEFT_EXCLUSION_FIXED_BITS + 128;
	key->kind = WEFT_EXCLUDE_ARRIVAL;
	key->port = port;
	key->address = *address;
}

/* The agent's own proof of capture is never left out. `service` null: none is called. */
WEFT_INLINE bool weft_excludes_service(const struct weft_service *service)
{
	return !service || !(service->flags & WEFT_SERVICE_SELF_TEST);
}

/* Counted where its reason is known, not by the verdict. */
WEFT_INLINE struct weft_verdict weft_excluded_verdict(__u32 action)
{
	return weft_verdict_of(action, WEFT_COUNTER_COUNT);
}
