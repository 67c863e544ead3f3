// SPDX-License-Identifier: Apache-2.0
/*
 * cgroup/getpeername4 and 6, on the pods' cgroup: a socket that connect rewrote shows the service
 * that was asked for. Needs no look at the pod: only rewritten sockets have storage, and
 * un-enrolling a pod must not change their peer.
 */
#include "bpf/hooks/common.h"

/* The storage of a socket whose `peer` is to be replaced, else null. */
HOOK_INLINE struct weft_socket *rewritten(struct bpf_sock_addr *ctx,
					  const struct weft_address *peer)
{
	struct weft_socket *socket = bpf_sk_storage_get(&sockets, ctx->sk, 0, 0);

	if (!socket || !weft_restores(socket, peer, weft_port_of_user(ctx->user_port)))
		return NULL;
	count(WEFT_COUNTER_getpeername_restored);
	return socket;
}

SEC("cgroup/getpeername4")
int weft_getpeername4(struct bpf_sock_addr *ctx)
{
	struct weft_address peer;
	struct weft_socket *socket;

	weft_set_v4(&peer, ctx->user_ip4);
	socket = rewritten(ctx, &peer);
	if (!socket)
		return 1;
	put_address4(ctx, &socket->service_address, socket->service_port);
	return 1;
}

SEC("cgroup/getpeername6")
int weft_getpeername6(struct bpf_sock_addr *ctx)
{
	struct weft_address peer;
	struct weft_socket *socket;

	get_address6(ctx, &peer);
	socket = rewritten(ctx, &peer);
	if (!socket)
		return 1;
	put_address6(ctx, &socket->service_address, socket->service_port);
	return 1;
}

char _license[] SEC("license") = "Dual BSD/GPL";
