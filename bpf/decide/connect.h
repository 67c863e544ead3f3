/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What becomes of a connect() or sendto(), in the order of the questions:
 *   gate -> service -> backend, or gate -> workload; then for PROXY: capture; then for a call whose
 * callee is a pod here: policy.
 */
#include "bpf/decide/address.h"

#define WEFT_PROTOCOL_TCP 6
#define WEFT_PROTOCOL_UDP 17
#define WEFT_PROTOCOL_MPTCP 262

enum weft_action {
	WEFT_CONTINUE, /* ask the next question */
	WEFT_PASS,     /* not ours: untouched */
	WEFT_DIRECT,   /* kernel path: to the chosen backend, or to the address as it stands */
	WEFT_PROXY,    /* mark and loop */
	WEFT_DENY,     /* EPERM: forbidden */
	WEFT_REFUSE,   /* ECONNREFUSED: allowed, but nobody is there */
};

struct weft_verdict {
	__u32 action;  /* enum weft_action */
	__u32 counter; /* enum weft_counter; of no meaning with WEFT_CONTINUE */
};

WEFT_INLINE struct weft_verdict weft_verdict_of(__u32 action, __u32 counter)
{
	struct weft_verdict verdict = {action, counter};
	return verdict;
}

WEFT_INLINE bool weft_is_tcp(__u32 protocol)
{
	return protocol == WEFT_PROTOCOL_TCP || protocol == WEFT_PROTOCOL_MPTCP;
}

/* `pod` null: the caller is not enrolled. */
WEFT_INLINE struct weft_verdict weft_connect_gate(const struct weft_pod *pod, bool exempt,
						  __u32 protocol,
						  const struct weft_address *destination)
{
	if (!pod)
		return weft_verdict_of(WEFT_PASS, WEFT_COUNTER_connect_not_enrolled);
	if (exempt)
		return weft_verdict_of(WEFT_PASS, WEFT_COUNTER_connect_exempt);
	if (!(pod->flags & WEFT_POD_ENROLLED))
		return weft_verdict_of(WEFT_PASS, WEFT_COUNTER_connect_not_armed);
	if (!weft_is_tcp(protocol) && protocol != WEFT_PROTOCOL_UDP)
		return weft_verdict_of(WEFT_PASS, WEFT_COUNTER_connect_other_protocol);
	if (weft_is_loopback(destination))
		return weft_verdict_of(WEFT_PASS, WEFT_COUNTER_connect_loopback);
	if (weft_is_own(pod, destination) || weft_is_link_local6(destination))
		return weft_verdict_of(WEFT_PASS, WEFT_COUNTER_connect_own_address);
	return weft_verdict_of(WEFT_CONTINUE, 0);
}

/* WEFT_CONTINUE: choose a backend. UDP is never proxied. */
WEFT_INLINE struct weft_verdict weft_connect_service(const struct weft_service *service,
						     __u32 protocol)
{
	if (weft_is_tcp(protocol) && service->flags & WEFT_SERVICE_SELF_TEST)
		return weft_verdict_of(WEFT_PROXY, WEFT_COUNTER_connect_proxy_self_test);
	if (weft_is_tcp(protocol) && service->flags & WEFT_SERVICE_L7)
		return weft_verdict_of(WEFT_PROXY, WEFT_COUNTER_connect_proxy_layer7);
	if (service->backend_count == 0)
		return weft_verdict_of(WEFT_REFUSE, WEFT_COUNTER_connect_refused_no_backend);
	return weft_verdict_of(WEFT_CONTINUE, 0);
}

/* A backend can be called at all: there, and of the family that the application's socket speaks. */
WEFT_INLINE struct weft_verdict weft_connect_usable(const struct weft_backend *backend,
						    const struct weft_address *destination)
{
	if (!backend)
		return weft_verdict_of(WEFT_REFUSE, WEFT_COUNTER_connect_refused_backend_missing);
	if (weft_is_v4(&backend->address) != weft_is_v4(destination))
		return weft_verdict_of(WEFT_REFUSE, WEFT_COUNTER_connect_refused_backend_family);
	return weft_verdict_of(WEFT_DIRECT, WEFT_COUNTER_connect_direct_service);
}

/*
 * How an enrolled workload is reached by TCP: elsewhere always by the proxy; a pod of this node too
 * if one of the two asks for TLS, but not the caller itself.
 */
