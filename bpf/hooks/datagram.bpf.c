// SPDX-License-Identifier: Apache-2.0
/*
 * cgroup/sendmsg4,6 and recvmsg4,6, on the pods' cgroup: datagrams of unconnected sockets to UDP
 * services, and the service's address on what comes back. A v4-mapped destination fires sendmsg4,
 * its answer fires recvmsg6.
 */
#include "bpf/hooks/choose.h"

const volatile bool has_set_retval = true;

/* Notes the way back. The (empty) storage tells recvmsg that this socket has notes at all. */
HOOK_INLINE void remember_flow(struct bpf_sock_addr *ctx, const struct call *call)
{
	struct weft_udp_flow_key key = {};
	struct weft_udp_flow flow = {};

	if (!call->backend)
		return;
	key.socket_cookie = bpf_get_socket_cookie(ctx);
	key.backend_address = call->backend->address;
	key.backend_port = call->backend->port;
	flow.service_address = call->destination;
	flow.service_port = call->port;
	if (!bpf_sk_storage_get(&sockets, ctx->sk, 0, BPF_SK_STORAGE_GET_F_CREATE) ||
	    bpf_map_update_elem(&udp_flows, &key, &flow, BPF_ANY))
		count(WEFT_COUNTER_sendmsg_flow_insert_failed);
}

/* Returns whether the datagram goes on; to call->backend if that is not null. */
HOOK_INLINE bool send(struct bpf_sock_addr *ctx, struct call *call)
{
	struct weft_pod *pod = pod_of(bpf_get_netns_cookie(ctx));
	struct weft_verdict verdict =
	    weft_connect_gate(pod, pod && is_exempt(), WEFT_PROTOCOL_UDP, &call->destination);
	__u64 random;

	if (verdict.action != WEFT_CONTINUE)
		return true;
	call->port = weft_port_of_user(ctx->user_port);
	call->protocol = WEFT_PROTOCOL_UDP;
	call->netns_cookie = bpf_get_netns_cookie(ctx);
	call->service = find_service(&call->destination, call->port, WEFT_PROTOCOL_UDP);
	if (!call->service)
		return true;
	verdict = weft_connect_service(call->service, WEFT_PROTOCOL_UDP);
	if (verdict.action == WEFT_CONTINUE) {
		random = weft_steady_random(bpf_get_socket_cookie(ctx), call->service->service_id);
		call->random_slot = random >> 32;
		call->random_alias = (__u32)random;
		call->backend = choose(call, call->service);
		verdict = weft_connect_usable(call->backend, &call->destination);
	}
	if (verdict.action == WEFT_DIRECT) {
		remember_flow(ctx, call);
		count(WEFT_COUNTER_sendmsg_direct);
		return true;
	}
	count(verdict.counter == WEFT_COUNTER_connect_refused_no_backend
		  ? WEFT_COUNTER_sendmsg_refused_no_backend
		  : verdict.counter);
	if (has_set_retval)
		bpf_set_retval(-HOOK_ECONNREFUSED);
	return false;
}

SEC("cgroup/sendmsg4")
int weft_sendmsg4(struct bpf_sock_addr *ctx)
{
	struct call call = {};

	weft_set_v4(&call.destination, ctx->user_ip4);
	if (!send(ctx, &call))
		return 0;
	if (call.backend)
		put_address4(ctx, &call.backend->address, call.backend->port);
	return 1;
}

SEC("cgroup/sendmsg6")
int weft_sendmsg6(struct bpf_sock_addr *ctx)
{
	struct call call = {};

	get_address6(ctx, &call.destination);
	if (!send(ctx, &call))
		return 0;
	if (call.backend)
		put_address6(ctx, &call.backend->address, call.backend->port);
	return 1;
}

/* Turns a backend's address into the service's the socket sent to; false: leave it as it is. */
HOOK_INLINE bool restore(struct bpf_sock_addr *ctx, struct weft_address *peer, __u16 *port)
{
	struct weft_socket *socket = bpf_sk_storage_get(&sockets, ctx->sk, 0, 0);
	struct weft_udp_flow_key key = {};
	struct weft_udp_flow *flow;

	/* Most sockets of a node leave here. */
	if (!socket)
		return false;
	if (weft_restores(socket, peer, *port)) {
		*peer = socket->service_address;
		*port = socket->service_port;
		return true;
	}
	key.socket_cookie = bpf_get_socket_cookie(ctx);
	key.backend_address = *peer;
	key.backend_port = *port;
	flow = bpf_map_lookup_elem(&udp_flows, &key);
	if (!flow)
		return false;
	*peer = flow->service_address;
	*port = flow->service_port;
	return true;
}

SEC("cgroup/recvmsg4")
int weft_recvmsg4(struct bpf_sock_addr *ctx)
{
	__u16 port = weft_port_of_user(ctx->user_port);
	struct weft_address peer;

	weft_set_v4(&peer, ctx->user_ip4);
	if (!restore(ctx, &peer, &port))
		return 1;
	put_address4(ctx, &peer, port);
	count(WEFT_COUNTER_recvmsg_restored);
	return 1;
}

SEC("cgroup/recvmsg6")
int weft_recvmsg6(struct bpf_sock_addr *ctx)
{
	__u16 port = weft_port_of_user(ctx->user_port);
	struct weft_address peer;

	get_address6(ctx, &peer);
	if (!restore(ctx, &peer, &port))
		return 1;
	put_address6(ctx, &peer, port);
	count(WEFT_COUNTER_recvmsg_restored);
	return 1;
}

char _license[] SEC("license") = "Dual BSD/GPL";
