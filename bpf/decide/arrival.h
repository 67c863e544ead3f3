/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What becomes of a connection that looks for a listener in an enrolled pod's netns, in the order
 * of the questions: scope -> origin -> judge; then, if the listener asked for is missing: missing.
 */
#include "bpf/decide/address.h"
#include "bpf/decide/attest.h"
#include "bpf/decide/connect.h"

#define WEFT_LOOPBACK_IFINDEX 1

enum weft_steer {
	WEFT_STEER_CONTINUE, /* ask the next question */
	WEFT_STEER_APP,	     /* whatever socket the application has there */
	WEFT_STEER_OUTBOUND, /* a looped SYN: the pod's own call, for the proxy */
	WEFT_STEER_INBOUND,  /* a peer's call, for the proxy; nothing is known of its source */
	WEFT_STEER_ATTESTED, /* the same, and the kernel vouches for its source */
	WEFT_STEER_REFUSE,   /* to be reset at once */
	WEFT_STEER_DROP,
};

struct weft_arrival {
	struct weft_tuple tuple; /* source is the peer */
	__u32 ifindex;		 /* it came in by; only with has_ifindex */
	bool has_ifindex;
	bool own_record;    /* sockops wrote it down in this very netns, and not as a looped one */
	bool own_delivered; /* the same under an address that is not the pod's */
};

/* Datagrams are none of ours; asked first, since unconnected UDP sockets are looked up for every
 * packet. */
WEFT_INLINE bool weft_arrival_is_connection(__u32 protocol)
{
	return protocol == WEFT_PROTOCOL_TCP;
}

/* Looped SYNs must not reach a wildcard socket of the application, so all doubt ends in a drop. */
WEFT_INLINE struct weft_verdict weft_arrival_scope(const struct weft_pod *pod,
						   const struct weft_arrival *arrival)
{
	if (weft_is_loopback(&arrival->tuple.destination))
		return weft_verdict_of(WEFT_STEER_APP, WEFT_COUNTER_lookup_loopback);
	/* The entry goes last when a pod is disarmed: its absence is a fault, and the mark may
	 * still be on. */
	if (!pod)
		return weft_verdict_of(WEFT_STEER_DROP, WEFT_COUNTER_lookup_no_pod);
	return weft_verdict_of(WEFT_STEER_CONTINUE, 0);
}

/*
 * A looped connection shows lo as its interface, where sk_lookup sees it (since 5.17). What calls
 * the pod's own address from inside shows the interface that has the address (eth0): there the
 * source or the record has to say it. A packet from outside may lie about its source, but then
 * nobody but the pod itself gets the answer.
 */
WEFT_INLINE bool weft_from_inside(const struct weft_pod *pod, const struct weft_arrival *arrival)
{
	if (arrival->has_ifindex && arrival->ifindex == WEFT_LOOPBACK_IFINDEX)
		return true;
	return weft_is_own(pod, &arrival->tuple.source) || arrival->own_record ||
	       arrival->own_delivered;
}

/* A destination that the agent does not know as this pod's: looped, or one of the pod's further
 * addresses. */
WEFT_INLINE struct weft_verdict weft_arrival_foreign(const struct weft_pod *pod,
						     const struct weft_arrival *arrival)
{
	if (!weft_from_inside(pod, arrival))
		return arrival->has_ifindex
			   ? weft_verdict_of(WEFT_STEER_CONTINUE, 0)
			   : weft_verdict_of(WEFT_STEER_DROP, WEFT_COUNTER_lookup_outbound_dropped);
	/* connect never marks these, so it is the pod calling itself. */
	if (weft_is_link_local6(&arrival->tuple.destination) || arrival->own_record ||
	    arrival->own_delivered)
		return weft_verdict_of(WEFT_STEER_APP, WEFT_COUNTER_lookup_from_self);
	return weft_verdict_of(WEFT_STEER_OUTBOUND, WEFT_COUNTER_lookup_outbound);
}

/* Whose call is it: the pod's own, or a peer's (WEFT_STEER_CONTINUE)? */
WEFT_INLINE struct weft_verdict weft_arrival_origin(const struct weft_pod *pod,
						    const struct weft_arrival *arrival)
{
	struct weft_verdict verdict = weft_verdict_of(WEFT_STEER_CONTINUE, 0);

	if (!weft_is_own(pod, &arrival->tuple.destination))
		verdict = weft_arrival_foreign(pod, arrival);
	else if (weft_from_inside(pod, arrival))
		verdict = weft_verdict_of(WEFT_STEER_APP, WEFT_COUNTER_lookup_from_self);
	if (verdict.action == WEFT_STEER_CONTINUE && !(pod->flags & WEFT_POD_ENROLLED))
		return weft_verdict_of(WEFT_STEER_APP, WEFT_COUNTER_lookup_not_armed);
	return verdict;
}

