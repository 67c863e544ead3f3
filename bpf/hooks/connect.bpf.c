// SPDX-License-Identifier: Apache-2.0
/*
 * cgroup/connect4 and connect6, on the pods' cgroup: once per connection it is decided whether a
 * socket goes to a backend, to the proxy, nowhere, or is none of ours. v4-mapped destinations come
 * through connect6 only.
 */
#include "bpf/hooks/around.h"
#include "bpf/hooks/policy.h"

const volatile __u32 mark_bit = WEFT_MARK_DEFAULT;
const volatile bool has_set_retval = true;

#define SOL_SOCKET 1
#define SO_MARK 36

/* The proxy cannot be reached and the pod said to go without: as for services and addresses that
 * never need it. */
HOOK_INLINE struct weft_verdict go_without_proxy(struct call *call)
{
	struct weft_verdict usable;

	count(WEFT_COUNTER_connect_fail_open);
	if (!call->service)
		return weft_verdict_of(WEFT_DIRECT, WEFT_COUNTER_connect_direct_workload);
	if (call->service->backend_count == 0)
		return weft_verdict_of(WEFT_REFUSE, WEFT_COUNTER_connect_refused_no_backend);
	if (!call->backend)
		call->backend = choose(call, call->service);
	usable = weft_connect_usable(call->backend, &call->destination);
	return usable;
}

HOOK_INLINE struct weft_verdict aim(const struct weft_pod *pod, struct call *call)
{
	struct weft_verdict verdict;

	call->service = find_service(&call->destination, call->port, call->protocol);
	if (!call->service)
		return aim_at_workload(pod, call);
	verdict = weft_connect_service(call->service, call->protocol);
	if (verdict.action != WEFT_CONTINUE)
		return verdict;
	call->backend = choose(call, call->service);
	return weft_connect_backend(pod, call->backend, call->protocol, &call->destination);
}

/* A destination on this node may forbid the caller: said here, so that it is felt at once. */
HOOK_INLINE struct weft_verdict ask_policy(const struct weft_pod *pod, const struct call *call,
					   struct weft_verdict verdict)
{
	const struct weft_address *target =
	    call->backend ? &call->backend->address : &call->destination;
	struct weft_workload *workload = bpf_map_lookup_elem(&workloads, target);
	struct weft_party party = {};
	struct policy_answer answer;

	if (call->backend && call->backend->flags & WEFT_WORKLOAD_EXCLUDES) {
		count_excluded(WEFT_COUNTER_excluded_by_callee);
		return verdict;
	}
	if (!weft_connect_asks_policy(pod, workload, call->protocol) || !workload)
		return verdict;
	party.pod_id = workload->pod_id;
	party.identity = pod->identity;
	party.namespace_id = pod->namespace_id;
	party.kinds = workload->policy_kinds;
	party.port = call->backend ? call->backend->port : call->port;
	party.address = weft_is_v4(target) ? pod->ipv4 : pod->ipv6;
	answer = ask(&party, workload->flags & WEFT_WORKLOAD_HAS_ALLOW);
	if (answer.admitted)
		return verdict;
	report(WEFT_COUNTER_connect_denied_by_policy, answer.rule_id, &party, target, 0);
	return weft_verdict_of(WEFT_DENY, WEFT_COUNTER_connect_denied_by_policy);
}

HOOK_INLINE struct weft_verdict judge(const struct weft_pod *pod, struct call *call)
{
	struct weft_verdict verdict;

	if (weft_may_exclude_call(pod, call->protocol) && goes_around(pod, call))
		return weft_excluded_verdict(WEFT_PASS);
	verdict = aim(pod, call);
	if (verdict.action == WEFT_PROXY) {
		__u32 listener = weft_is_v4(&call->destination) ? WEFT_LISTENER_OUTBOUND4
								: WEFT_LISTENER_OUTBOUND6;
		verdict = weft_connect_capture(
		    pod->flags, listener_alive(pod->listener_slot + listener), verdict);
		if (verdict.action == WEFT_DIRECT)
			verdict = go_without_proxy(call);
	}
	if (weft_connect_is_aimed(verdict, call->service))
		verdict = ask_policy(pod, call, verdict);
	return verdict;
}

