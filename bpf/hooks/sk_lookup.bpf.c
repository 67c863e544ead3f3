// SPDX-License-Identifier: Apache-2.0
/*
 * sk_lookup, one instance in the netns of each enrolled pod: whatever looks for a listener there is
 * given the application's socket, one of the agent's listeners, or nothing. Established connections
 * never come here.
 */
#include "bpf/decide/arrival.h"
#include "bpf/hooks/exclude.h"
#include "bpf/hooks/policy.h"

const volatile __u64 pod_cookie = 0;
const volatile bool has_ifindex = true;

HOOK_INLINE void read_arrival(struct bpf_sk_lookup *ctx, struct weft_arrival *arrival)
{
	struct weft_tuple *tuple = &arrival->tuple;

	if (ctx->family == HOOK_FAMILY_V4) {
		weft_set_v4(&tuple->source, ctx->remote_ip4);
		weft_set_v4(&tuple->destination, ctx->local_ip4);
		HOOK_KEEP_BRANCH;
	} else {
		weft_set_words(&tuple->source, ctx->remote_ip6[0], ctx->remote_ip6[1],
			       ctx->remote_ip6[2], ctx->remote_ip6[3]);
		weft_set_words(&tuple->destination, ctx->local_ip6[0], ctx->local_ip6[1],
			       ctx->local_ip6[2], ctx->local_ip6[3]);
	}
	tuple->source_port = weft_port_of_lookup(ctx->remote_port);
	tuple->destination_port = ctx->local_port;
	arrival->has_ifindex = has_ifindex;
	if (has_ifindex)
		arrival->ifindex = ctx->ingress_ifindex;
}

/* The record of whoever opened this connection, if it is one of this node's pods and still the
 * same. */
HOOK_INLINE struct weft_attested *find_source(struct weft_arrival *arrival)
{
	struct weft_attested *record = bpf_map_lookup_elem(&attested, &arrival->tuple);
	struct weft_delivered *delivery;

	if (!record || !weft_record_speaks(record, pod_cookie)) {
		delivery = bpf_map_lookup_elem(&delivered, &arrival->tuple);
		arrival->own_delivered = delivery && delivery->netns_cookie == pod_cookie;
		return NULL;
	}
	arrival->own_record =
	    record->netns_cookie == pod_cookie && !(record->flags & WEFT_ATTESTED_LOOPED);
	return record;
}

HOOK_INLINE bool is_strict(const struct weft_pod *pod, __u16 port)
{
	struct weft_port_key key = {.pod_id = pod->pod_id, .port = port};

	if (!(pod->flags & WEFT_POD_HAS_PORT_MODES))
		return weft_is_strict(pod, NULL);
	return weft_is_strict(pod, bpf_map_lookup_elem(&port_modes, &key));
}

HOOK_INLINE struct weft_verdict judge_peer(const struct weft_pod *pod,
					   const struct weft_arrival *arrival,
					   const struct weft_attested *record)
{
	__u32 proof = weft_proof_of(record, record ? pod_of(record->netns_cookie) : NULL);
	bool proven = proof == WEFT_PROOF_POD;
	struct weft_party party = {
	    .pod_id = pod->pod_id,
	    .kinds = pod->policy_kinds,
	    .port = arrival->tuple.destination_port,
	    .address = arrival->tuple.source,
	};
	struct policy_answer answer = {.admitted = true};
	struct weft_verdict verdict;

	if (weft_may_exclude_arrival(pod, party.port, proof == WEFT_PROOF_PROBE) &&
	    excludes_arrival(&arrival->tuple.destination, party.port)) {
		count_excluded(WEFT_COUNTER_excluded_arrival);
		return weft_excluded_verdict(WEFT_STEER_APP);
	}
	if (record && proof == WEFT_PROOF_NONE)
		count(WEFT_COUNTER_lookup_record_stale);
	if (record && proven) {
		party.identity = record->identity;
		party.namespace_id = record->namespace_id;
	}
	verdict = weft_arrival_proof(pod, party.port, proof, is_strict(pod, party.port));
	if (verdict.action == WEFT_STEER_CONTINUE) {
		if (pod->flags & WEFT_POD_HAS_POLICY)
			answer = ask(&party, pod->flags & WEFT_POD_HAS_ALLOW);
		verdict = weft_arrival_judge(pod, proven, answer.admitted);
	}
	if (verdict.action == WEFT_STEER_REFUSE) {
		count(verdict.counter);
		report(verdict.counter, answer.rule_id, &party, &arrival->tuple.destination,
		       arrival->tuple.source_port);
	}
	return verdict;
}

/* Returns whether the listener was there and took it. */
HOOK_INLINE bool assign(struct bpf_sk_lookup *ctx, __u32 slot)
{
	struct bpf_sock *sk = bpf_map_lookup_elem(&listeners, &slot);
	long failed;

	if (!sk)
		return false;
	failed = bpf_sk_assign(ctx, sk, 0);
	bpf_sk_release(sk);
	if (failed)
		count(WEFT_COUNTER_lookup_assign_failed);
	return !failed;
}

HOOK_INLINE int steer(struct bpf_sk_lookup *ctx, const struct weft_pod *pod,
		      struct weft_verdict verdict)
{
	if (weft_arrival_to_listener(verdict.action) && pod) {
		if (assign(ctx, weft_listener_slot(pod, verdict.action,
						   ctx->family == HOOK_FAMILY_V4))) {
			/* A refusal was counted where its reason was known. */
			if (verdict.action != WEFT_STEER_REFUSE)
				count(verdict.counter);
			return SK_PASS;
		}
		verdict = weft_arrival_missing(pod, verdict.action);
	}
	count(verdict.counter);
	return verdict.action == WEFT_STEER_APP ? SK_PASS : SK_DROP;
}

SEC("sk_lookup")
int weft_sk_lookup(struct bpf_sk_lookup *ctx)
{
	struct weft_arrival arrival = {};
	struct weft_attested *record;
	struct weft_verdict verdict;
	struct weft_pod *pod;

	if (!weft_arrival_is_connection(ctx->protocol)) {
		count(WEFT_COUNTER_lookup_datagram);
		return SK_PASS;
	}
	pod = pod_of(pod_cookie);
	read_arrival(ctx, &arrival);
	verdict = weft_arrival_scope(pod, &arrival);
	if (verdict.action == WEFT_STEER_CONTINUE && pod) {
		record = find_source(&arrival);
		verdict = weft_arrival_origin(pod, &arrival);
		if (verdict.action == WEFT_STEER_CONTINUE)
			verdict = judge_peer(pod, &arrival, record);
	}
	return steer(ctx, pod, verdict);
}

char _license[] SEC("license") = "Dual BSD/GPL";
