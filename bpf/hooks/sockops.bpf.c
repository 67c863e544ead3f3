// SPDX-License-Identifier: Apache-2.0
/*
 * sockops, on the pods' cgroup: before the SYN of an enrolled pod leaves, who sends it is written
 * down under its 4-tuple; when the connection is closed, the record goes. Also for sockets that the
 * agent made in a pod's netns.
 */
#include "bpf/decide/attest.h"
#include "bpf/hooks/record.h"

const volatile __u32 mark_bit = WEFT_MARK_DEFAULT;

/* A refused insertion leaves the connection anonymous: its destination decides what that is worth.
 */
HOOK_INLINE bool write_down(__u32 note, const struct weft_pod *pod, const struct weft_tuple *tuple,
			    __u64 cookie, bool marked)
{
	if (note == WEFT_NOTE_DELIVERED) {
		struct weft_delivered delivery = {.netns_cookie = cookie};
		count(WEFT_COUNTER_attested_foreign_source);
		return bpf_map_update_elem(&delivered, tuple, &delivery, BPF_ANY) == 0;
	}
	struct weft_attested record = weft_attested_of(pod, cookie, marked);
	if (bpf_map_update_elem(&attested, tuple, &record, BPF_ANY))
		return false;
	count(WEFT_COUNTER_attested_recorded);
	return true;
}

HOOK_INLINE void opened(struct bpf_sock_ops *ctx)
{
	__u64 cookie = bpf_get_netns_cookie(ctx);
	struct weft_pod *pod = pod_of(cookie);
	struct weft_tuple tuple = {};
	struct bpf_sock *sk;
	bool marked;
	__u32 note;

	if (!pod)
		return;
	read_tuple(ctx, &tuple);
	sk = ctx->sk;
	marked = sk && sk->mark & mark_bit;
	note = weft_attest(pod, &tuple, marked);
	if (note == WEFT_NOTE_NOTHING)
		return;
	if (!write_down(note, pod, &tuple, cookie, marked)) {
		count(WEFT_COUNTER_attested_insert_failed);
		return;
	}
	ask_for_close(ctx);
}

/* Only the netns that wrote a record takes it back. */
HOOK_INLINE void closed(struct bpf_sock_ops *ctx)
{
	__u64 cookie = bpf_get_netns_cookie(ctx);
	struct weft_delivered *delivery;
	struct weft_tuple tuple = {};

	read_tuple(ctx, &tuple);
	if (take_back(&tuple, cookie))
		return;
	delivery = bpf_map_lookup_elem(&delivered, &tuple);
	if (delivery && delivery->netns_cookie == cookie)
		bpf_map_delete_elem(&delivered, &tuple);
}

SEC("sockops")
int weft_sockops(struct bpf_sock_ops *ctx)
{
	if (ctx->op == BPF_SOCK_OPS_TCP_CONNECT_CB)
		opened(ctx);
	if (ctx->op == BPF_SOCK_OPS_STATE_CB && ctx->args[1] == BPF_TCP_CLOSE)
		closed(ctx);
	return 1;
}

char _license[] SEC("license") = "Dual BSD/GPL";