/* A socket may be disconnected and connected again, so the mark is put right in both directions. */
HOOK_INLINE bool put_mark(struct bpf_sock_addr *ctx, __u32 action)
{
	__u32 old = ctx->sk->mark;
	__u32 mark = weft_mark_for(action, old, mark_bit);

	if (mark == old)
		return true;
	if (action != WEFT_PROXY)
		count(WEFT_COUNTER_connect_mark_cleared);
	return bpf_setsockopt(ctx, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) == 0;
}

/* For getpeername and recvmsg; what an earlier connection of this socket left is dropped. */
HOOK_INLINE void remember(struct bpf_sock_addr *ctx, const struct call *call, bool rewritten)
{
	struct weft_socket *socket;

	if (!rewritten || !call->backend || !call->service) {
		bpf_sk_storage_delete(&sockets, ctx->sk);
		return;
	}
	socket = bpf_sk_storage_get(&sockets, ctx->sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!socket) {
		count(WEFT_COUNTER_connect_storage_failed);
		return;
	}
	socket->service_address = call->destination;
	socket->service_port = call->port;
	socket->service_id = call->service->service_id;
	socket->backend_address = call->backend->address;
	socket->backend_port = call->backend->port;
}

/* Returns whether connect() goes on. call->backend is where to, if the verdict is DIRECT and it is
 * not null. */
HOOK_INLINE bool handle(struct bpf_sock_addr *ctx, struct call *call)
{
	struct weft_pod *pod = pod_of(call->netns_cookie);
	bool exempt = pod && is_exempt();
	struct weft_verdict verdict =
	    weft_connect_gate(pod, exempt, call->protocol, &call->destination);

	if (verdict.action == WEFT_CONTINUE && pod)
		verdict = judge(pod, call);
	if (!pod || exempt) {
		count(verdict.counter);
		return true;
	}
	if (verdict.action != WEFT_DIRECT)
		call->backend = NULL;
	if (weft_is_tcp(call->protocol) && !put_mark(ctx, verdict.action))
		verdict = weft_verdict_of(WEFT_DENY, WEFT_COUNTER_connect_mark_failed);
	remember(ctx, call, verdict.action == WEFT_DIRECT);
	count(verdict.counter);
	if (verdict.action == WEFT_REFUSE && has_set_retval)
		bpf_set_retval(-HOOK_ECONNREFUSED);
	return verdict.action != WEFT_DENY && verdict.action != WEFT_REFUSE;
}

HOOK_INLINE void begin(struct bpf_sock_addr *ctx, struct call *call)
{
	call->port = weft_port_of_user(ctx->user_port);
	call->protocol = ctx->protocol;
	call->netns_cookie = bpf_get_netns_cookie(ctx);
	call->random_slot = bpf_get_prandom_u32();
	call->random_alias = bpf_get_prandom_u32();
}

SEC("cgroup/connect4")
int weft_connect4(struct bpf_sock_addr *ctx)
{
	struct call call = {};

	begin(ctx, &call);
	weft_set_v4(&call.destination, ctx->user_ip4);
	if (!handle(ctx, &call))
		return 0;
	if (call.backend)
		put_address4(ctx, &call.backend->address, call.backend->port);
	return 1;
}

SEC("cgroup/connect6")
int weft_connect6(struct bpf_sock_addr *ctx)
{
	struct call call = {};

	begin(ctx, &call);
	get_address6(ctx, &call.destination);
	if (!handle(ctx, &call))
		return 0;
	if (call.backend)
		put_address6(ctx, &call.backend->address, call.backend->port);
	return 1;
}

char _license[] SEC("license") = "Dual BSD/GPL";
