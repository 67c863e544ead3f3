/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What several hooks do with the maps: count, find the caller, ask the policy, report. Each is a
 * few lines. */
#include "bpf/maps.h"

#include "bpf/decide/address.h"
#include "bpf/decide/connect.h"
#include "bpf/decide/policy.h"

#define HOOK_INLINE static __attribute__((always_inline, unused)) inline

#define HOOK_FAMILY_V4 2  /* AF_INET */
#define HOOK_FAMILY_V6 10 /* AF_INET6 */
#define HOOK_ECONNREFUSED 111

/*
 * Ends a branch that reads the context: merged with the reads of another branch they would become
 * arithmetic on the context pointer, which the verifier refuses.
 */
#define HOOK_KEEP_BRANCH asm volatile("" ::: "memory")

HOOK_INLINE void count(__u32 counter)
{
	__u32 zero = 0;
	__u64 *fields = bpf_map_lookup_elem(&counters, &zero);

	if (fields && counter < WEFT_COUNTER_COUNT)
		fields[counter]++;
}

HOOK_INLINE struct weft_pod *pod_of(__u64 netns_cookie)
{
	struct weft_pod_key key = {.netns_cookie = netns_cookie};

	return bpf_map_lookup_elem(&pods, &key);
}

/* Weft's own processes are known by their cgroup, never by a mark that others could set. */
HOOK_INLINE bool is_exempt(void)
{
	struct weft_exempt_key key = {.cgroup_id = bpf_get_current_cgroup_id()};

	return bpf_map_lookup_elem(&exempt_cgroups, &key) != NULL;
}

HOOK_INLINE bool listener_alive(__u32 slot)
{
	struct bpf_sock *sk = bpf_map_lookup_elem(&listeners, &slot);

	if (!sk)
		return false;
	bpf_sk_release(sk);
	return true;
}

/* Telemetry only; a full buffer is counted and changes nothing. */
HOOK_INLINE void report(__u32 counter, __u32 rule_id, const struct weft_party *party,
			const struct weft_address *destination, __u16 source_port)
{
	struct weft_event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event) {
		count(WEFT_COUNTER_event_lost);
		return;
	}
	event->time = bpf_ktime_get_ns();
	event->counter = counter;
	event->rule_id = rule_id;
	event->source_identity = party->identity;
	event->source_namespace_id = party->namespace_id;
	event->pod_id = party->pod_id;
	event->pad = 0;
	event->source = party->address;
	event->destination = *destination;
	event->source_port = source_port;
	event->destination_port = party->port;
	event->pad2 = 0;
	bpf_ringbuf_submit(event, 0);
}

/* The address of a connect, sendmsg, recvmsg or getpeername, read and replaced. */
HOOK_INLINE void get_address6(const struct bpf_sock_addr *ctx, struct weft_address *address)
{
	weft_set_words(address, ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2],
		       ctx->user_ip6[3]);
}

HOOK_INLINE void put_address4(struct bpf_sock_addr *ctx, const struct weft_address *address,
			      __u16 port)
{
	ctx->user_ip4 = weft_word(address, 3);
	ctx->user_port = weft_user_of_port(port);
}

HOOK_INLINE void put_address6(struct bpf_sock_addr *ctx, const struct weft_address *address,
			      __u16 port)
{
	ctx->user_ip6[0] = weft_word(address, 0);
	ctx->user_ip6[1] = weft_word(address, 1);
	ctx->user_ip6[2] = weft_word(address, 2);
	ctx->user_ip6[3] = weft_word(address, 3);
	ctx->user_port = weft_user_of_port(port);
}
