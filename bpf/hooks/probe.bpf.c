// SPDX-License-Identifier: Apache-2.0
/*
 * sockops, on the kubelet's cgroup: before the SYN of a probe leaves, it is written down that the
 * node's kubelet sends it; when the connection is closed, the record goes. Cgroup and netns must
 * both be the kubelet's: a pod has neither.
 */
#include "bpf/decide/attest.h"
#include "bpf/hooks/record.h"

const volatile __u64 node_cookie = 0;

HOOK_INLINE void opened(struct bpf_sock_ops *ctx)
{
	struct weft_attested record = weft_attested_probe(node_cookie);
	struct weft_tuple tuple = {};

	read_tuple(ctx, &tuple);
	if (weft_is_loopback(&tuple.destination))
		return;
	if (bpf_map_update_elem(&attested, &tuple, &record, BPF_ANY)) {
		count(WEFT_COUNTER_attested_insert_failed);
		return;
	}
	count(WEFT_COUNTER_attested_probe);
	ask_for_close(ctx);
}

HOOK_INLINE void closed(struct bpf_sock_ops *ctx)
{
	struct weft_tuple tuple = {};

	read_tuple(ctx, &tuple);
	take_back(&tuple, node_cookie);
}

SEC("sockops")
int weft_probe(struct bpf_sock_ops *ctx)
{
	if (bpf_get_netns_cookie(ctx) != node_cookie)
		return 1;
	if (ctx->op == BPF_SOCK_OPS_TCP_CONNECT_CB)
		opened(ctx);
	if (ctx->op == BPF_SOCK_OPS_STATE_CB && ctx->args[1] == BPF_TCP_CLOSE)
		closed(ctx);
	return 1;
}

char _license[] SEC("license") = "Dual BSD/GPL";
