/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Exclusions, asked in the map; every connection that goes around the mesh by one is counted. */
#include "bpf/decide/exclude.h"
#include "bpf/hooks/common.h"

HOOK_INLINE void count_excluded(__u32 counter)
{
	__u32 zero = 0;
	__u64 *fields = bpf_map_lookup_elem(&excluded_counts, &zero);

	if (fields && counter < WEFT_EXCLUSION_COUNTER_COUNT)
		fields[counter]++;
}

enum excluded_by {
	EXCLUDED_BY_NOTHING,
	EXCLUDED_BY_PORT,
	EXCLUDED_BY_RANGE,
};

/* By what the pod leaves out calls to there. Not inlined: few ask, and the verifier walks it once.
 */
__attribute__((noinline)) int excludes_call(const struct weft_address *destination, __u32 pod_id,
					    __u16 port)
{
	struct weft_exclusion_key key;

	if (!destination)
		return EXCLUDED_BY_NOTHING;
	weft_exclusion_of_port(pod_id, port, &key);
	if (bpf_map_lookup_elem(&exclusions, &key))
		return EXCLUDED_BY_PORT;
	weft_exclusion_of_address(pod_id, destination, &key);
	return bpf_map_lookup_elem(&exclusions, &key) ? EXCLUDED_BY_RANGE : EXCLUDED_BY_NOTHING;
}

/* Whether the pod with this address leaves out arrivals at this port. */
__attribute__((noinline)) int excludes_arrival(const struct weft_address *address, __u16 port)
{
	struct weft_exclusion_key key;

	if (!address || port == WEFT_HBONE_PORT)
		return 0;
	weft_exclusion_of_arrival(address, port, &key);
	if (bpf_map_lookup_elem(&exclusions, &key))
		return 1;
	weft_exclusion_of_arrival(address, 0, &key);
	return bpf_map_lookup_elem(&exclusions, &key) != NULL;
}
