/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the two writers of `attested` share: who connects to whom, and the end of it. */
#include "bpf/hooks/common.h"

HOOK_INLINE void read_tuple(struct bpf_sock_ops *ctx, struct weft_tuple *tuple)
{
	if (ctx->family == HOOK_FAMILY_V4) {
		weft_set_v4(&tuple->source, ctx->local_ip4);
		weft_set_v4(&tuple->destination, ctx->remote_ip4);
		HOOK_KEEP_BRANCH;
	} else {
		weft_set_words(&tuple->source, ctx->local_ip6[0], ctx->local_ip6[1],
			       ctx->local_ip6[2], ctx->local_ip6[3]);
		weft_set_words(&tuple->destination, ctx->remote_ip6[0], ctx->remote_ip6[1],
			       ctx->remote_ip6[2], ctx->remote_ip6[3]);
	}
	tuple->source_port = ctx->local_port;
	tuple->destination_port = weft_port_of_sockops(ctx->remote_port);
}

/* The hook is called again when the socket closes. */
HOOK_INLINE void ask_for_close(struct bpf_sock_ops *ctx)
{
	bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
}

/* Deletes the record if this netns wrote it; returns whether it did. */
HOOK_INLINE bool take_back(const struct weft_tuple *tuple, __u64 netns_cookie)
{
	struct weft_attested *record = bpf_map_lookup_elem(&attested, tuple);

	if (!record || record->netns_cookie != netns_cookie)
		return false;
	if (!bpf_map_delete_elem(&attested, tuple))
		count(WEFT_COUNTER_attested_deleted);
	return true;
}
