/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Which backend: weighted choice in constant time (the alias method), and session affinity. */
#include "bpf/decide/address.h"

#define WEFT_NANOSECONDS 1000000000ull

/* A slot below `count`, from an even random number. */
WEFT_INLINE __u32 weft_pick_slot(__u32 random, __u32 count)
{
	return (__u32)(((__u64)random * count) >> 32);
}

/* Whether the picked slot's own backend is taken, and not its alias. */
WEFT_INLINE bool weft_keeps_slot(const struct weft_backend *backend, __u32 random)
{
	return random <= backend->keep_threshold;
}

/*
 * In place of a random number for a socket that never connects: all its datagrams to one service go
 * to one backend while the table stands, as connection tracking would have it.
 */
WEFT_INLINE __u64 weft_steady_random(__u64 socket_cookie, __u32 service_id)
{
	__u64 x = socket_cookie * 0x9e3779b97f4a7c15ull + service_id;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

/* ClientIP affinity runs from the last connection, not the first. */
WEFT_INLINE bool weft_affinity_fresh(const struct weft_affinity *former,
				     const struct weft_service *service, __u64 now)
{
	return now - former->used_at <= service->affinity_seconds * WEFT_NANOSECONDS;
}

/* Whether the slot noted with the former backend still means something. */
WEFT_INLINE bool weft_affinity_same_table(const struct weft_affinity *former,
					  const struct weft_service *service)
{
	return former->generation == service->generation;
}

/* Whether `found` (null: it has none now) is the backend that was used before. */
WEFT_INLINE bool weft_affinity_holds(const struct weft_affinity *former,
				     const struct weft_backend *found)
{
	return found && found->port == former->port &&
	       weft_same_address(&found->address, &former->address);
}