/* How the pod treats peers without proof; `mode` null: the port has no mode of its own. */
WEFT_INLINE bool weft_is_strict(const struct weft_pod *pod, const struct weft_port_mode *mode)
{
	return mode ? mode->mode != WEFT_PEERS_PERMISSIVE : pod->flags & WEFT_POD_STRICT;
}

/*
 * Before the policy is asked. mTLS proves its source in the proxy, which asks the policy itself. A
 * kubelet asks whether the application lives: no rule that was written for peers may answer that.
 */
WEFT_INLINE struct weft_verdict weft_arrival_proof(const struct weft_pod *pod, __u16 port,
						   __u32 proof, bool strict)
{
	if (port == WEFT_HBONE_PORT)
		return weft_verdict_of(WEFT_STEER_INBOUND, WEFT_COUNTER_lookup_hbone);
	if (proof == WEFT_PROOF_PROBE)
		return weft_verdict_of(WEFT_STEER_APP, WEFT_COUNTER_lookup_to_app_probe);
	/* What the proxy delivers comes from inside the pod and is not asked this. */
	if (proof == WEFT_PROOF_POD && pod->flags & WEFT_POD_TLS_SAME_NODE)
		return weft_verdict_of(WEFT_STEER_REFUSE, WEFT_COUNTER_lookup_refused_same_node);
	if (proof == WEFT_PROOF_NONE && strict)
		return weft_verdict_of(WEFT_STEER_REFUSE, WEFT_COUNTER_lookup_refused_anonymous);
	return weft_verdict_of(WEFT_STEER_CONTINUE, 0);
}

WEFT_INLINE struct weft_verdict weft_arrival_judge(const struct weft_pod *pod, bool proven,
						   bool admitted)
{
	if (!admitted)
		return weft_verdict_of(WEFT_STEER_REFUSE, WEFT_COUNTER_lookup_refused_by_policy);
	if (pod->flags & WEFT_POD_INBOUND_PROXY)
		return proven ? weft_verdict_of(WEFT_STEER_ATTESTED,
						WEFT_COUNTER_lookup_to_proxy_attested)
			      : weft_verdict_of(WEFT_STEER_INBOUND, WEFT_COUNTER_lookup_to_proxy);
	return weft_verdict_of(WEFT_STEER_APP, proven ? WEFT_COUNTER_lookup_to_app_attested
						      : WEFT_COUNTER_lookup_to_app_anonymous);
}

WEFT_INLINE bool weft_arrival_to_listener(__u32 steer)
{
	return steer == WEFT_STEER_OUTBOUND || steer == WEFT_STEER_INBOUND ||
	       steer == WEFT_STEER_ATTESTED || steer == WEFT_STEER_REFUSE;
}

/* The listener that `steer` asks for is not there. */
WEFT_INLINE struct weft_verdict weft_arrival_missing(const struct weft_pod *pod, __u32 steer)
{
	if (steer == WEFT_STEER_OUTBOUND)
		return weft_verdict_of(WEFT_STEER_DROP, WEFT_COUNTER_lookup_outbound_dropped);
	if (steer == WEFT_STEER_REFUSE)
		return weft_verdict_of(WEFT_STEER_DROP, WEFT_COUNTER_lookup_refuse_dropped);
	if (pod->flags & WEFT_POD_FAIL_OPEN)
		return weft_verdict_of(WEFT_STEER_APP, WEFT_COUNTER_lookup_fail_open);
	return weft_verdict_of(WEFT_STEER_DROP, WEFT_COUNTER_lookup_fail_closed);
}

/* The slot of `listeners` that `steer` asks for. */
WEFT_INLINE __u32 weft_listener_slot(const struct weft_pod *pod, __u32 steer, bool v4)
{
	__u32 listener = v4 ? WEFT_LISTENER_REFUSE4 : WEFT_LISTENER_REFUSE6;

	if (steer == WEFT_STEER_OUTBOUND)
		listener = v4 ? WEFT_LISTENER_OUTBOUND4 : WEFT_LISTENER_OUTBOUND6;
	if (steer == WEFT_STEER_INBOUND)
		listener = v4 ? WEFT_LISTENER_INBOUND4 : WEFT_LISTENER_INBOUND6;
	if (steer == WEFT_STEER_ATTESTED)
		listener = v4 ? WEFT_LISTENER_ATTESTED4 : WEFT_LISTENER_ATTESTED6;
	return pod->listener_slot + listener;
}
