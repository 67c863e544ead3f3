// SPDX-License-Identifier: Apache-2.0
#include "bpf/maps.h"

const volatile __u64 pod_cookie = 0;
const volatile bool has_ifindex = true;

SEC("sk_lookup")
int weft_sk_lookup(struct bpf_sk_lookup *ctx)
{
	(void)ctx;
	return SK_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