WEFT_INLINE struct weft_verdict weft_connect_enrolled(const struct weft_pod *pod, __u32 flags,
						      __u32 pod_id, struct weft_verdict direct)
{
	if (!(flags & WEFT_WORKLOAD_LOCAL))
		return weft_verdict_of(WEFT_PROXY, WEFT_COUNTER_connect_proxy_remote);
	if (pod_id != pod->pod_id &&
	    (pod->flags & WEFT_POD_TLS_SAME_NODE || flags & WEFT_WORKLOAD_TLS_SAME_NODE))
		return weft_verdict_of(WEFT_PROXY, WEFT_COUNTER_connect_proxy_same_node);
	return direct;
}

/* `backend` null: the table has a hole. */
WEFT_INLINE struct weft_verdict weft_connect_backend(const struct weft_pod *pod,
						     const struct weft_backend *backend,
						     __u32 protocol,
						     const struct weft_address *destination)
{
	struct weft_verdict usable = weft_connect_usable(backend, destination);

	if (usable.action != WEFT_DIRECT || !backend)
		return usable;
	if (!weft_is_tcp(protocol) || !(backend->flags & WEFT_WORKLOAD_ENROLLED))
		return usable;
	return weft_connect_enrolled(pod, backend->flags, backend->pod_id, usable);
}

/* A destination that is no service; `workload` null: and no workload of the mesh. */
WEFT_INLINE struct weft_verdict weft_connect_workload(const struct weft_pod *pod,
						      const struct weft_workload *workload,
						      __u32 protocol)
{
	if (!workload || !(workload->flags & WEFT_WORKLOAD_ENROLLED) || !weft_is_tcp(protocol))
		return weft_verdict_of(WEFT_PASS, WEFT_COUNTER_connect_unknown);
	return weft_connect_enrolled(
	    pod, workload->flags, workload->pod_id,
	    weft_verdict_of(WEFT_DIRECT, WEFT_COUNTER_connect_direct_workload));
}

/* Who will be called is known already: the proxy chooses anew among a service's backends. */
WEFT_INLINE bool weft_connect_is_aimed(struct weft_verdict verdict, bool to_service)
{
	return verdict.action == WEFT_DIRECT ||
	       (verdict.action == WEFT_PROXY && !to_service &&
		verdict.counter == WEFT_COUNTER_connect_proxy_same_node);
}

/* A PROXY verdict meets the state of the proxy. WEFT_DIRECT: go without it, as the pod declared. */
WEFT_INLINE struct weft_verdict weft_connect_capture(__u32 pod_flags, bool listener,
						     struct weft_verdict proxy)
{
	if (pod_flags & WEFT_POD_MARKING && listener)
		return proxy;
	if (pod_flags & WEFT_POD_FAIL_OPEN)
		return weft_verdict_of(WEFT_DIRECT, WEFT_COUNTER_connect_fail_open);
	return weft_verdict_of(WEFT_DENY, WEFT_COUNTER_connect_fail_closed);
}

/*
 * The destination refuses at arrival too; asking here makes it felt at once. Null: nobody of this
 * node. A pod that calls itself, through a service, is asked nowhere.
 */
WEFT_INLINE bool weft_connect_asks_policy(const struct weft_pod *pod,
					  const struct weft_workload *workload, __u32 protocol)
{
	return workload && weft_is_tcp(protocol) && workload->flags & WEFT_WORKLOAD_LOCAL &&
	       workload->flags & WEFT_WORKLOAD_HAS_POLICY && workload->pod_id != 0 &&
	       workload->pod_id != pod->pod_id;
}

/* The mark that a socket has to have for this action. */
WEFT_INLINE __u32 weft_mark_for(__u32 action, __u32 mark, __u32 mark_bit)
{
	return action == WEFT_PROXY ? mark | mark_bit : mark & ~mark_bit;
}

/* Whether `peer` is what the socket was rewritten to, so that the service's address is what the
 * application expects. */
WEFT_INLINE bool weft_restores(const struct weft_socket *socket, const struct weft_address *peer,
			       __u16 peer_port)
{
	return socket->backend_port != 0 && socket->backend_port == peer_port &&
	       weft_same_address(&socket->backend_address, peer);
}
