/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A service's table: from its head to one backend. */
#include "bpf/decide/balance.h"
#include "bpf/hooks/common.h"

/* What an application asks for, and what it gets. */
struct call {
	struct weft_address destination;
	__u16 port;
	__u32 protocol;
	__u64 netns_cookie;
	__u32 random_slot;
	__u32 random_alias;
	struct weft_service *service; /* null: the destination is none */
	struct weft_backend *backend; /* null: none chosen */
};

HOOK_INLINE struct weft_service *find_service(const struct weft_address *address, __u16 port,
					      __u32 protocol)
{
	struct weft_service_key key = {
	    .address = *address,
	    .port = port,
	    .protocol = protocol == WEFT_PROTOCOL_UDP ? WEFT_PROTOCOL_UDP : WEFT_PROTOCOL_TCP,
	};

	return bpf_map_lookup_elem(&services, &key);
}

HOOK_INLINE struct weft_backend *backend_at(const struct weft_service *service, __u32 slot)
{
	struct weft_backend_key key = {
	    .service_id = service->service_id,
	    .generation = service->generation,
	    .slot = slot,
	};

	return bpf_map_lookup_elem(&backends, &key);
}

/* By weight. `slot` receives where it stands. */
HOOK_INLINE struct weft_backend *draw(const struct call *call, const struct weft_service *service,
				      __u32 *slot)
{
	struct weft_backend *backend;

	*slot = weft_pick_slot(call->random_slot, service->backend_count);
	backend = backend_at(service, *slot);
	if (!backend || weft_keeps_slot(backend, call->random_alias))
		return backend;
	*slot = backend->alias;
	return backend_at(service, *slot);
}

/* Where the former backend stands now, by the table it was drawn from or by the index. */
HOOK_INLINE struct weft_backend *former_backend(const struct weft_service *service,
						struct weft_affinity *former)
{
	struct weft_backend_slot_key key = {
	    .address = former->address,
	    .service_id = service->service_id,
	    .port = former->port,
	};
	struct weft_backend_slot *standing;

	if (weft_affinity_same_table(former, service))
		return backend_at(service, former->slot);
	standing = bpf_map_lookup_elem(&backend_slots, &key);
	if (!standing || standing->generation != service->generation)
		return NULL;
	former->slot = standing->slot;
	former->generation = standing->generation;
	return backend_at(service, standing->slot);
}

HOOK_INLINE struct weft_backend *choose_by_affinity(const struct call *call,
						    const struct weft_service *service)
{
	struct weft_affinity_key key = {.netns_cookie = call->netns_cookie,
					.service_id = service->service_id};
	struct weft_affinity *former = bpf_map_lookup_elem(&affinity, &key);
	struct weft_affinity fresh = {.used_at = bpf_ktime_get_ns(),
				      .generation = service->generation};
	struct weft_backend *backend;

	if (former && weft_affinity_fresh(former, service, fresh.used_at)) {
		backend = former_backend(service, former);
		if (weft_affinity_holds(former, backend)) {
			former->used_at = fresh.used_at;
			count(WEFT_COUNTER_affinity_kept);
			return backend;
		}
		count(WEFT_COUNTER_affinity_backend_gone);
	} else if (former) {
		count(WEFT_COUNTER_affinity_expired);
	}
	backend = draw(call, service, &fresh.slot);
	if (!backend)
		return NULL;
	fresh.address = backend->address;
	fresh.port = backend->port;
	if (bpf_map_update_elem(&affinity, &key, &fresh, BPF_ANY))
		count(WEFT_COUNTER_affinity_insert_failed);
	return backend;
}

/* REQUIRES: the service has backends. Null: its table has a hole. */
HOOK_INLINE struct weft_backend *choose(const struct call *call, const struct weft_service *service)
{
	__u32 slot;

	if (service->flags & WEFT_SERVICE_AFFINITY)
		return choose_by_affinity(call, service);
	return draw(call, service, &slot);
}
