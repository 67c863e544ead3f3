/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A connect() that goes around the mesh: because its own pod leaves it out, or the called one. */
#include "bpf/hooks/choose.h"
#include "bpf/hooks/exclude.h"

/* Left out by the caller's pod: as if it were outside the mesh, so the cluster's own service
 * translation serves it. */
HOOK_INLINE bool goes_around(const struct weft_pod *pod, const struct call *call)
{
	int excluded = excludes_call(&call->destination, pod->pod_id, call->port);

	if (excluded == EXCLUDED_BY_NOTHING ||
	    !weft_excludes_service(find_service(&call->destination, call->port, call->protocol)))
		return false;
	count_excluded(excluded == EXCLUDED_BY_PORT ? WEFT_COUNTER_excluded_port
						    : WEFT_COUNTER_excluded_range);
	return true;
}

HOOK_INLINE struct weft_verdict aim_at_workload(const struct weft_pod *pod, struct call *call)
{
	struct weft_workload *workload = bpf_map_lookup_elem(&workloads, &call->destination);

	if (weft_callee_may_exclude(workload, call->protocol) &&
	    excludes_arrival(&call->destination, call->port)) {
		count_excluded(WEFT_COUNTER_excluded_by_callee);
		return weft_excluded_verdict(WEFT_PASS);
	}
	return weft_connect_workload(pod, workload, call->protocol);
}
